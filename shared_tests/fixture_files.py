"""Committed fixtures: written atomically, never trusted unchecked.

fixtures/<case id>.safetensors holds, for one case and its variants,
    in.<name>, param.<name>, cotangent.<name>     what goes in
    ref.<array>                                   float64 reference
    sigma.<array>, sigma_<precision>.<array>      rounding error, float32
where <array> is out.<name>, grad.<input or parameter name>, or, for a
training run, trained.loss and trained.<parameter name>, step by step.
fixtures/manifest.json holds schema, seed, versions, the SHA-256 of each
file and of each case's row in cases.py, and that of the code that made
the budgets. NumPy and safetensors only.
"""

import ast
import json
import os
import pathlib
import shutil

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from shared_tests.cases import CASES
from shared_tests.files import NotWritten, sha256
from shared_tests.verdict import sigma_error

HERE = pathlib.Path(__file__).resolve().parent
FIXTURES = HERE / "fixtures"
# all that makes the numbers of a budget: what a rule is, and how noise
# is drawn; not what checks it
MAKERS = (
    "roundoff/budget.py",
    *(
        f"roundoff/rules/{name}.py"
        for name in """
        attention bags decompositions distances elementwise exact
        fourier interpolation losses noise norms optimizers pooling
        rules sums widened
        """.split()
    ),
    "make_fixtures.py",
)
SCHEMA = 1
PARTS = {"makers": dict, "cases": dict, "seed": int, "versions": dict}
LOW = ("bfloat16", "float16")
CODES = ("quantize",)  # integers come out, which have no gradient
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)
IMPORTS = (ast.Import, ast.ImportFrom)
REMEDY = "run `make fixtures`"


class FixtureError(Exception):
    """A fixture is missing, damaged or stale; says which and what to do."""


def case_digest(case):
    """Changes whenever the numbers of a case would change."""
    row = (case.layer, case.name, case.config, case.inputs, case.params)
    row += (case.training,) if case.training else ()
    return sha256(repr((*row, "low_precision" in case.flags)).encode())


def code_digest(text):
    """Of what the code computes: its syntax tree, without imports and
    docstrings, so that a moved name or a better sentence is no change."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node):
            node.body = node.body[1:]
        if isinstance(getattr(node, "body", None), list):
            node.body = [
                n for n in node.body if not isinstance(n, IMPORTS)
            ]
    return sha256(ast.dump(tree).encode())


def maker_digests():
    return {
        name: code_digest((HERE / name).read_text()) for name in MAKERS
    }


def write_fixtures(arrays, seed, versions, folder=FIXTURES, keep=()):
    """Replace the whole folder at once; arrays: {case id: {key: array}}.

    keep: {case id: its entry} of the files there that stay, to the byte
    Everything is written beside the folder first, so that a crash leaves
    the last good state; see recover(). Raises: NotWritten
    """
    folder = pathlib.Path(folder)
    fresh = aside(folder, "new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        write_beside(folder, fresh, arrays, seed, versions, keep)
        replace(folder, fresh)
    except OSError as error:
        raise NotWritten(folder, error) from None
    finally:
        recover(folder)
        shutil.rmtree(fresh, ignore_errors=True)


def check_place(folder):
    """Before hours of computing: can the new folder be put beside it?

    Raises: NotWritten
    """
    fresh = aside(pathlib.Path(folder), "new")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        fresh.rmdir()
    except OSError as error:
        raise NotWritten(folder, error) from None


def write_beside(folder, fresh, arrays, seed, versions, keep):
    """The new folder, whole."""
    fresh.mkdir(parents=True)
    digests = {c.id: case_digest(c) for c in CASES if not c.like}
    manifest = {
        "schema": SCHEMA,
        "seed": seed,
        "versions": versions,
        "makers": maker_digests(),
        "cases": dict(keep),
    }
    for name in keep:
        file = f"{name}.safetensors"
        shutil.copyfile(folder / file, fresh / file)
    for name, tensors in sorted(arrays.items()):
        # safetensors 0.8 writes strided arrays wrongly, without an error
        solid = {k: np.ascontiguousarray(v) for k, v in tensors.items()}
        shaped = {
            k: v.reshape(np.shape(tensors[k])) for k, v in solid.items()
        }
        data = save(shaped, metadata={"case": name})
        (fresh / f"{name}.safetensors").write_bytes(data)
        entry = {"row": digests[name], "sha256": sha256(data)}
        manifest["cases"][name] = entry
    text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
    (fresh / "manifest.json").write_text(text)


def replace(folder, fresh):
    old = aside(folder, "old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def recover(folder=FIXTURES):
    """Undo a write that was cut off between its two renames."""
    old = aside(folder, "old")
    if old.exists() and not folder.exists():
        os.rename(old, folder)


def aside(folder, suffix):
    return folder.with_name(f".{folder.name}.{suffix}")


def read_manifest(folder=FIXTURES):
    folder = pathlib.Path(folder)
    recover(folder)
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text())
        schema = manifest["schema"]
        for part, kind in PARTS.items():
            if schema == SCHEMA and not isinstance(
                manifest[part], kind
            ):
                raise TypeError(f"{part!r} is no {kind.__name__}")
    except OSError as error:
        raise unreadable(path, error) from None
    except (ValueError, KeyError, TypeError) as error:
        text = f"{path} is damaged ({error}): {REMEDY}"
        raise FixtureError(text) from None
    if schema != SCHEMA:
        text = (
            f"{path} has schema {schema}, expected {SCHEMA}: {REMEDY}"
        )
        raise FixtureError(text)
    return manifest


def unreadable(path, error):
    if isinstance(error, FileNotFoundError):
        return FixtureError(f"{path} is missing: {REMEDY}")
    text = f"{path} could not be read: {error.strerror}"
    return FixtureError(text)


def check_manifest(manifest):
    """Raise FixtureError unless it belongs to this table and this code."""
    for name, digest in maker_digests().items():
        if manifest["makers"].get(name) != digest:
            text = f"stale fixtures: {name} changed since: {REMEDY}"
            raise FixtureError(text)
    known = {c.id: case_digest(c) for c in CASES if not c.like}
    for name, digest in known.items():
        if name not in manifest["cases"]:
            text = f"{name} has no fixture: {REMEDY}"
            raise FixtureError(text)
        if entry(manifest, name, "row") != digest:
            text = f"stale fixture {name}: its row in cases.py changed"
            raise FixtureError(f"{text}: {REMEDY}")
    extra = sorted(set(manifest["cases"]) - set(known))
    if extra:
        text = f"fixtures without a row in cases.py: {', '.join(extra)}"
        raise FixtureError(f"{text}: {REMEDY}")


def entry(manifest, name, key):
    """What the manifest says of one case's `row` or file (`sha256`)."""
    try:
        found = manifest["cases"][name][key]
    except (KeyError, TypeError):
        text = f"manifest.json has no {key!r} of {name}: {REMEDY}"
        raise FixtureError(text) from None
    if not isinstance(found, str):
        text = f"manifest.json: {key!r} of {name} expected a SHA-256"
        raise FixtureError(f"{text}, got {found!r}: {REMEDY}")
    return found


def read_fixture(case, manifest, folder=FIXTURES):
    """{key: array} of one case: its file, whole, and fit to judge."""
    arrays = read_arrays(case, manifest, folder)
    wrong = unfit(case, arrays)
    if wrong:
        raise FixtureError(f"fixture {case.fixture}: {wrong}: {REMEDY}")
    return arrays


def read_arrays(case, manifest, folder=FIXTURES):
    """{key: array} of one case, verified against the manifest."""
    path = pathlib.Path(folder) / f"{case.fixture}.safetensors"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    expected = entry(manifest, case.fixture, "sha256")
    got = sha256(data)
    if got != expected:
        text = f"{path} was changed or cut off: SHA-256 expected"
        text += f" {expected[:12]}, got {got[:12]}: git checkout it, or"
        raise FixtureError(f"{text} {REMEDY}")
    name = written_for(data)
    if name != case.fixture:
        text = f"{path} expected {case.fixture}, got the file of {name}"
        raise FixtureError(f"{text}: {REMEDY}")
    try:
        # safetensors 0.8 returns them in another order in every process
        return dict(sorted(load(data).items()))
    except SafetensorError as error:
        raise FixtureError(f"{path}: {error}: {REMEDY}") from None


def written_for(data):
    """The case that a file names in its header, or None."""
    try:
        header = json.loads(
            data[8 : 8 + int.from_bytes(data[:8], "little")]
        )
        return header["__metadata__"]["case"]
    except (ValueError, KeyError, TypeError):
        return None


def unfit(case, arrays):
    """Why a fixture cannot judge its case; "" where it can.

    It has the arrays that the row asks for, in the row's shapes, and a
    sigma that says something for each array of the reference.
    """
    shapes = {f"in.{n}": d.shape for n, d in case.inputs.items()}
    for name, draw in case.params.items():
        shapes[name if name == "cotangent" else f"param.{name}"] = (
            draw.shape
        )
    if "cotangent" in shapes:
        shapes["cotangent.y"] = shapes.pop("cotangent")
    for key, expected in shapes.items():
        if key not in arrays:
            return f"{key} is missing"
        if arrays[key].shape != expected:
            got = arrays[key].shape
            return f"{key} expected shape {expected}, got {got}"
    shapes = judged_shapes(case, arrays)
    heads = ("ref", "sigma")
    if "low_precision" in case.flags:
        heads += tuple(f"sigma_{precision}" for precision in LOW)
    wanted = {f"{h}.{name}" for h in heads for name in shapes}
    given = {"in.", "param.", "cotangent."}
    there = {k for k in arrays if k[: k.find(".") + 1] not in given}
    if "grad" in {name.split(".")[0] for name in shapes}:
        wanted.add("cotangent.y")
        there |= arrays.keys() & {"cotangent.y"}
    for key in sorted(wanted ^ there):
        return f"{key} is {'missing' if key in wanted else 'not asked for'}"
    inputs = {k for k in arrays if k.startswith("in.")}
    for key in sorted(inputs - {f"in.{n}" for n in case.inputs}):
        return f"{key} is not asked for"
    for name, shape in shapes.items():
        reference = arrays[f"ref.{name}"]
        if reference.shape != shape:
            got = reference.shape
            return f"ref.{name} expected shape {shape}, got {got}"
        for head in heads[1:]:
            precision = (
                head.removeprefix("sigma").strip("_") or "float32"
            )
            key = f"{head}.{name}"
            wrong = sigma_error(arrays[key], reference, precision)
            if wrong:
                return f"{key} expected {wrong}"
    return ""


def asked_of(case, arrays):
    """{array: kind} of all that a case is judged by: its output and,
    where that is no integer, the gradient of every floating input and
    of every parameter; of a training run the loss and the parameters.

    arrays: the fixture, of which only the names of parameters count:
        without one of them no adapter builds the layer
    """
    head = "param."
    params = [
        k.removeprefix(head) for k in arrays if k.startswith(head)
    ]
    if case.training:
        names = "loss", *params
        return {f"trained.{name}": "trained" for name in names}
    if case.layer in CODES:
        return {"out.y": "integer"}
    floats = [n for n, draw in case.inputs.items() if is_float(draw)]
    found = {"out.y": "output"}
    found |= {f"grad.{name}": "input_grad" for name in floats}
    return found | {f"grad.{name}": "param_grad" for name in params}


def is_float(draw):
    return draw.allow is None and not draw.classes and not draw.whole


def judged_shapes(case, arrays):
    """{array: shape} of what is asked of a case."""
    steps = arrays["in.x"].shape[:1] if case.training else ()
    # y has the shape of its cotangent, since that is what it receives
    y = arrays.get("cotangent.y", arrays.get("ref.out.y", np.zeros(0)))
    known = {"out.y": y.shape, "trained.loss": steps}

    def shape(array):
        name = array.split(".", 1)[1]
        own = arrays.get(f"in.{name}", arrays.get(f"param.{name}"))
        return steps + own.shape

    return {
        name: known[name] if name in known else shape(name)
        for name in asked_of(case, arrays)
    }

"""Rounding or a bug? One call for a port of any PyTorch module.

    report = check(module, port, inputs)          a Report, whatever it says
    assert_rounding(module, port, inputs)         RoundingError for a bug

The module runs in float64, and its own rounding errors, sampled
(budget.py), say what error the port may have. There is no tolerance to
choose.
"""

import os

import numpy as np

from . import budget, child
from . import layers as layer_outputs
from . import port as port_side
from .errors import CheckError, RoundingError
from .reference import Reference
from .report import Report, compare, constant, missing

try:
    from . import weights as weight_maps
except ImportError:  # not there yet
    weight_maps = None

SEED = 20260101
PRECISIONS = ("float32", "float64")


def assert_rounding(
    module, port, inputs, *, msg=None, rtol=None, atol=None, **options
):
    """Raises RoundingError unless every array of the port is rounding.

    msg: instead of the text, or a function of it; others: see check
    Returns: the Report
    Raises: RoundingError, whose text is the first bad array; what check
        raises
    """
    if rtol is not None or atol is not None:
        raise TypeError(
            "assert_rounding has no rtol and no atol: the error to allow"
            " is derived from the module itself"
        )
    report = check(module, port, inputs, **options)
    if not report.passed:
        text = failure(report)
        if msg is not None:
            text = msg(text) if callable(msg) else msg
        raise RoundingError(text)
    return report


def failure(report):
    """The first bad array, in words."""
    line = report.first_wrong
    if line is None:
        return "there is no array to compare"
    texts = [f"{line.name}: {line.word}"]
    if np.isfinite(line.ratio):
        texts[0] += f", {line.ratio:.3g} times the allowed error"
    texts += line.elements
    if line.diagnosis:
        texts.append(line.diagnosis)
    bad = sum(x.word != "rounding" for x in report.lines)
    texts.append(
        f"{bad} of {len(report.lines)} arrays are not rounding"
    )
    return "\n".join(texts)


def check(
    module,
    port,
    inputs,
    *,
    weights=None,
    gradients=True,
    layers=None,
    precision="float32",
    runs=budget.RUNS,
    seed=SEED,
    framework=None,
    python=None,
):
    """A Report on the port of a PyTorch module.

    module: nn.Module, in the mode (train, eval) to check
    port: a function forward(params, <the inputs>) in PyTorch, JAX,
        TensorFlow, MXNet or NumPy; an object (objects.py); or the path
        of a file with forward or make, which runs in `python`
    inputs: a dict (keywords of forward), a tuple or list, or one array;
        nests of floats, integers, booleans, None
    weights: map to the port's names and layouts (weights.py); without
        one the port gets those of PyTorch
    gradients: of float inputs and parameters, for random cotangents
    layers: outputs of submodules too; True, or {torch path: port's name}
    framework: of a function that does not say it
    Raises: CheckError where nothing can be judged, TypeError, ValueError
    """
    check_options(precision, runs, python, port)
    reference = Reference(module, inputs, precision, bool(layers))
    first = guarded("module", reference.first_run)
    cotangents = None
    if gradients:
        cotangents = draw_cotangents(first, seed)
    request = make_request(reference, cotangents, weights)
    answer = run_port(port, request, framework, python)
    results = port_results(answer, reference, weights)
    if gradients:
        used = [name.partition(".")[2] for name in answer["used"]]
        cotangents = {path: cotangents[path] for path in used}
    references, sigmas = guarded(
        "module",
        lambda: budget.estimate(
            lambda: reference.run(cotangents), seed, runs
        ),
    )
    unchanged_buffers(results, reference, references, sigmas)
    results, said = lined_up(results, references, layers)
    lines, notes = judged(
        results, answer["dtypes"], references, sigmas, precision
    )
    notes += said + remarks(reference, answer)
    return Report(lines, notes, precision, runs, seed)


def check_options(precision, runs, python, port):
    if precision not in PRECISIONS:
        want = " or ".join(PRECISIONS)
        raise ValueError(
            f"precision expected {want}, got {precision!r}"
        )
    if not isinstance(runs, int) or runs < 1:
        raise ValueError(
            f"runs expected a positive integer, got {runs!r}"
        )
    if python is not None and not is_path(port):
        got = type(port).__name__
        raise ValueError(
            f"python= expected a port that is a file, got {got}"
        )


def is_path(port):
    return isinstance(port, str | os.PathLike)


def guarded(what, action):
    """action(), whose exceptions are those of somebody's module."""
    try:
        return action()
    except CheckError:
        raise
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        raise CheckError(f"{what}: {text}") from error


def draw_cotangents(results, seed):
    """{path: float32 ndarray}, one for each output of floats."""
    rng = np.random.default_rng(seed + 1)
    return {
        name.removeprefix("out."): rng.standard_normal(
            array.shape
        ).astype(np.float32)
        for name, array in results.items()
        if name.startswith("out.") and array.dtype.kind == "f"
    }


def make_request(reference, cotangents, weights):
    """What the port is asked; see port.py."""
    params = reference.params
    trainable = set(reference.trainable)
    trainable |= {
        second
        for second, first in reference.aliases.items()
        if first in trainable
    }
    moving = [name for name in params if name in trainable]
    if weights is not None:
        # the port's names in which something of these arrives
        marks = {
            n: np.full(p.shape, float(n in trainable), np.float32)
            for n, p in params.items()
        }
        marked = weight_maps.forward(weights, marks)
        moving = [n for n, mark in marked.items() if np.any(mark)]
        params = weight_maps.forward(weights, params)
    if cotangents is not None and reference.precision == "float64":
        cotangents = {n: c.astype("f8") for n, c in cotangents.items()}
    return {
        "params": params,
        "moving": moving,
        "inputs": reference.inputs,
        "by_name": reference.by_name,
        "cotangents": cotangents,
        "training": reference.module.training,
        "layers": reference.layers,
        "precision": reference.precision,
    }


def run_port(port, request, framework, python):
    if is_path(port):
        name = os.path.basename(port)
        framework = framework or framework_by_name(name)
        return child.ask(
            port, {**request, "framework": framework}, python
        )

    def run():
        training = request["training"]
        layers = request["layers"]
        adopted = port_side.adopt(port, framework, training, layers)
        answer = port_side.run(adopted, request)
        found = port_side.unsteady(adopted, request, answer["results"])
        return {**answer, "unsteady": found}

    return guarded("port", run)


def framework_by_name(name):
    """jax of jax_port.py; None of other names."""
    head = name.partition("_")[0]
    return head if head in port_side.FRAMEWORKS else None


def port_results(answer, reference, weights):
    """The port's arrays, under PyTorch's names."""
    results = dict(answer["results"])
    if weights is not None:
        for kind in ("grad", "buffer"):
            back(results, kind, reference, weights)
    for second, first in reference.aliases.items():
        part = results.pop(f"grad.{second}", None)
        if part is not None:
            whole = results.get(f"grad.{first}")
            results[f"grad.{first}"] = (
                part if whole is None else whole + part
            )
    return results


def lined_up(results, references, layers):
    """(the results, outputs of layers under PyTorch's names, notes)."""
    ours, theirs = (
        {n: arrays[n] for n in arrays if n.startswith("layer.")}
        for arrays in (references, results)
    )
    mapping = layers if isinstance(layers, dict) else {}
    found = layer_outputs.align(ours, theirs, mapping)
    others = {n: a for n, a in results.items() if n not in theirs}
    if not layers:
        return others, []
    notes = [
        f"{words}: {', '.join(names)}"
        for words, names in (
            (
                "layers of the port that PyTorch does not have",
                [n for n in found.left_port if "@" not in n],
            ),
            ("compared with the channels second", found.turned),
        )
        if names
    ]
    return others | found.arrays, notes


def back(results, kind, reference, weights):
    """Names and layouts of the port's gradients, or buffers, undone."""
    inputs = set(reference.fresh_inputs(False)[1])
    theirs = {
        name.partition(".")[2]: results.pop(name)
        for name in list(results)
        if name.startswith(f"{kind}.")
        and not (kind == "grad" and name.partition(".")[2] in inputs)
    }
    shapes = weight_maps.forward(weights, reference.params)
    if not theirs:
        return
    every = {
        name: theirs.get(name, np.zeros_like(array))
        for name, array in shapes.items()
    }
    ours = weight_maps.backward(weights, every, reference.params)
    results.update((f"{kind}.{name}", a) for name, a in ours.items())


def unchanged_buffers(results, reference, references, sigmas):
    """A buffer of the port that PyTorch leaves as it is has to stay."""
    for name in results:
        held = reference.params.get(name.removeprefix("buffer."))
        if not name.startswith("buffer.") or name in references:
            continue
        if held is not None:
            wide = "f8" if held.dtype.kind == "f" else held.dtype
            references[name] = held.astype(wide)
            sigmas[name] = np.zeros(held.shape)


def judged(results, dtypes, references, sigmas, precision):
    """(lines, notes) on all arrays of both sides."""
    lines, lost = [], {"PyTorch": [], "the port": []}
    for name, reference in references.items():
        if name in results and name in dtypes:
            text = f"dtype {dtypes[name]}, expected {precision}"
            line = missing(name, "")
            line.word, line.elements = "bug", [text]
            lines.append(line)
        elif name in results:
            sigma = sigmas[name]
            value = np.asarray(results[name])
            if value.dtype.kind == "c":
                value = np.stack([value.real, value.imag], -1)
            lines.append(
                compare(name, value, reference, sigma, precision)
            )
        elif name.startswith("layer.") or is_counter(name, reference):
            if "@" not in name:  # what a layer is called with
                lost["the port"].append(name)
        else:
            lines.append(missing(name, "the port"))
    for name in results:
        if name not in references:
            if name.startswith("out."):
                lines.append(missing(name, "PyTorch"))
            elif not name.startswith("grad."):
                lost["PyTorch"].append(name)
    notes = [
        f"{side} has no {', '.join(names)}: not compared"
        for side, names in lost.items()
        if names
    ]
    return lines, notes


def is_counter(name, reference):
    """A count of batches, which changes no number of the module."""
    counts = reference.dtype.kind in "iu" and reference.ndim == 0
    return name.startswith("buffer.") and counts


def remarks(reference, answer):
    notes = [
        f"the port's {name} is not the same bits the second time"
        for name in answer["unsteady"]
    ]
    left_out = {**reference.left_out, **answer["left_out"]}
    notes += [
        f"{path} is a {kind}, no array: not compared"
        for path, kind in left_out.items()
    ]
    held = dict(reference.module.named_parameters())
    params = {n: reference.params[n] for n in held}
    return notes + constant(params)

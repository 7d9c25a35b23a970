"""Rows kept from the last parity run, for as long as nothing moved.

A run (a case in a precision and a mode) is computed again unless all that
its rows depend on is what it was: the source of the layer's page and of
all that it imports, adapter.py, what judges (run.py and its imports), the
row of cases.py, the bytes of the fixture, every package and its version
in the framework's environment, the variables that libraries read, the
C++ compiler, the processor. build/parity-cache/<framework>/<run>.json
holds the digest of that, the rows, and a digest of the rows: a damaged
file is none. Rows that fail are never kept.
"""

import ast
import functools
import json
import os
import shutil
import subprocess

from shared_tests.environments import python_of
from shared_tests.files import ROOT, sha256, write
from shared_tests.fixture_files import case_digest
from shared_tests.machine import processor, settings


def absolute(node, package):
    """Which module `from ..b import name` means, inside a package."""
    if not node.level:
        return node.module
    above = package[: len(package) + 1 - node.level]
    return ".".join(filter(None, (*above, node.module)))


def imported(path):
    """Files of this repo that one imports by name, __init__ and all."""
    found = set()
    package = path.parent.relative_to(ROOT).parts
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = absolute(node, package)
            names = [f"{module}.{alias.name}" for alias in node.names]
            names.append(module)
        for name in names:
            parts = name.split(".")
            if not (ROOT / parts[0]).is_dir():
                continue
            for end in range(1, len(parts) + 1):
                place = ROOT.joinpath(*parts[:end])
                found.add(place.with_suffix(".py"))
                found.add(place / "__init__.py")
    return {path for path in found if path.is_file()}


@functools.cache
def imports(path):
    return frozenset(imported(path))


def closure(*paths):
    """Files, and what they import, and so on. What __init__.py imports
    is left out, or every page would depend on every other: a page has
    what it uses from the page itself."""
    found, left = set(), list(paths)
    while left:
        path = left.pop()
        if path not in found:
            found.add(path)
            if path.name != "__init__.py":
                left += imports(path)
    return found


@functools.cache
def page_of(framework):
    """{public name: its file}, read from the package's imports."""
    folder = ROOT / f"{framework}_impl"
    found = {}
    for node in ast.parse((folder / "__init__.py").read_text()).body:
        if isinstance(node, ast.ImportFrom):
            path = ROOT.joinpath(*node.module.split("."))
            for alias in node.names:
                found[alias.name] = path.with_suffix(".py")
    return found


def adapter_of(framework):
    return ROOT / f"{framework}_impl" / "adapter.py"


@functools.cache
def prepared(framework):
    """{name: the layer that prepare makes it of}, from adapter.py."""
    for node in ast.parse(adapter_of(framework).read_text()).body:
        if ast.unparse(node).startswith("PREPARED ="):
            return ast.literal_eval(node.value)
    return {}


@functools.cache
def depends(framework, names):
    """The files that a layer's numbers come from; names: its own, and
    those of functions that its config names."""
    own, adapter = page_of(framework), adapter_of(framework)
    made = prepared(framework)
    if {*names} & {*made}:
        names = *(made.get(name, name) for name in names), "prepare"
    if names[0] not in own:
        known = ", ".join((*own, *made))
        raise ValueError(
            f"{framework}: layer expected one of {known}, got {names[0]!r}"
        )
    pages = [own[name] for name in names if name in own]
    spine = ROOT / "shared_tests" / "run.py"
    found = closure(adapter, spine, *pages)
    # of the table of cases only the row counts; see digest()
    return frozenset(found - {ROOT / "shared_tests" / "cases.py"})


@functools.cache
def file_digest(path):
    """ "" of a file that is missing or cannot be read: the processes
    say which."""
    try:
        return sha256(path.read_bytes())
    except OSError:
        return ""


@functools.cache
def environment(framework):
    """Packages with versions, the Python, variables, the processor."""
    folder = python_of(framework).parent.parent
    packages = sorted(
        path.name
        for path in folder.glob("lib/python*/site-packages/*-info")
    )
    config = folder / "pyvenv.cfg"
    python = config.read_text() if config.exists() else ""
    return repr((packages, python, settings(), processor(), compiler()))


@functools.cache
def compiler():
    """Of C++, which torch.compile uses: where it is and its version."""
    path = shutil.which(os.environ.get("CXX", "g++"))
    if path is None:
        return None
    said = subprocess.run(
        [path, "--version"], capture_output=True, text=True
    )
    return os.path.realpath(path), said.stdout


def digest(framework, case, precision, mode, manifest, fixtures):
    """Of all that the rows of a run depend on."""
    words = [v for v in case.config.values() if isinstance(v, str)]
    files = depends(framework, (case.layer, *sorted(words)))
    named = {
        str(path.relative_to(ROOT)): file_digest(path) for path in files
    }
    row = (case._replace(flags=sorted(case.flags)), case_digest(case))
    stored = fixtures / f"{case.fixture}.safetensors"
    known = manifest["cases"][case.fixture]
    bytes_ = file_digest(stored), sorted(known.items())
    where = environment(framework)
    key = (sorted(named.items()), row, precision, mode, bytes_, where)
    return sha256(repr(key).encode()), named


def place(folder, framework, run):
    return folder / framework / f"{run}.json"


def keep(folder, framework, run, key, rows, seconds):
    """key: the digest of all that the rows depend on."""
    text = json.dumps(rows)
    entry = {"digest": key, "rows": rows, "seconds": seconds}
    entry["sha256"] = sha256(text.encode())
    write(place(folder, framework, run), json.dumps(entry))


def read(folder, framework, run):
    """What is kept of a run, undamaged, or {}."""
    try:
        entry = json.loads(place(folder, framework, run).read_text())
        text = json.dumps(entry["rows"])
        whole = entry["sha256"] == sha256(text.encode())
        return entry if whole and entry["digest"] else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def clear_memory():
    """Read files again, which may have changed since."""
    kinds = (
        imports,
        page_of,
        prepared,
        depends,
        file_digest,
        environment,
    )
    for cached in kinds:
        cached.cache_clear()

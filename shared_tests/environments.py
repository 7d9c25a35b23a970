"""Environments: one for each framework, one for the tools, one for Triton.

They are built by `make environments` under .venv/. Each test file names
those it runs in, as ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet").
"""

import ast

from shared_tests.files import ROOT

FRAMEWORKS = ("pytorch", "jax", "tf", "mxnet")
TITLES = {
    "pytorch": "PyTorch",
    "jax": "JAX",
    "tf": "TensorFlow",
    "mxnet": "MXNet",
}
ENVIRONMENTS = ("tools", *FRAMEWORKS, "triton")
# as many environments at once as there are cores: two threads each got
# in each other's way, and took six times as long in training loops
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def python_of(framework):
    return ROOT / ".venv" / framework / "bin" / "python"


def environment_error(framework):
    """Why a framework's environment cannot run, or None."""
    if (ROOT / ".venv" / framework / ".stamp").exists():
        return None
    log = ROOT / "build" / "logs" / f"env-{framework}.log"
    return f".venv/{framework} could not be built: {last_line(log)}"


def last_line(path):
    if not path.exists():
        return f"no {path.name}"
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else f"{path.name} is empty"


def environments_of(path):
    """What a test file says of itself, read without importing it."""
    for node in ast.parse(path.read_text()).body:
        named = isinstance(node, ast.Assign)
        if named and ast.unparse(node.targets[0]) == "ENVIRONMENTS":
            found = ast.literal_eval(node.value)
            if found and set(found) <= set(ENVIRONMENTS):
                return found
            want = f"some of {', '.join(ENVIRONMENTS)}"
            raise ValueError(
                f"{path}: ENVIRONMENTS expected {want}, got {found!r}"
            )
    raise ValueError(f"{path}: no ENVIRONMENTS = (...), where it runs")


def files_of_tests():
    """{path inside shared_tests: its environments} of all test files."""
    here = ROOT / "shared_tests"
    return {
        path.relative_to(here).as_posix(): environments_of(path)
        for path in sorted(here.rglob("test_*.py"))
    }

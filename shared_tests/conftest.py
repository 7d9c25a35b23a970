"""pytest --framework=pytorch|jax|tf|mxnet|triton|tools: one environment.

tools runs what needs no framework, triton the GPU kernels, interpreted
where there is no GPU. Nothing is skipped: a test file is collected in
the environments that its ENVIRONMENTS names, and in no other.
"""

import functools
import importlib
import inspect
import json
import os
import pathlib
import time

import pytest

from shared_tests.environments import FRAMEWORKS, environments_of


def pytest_addoption(parser):
    parser.addoption(
        "--framework",
        choices=(*FRAMEWORKS, "triton", "tools"),
        required=True,
    )
    parser.addoption(
        "--kept", help="a file that names runs whose rows are kept"
    )


def pytest_configure(config):
    if config.getoption("--framework") == "triton":
        # of interpreted kernels NumPy makes the products, and K Q^T must
        # have the bits of Q K^T: not so in OpenBLAS' kernels for AVX2
        os.environ.setdefault("OPENBLAS_CORETYPE", "Prescott")
        import torch

        interpreted = "0" if torch.cuda.is_available() else "1"
        os.environ["TRITON_INTERPRET"] = (
            interpreted  # before its import
        )


def pytest_ignore_collect(collection_path, config):
    if collection_path.name.startswith("test_"):
        here = config.getoption("--framework")
        return here not in environments_of(collection_path)
    return None


@pytest.fixture(scope="session")
def gone():
    """gone(pid): it ends within that many seconds, or waits for its
    parent to look."""

    def gone(pid, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                with open(f"/proc/{pid}/stat") as file:
                    if file.read().rpartition(")")[2].split()[0] == "Z":
                        return True
            except (FileNotFoundError, ProcessLookupError):
                return True
            time.sleep(0.05)
        return False

    return gone


@pytest.fixture(scope="session")
def framework(pytestconfig):
    return pytestconfig.getoption("--framework")


@pytest.fixture(scope="session")
def kept_runs(pytestconfig):
    """Runs that `make parity` has judged as they are now; none unless
    run_tests.py says so."""
    path = pytestconfig.getoption("--kept")
    return set(
        json.loads(pathlib.Path(path).read_text()) if path else ()
    )


@pytest.fixture(scope="session")
def package(framework):
    return importlib.import_module(f"{framework}_impl")


@pytest.fixture(scope="session")
def adapter(framework):
    return importlib.import_module(f"{framework}_impl.adapter")


@pytest.fixture(scope="session")
def parameters(framework):
    return importlib.import_module(f"{framework}_impl.parameters")


@pytest.fixture(scope="session")
def start(framework, package, parameters):
    """start(layer, config, seed): the layer as that seed draws it."""

    def start(layer, config, seed=0):
        make = functools.partial(getattr(package, layer), **config)
        takes = inspect.signature(make.func.__init__).parameters
        if framework == "jax" and "rngs" not in takes:
            return parameters.seeded(lambda rngs: make(), seed)
        return parameters.seeded(make, seed)

    return start


@pytest.fixture(scope="session")
def first_dtype(framework):
    """In which a layer starts: in JAX, since the tests need float64 and
    so enable it, in that."""
    return "float64" if framework == "jax" else "float32"


@pytest.fixture(scope="session")
def numbers(framework, adapter, parameters):
    """numbers(layer): {parameter name: ndarray}, copied."""
    array = {
        "pytorch": lambda p: p.clone(),
        "jax": lambda p: p[...],
        "tf": lambda p: p.value,
        "mxnet": lambda p: p.data(),
    }[framework]

    def numbers(layer):
        named = parameters.named_parameters(layer)
        return {n: adapter.to_numpy(array(p)) for n, p in named.items()}

    return numbers

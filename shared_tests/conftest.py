"""pytest --framework=pytorch|jax|tf|mxnet|tools: one environment's tests.

tools runs what needs no framework. Nothing is skipped: a file that does
not belong to an environment is not collected there.
"""

import importlib

import pytest

FRAMEWORKS = ("pytorch", "jax", "tf", "mxnet")
EVERYWHERE = FRAMEWORKS  # needs the adapter of the framework
BELONGS = {
    "test_bad_input.py": EVERYWHERE,
    "test_deviations.py": EVERYWHERE,
    "test_environment.py": (*EVERYWHERE, "tools"),
    "test_layers.py": EVERYWHERE,
    "test_budget.py": ("pytorch",),
    "test_canonical.py": ("pytorch",),
    "test_linen.py": ("jax",),
    "test_custom_function.py": ("mxnet",),
    "test_cases.py": ("tools",),
    "test_fixtures.py": ("tools",),
    "test_lineup.py": ("tools",),
    "test_make.py": ("tools",),
    "test_report.py": ("tools",),
    "test_verdict.py": ("tools",),
}


def pytest_addoption(parser):
    parser.addoption(
        "--framework", choices=(*FRAMEWORKS, "tools"), required=True
    )


def pytest_ignore_collect(collection_path, config):
    if collection_path.name.startswith("test_"):
        here = config.getoption("--framework")
        return here not in BELONGS[collection_path.name]
    return None


@pytest.fixture(scope="session")
def framework(pytestconfig):
    return pytestconfig.getoption("--framework")


@pytest.fixture(scope="session")
def package(framework):
    return importlib.import_module(f"{framework}_impl")


@pytest.fixture(scope="session")
def adapter(framework):
    return importlib.import_module(f"{framework}_impl.adapter")

"""pytest --framework=pytorch|jax|tf|mxnet|triton|tools: one environment.

tools runs what needs no framework, triton the GPU kernels, interpreted
where there is no GPU. Nothing is skipped: a file that does not belong to
an environment is not collected there.
"""

import functools
import importlib
import inspect
import os

import pytest

FRAMEWORKS = ("pytorch", "jax", "tf", "mxnet")
EVERYWHERE = FRAMEWORKS  # needs the adapter of the framework
BELONGS = {
    "test_attention.py": ("jax", "tf", "tools"),
    "test_attention_builtin.py": ("jax",),
    "test_attention_pallas.py": ("jax",),
    "test_bad_input.py": EVERYWHERE,
    "test_check.py": ("pytorch",),
    "test_checkpoint.py": EVERYWHERE,
    "test_deviations.py": EVERYWHERE,
    "test_environment.py": (*EVERYWHERE, "triton", "tools"),
    "test_initialisation.py": EVERYWHERE,
    "test_layers.py": EVERYWHERE,
    "test_ledger.py": (*EVERYWHERE, "tools"),
    "test_misconceptions.py": EVERYWHERE,
    "test_not_finite.py": EVERYWHERE,
    "test_mutants.py": EVERYWHERE,
    "test_parameters.py": EVERYWHERE,
    "test_qat.py": EVERYWHERE,
    "test_quantize.py": EVERYWHERE,
    "test_quantized_digits.py": EVERYWHERE,
    "test_real_data.py": EVERYWHERE,
    "test_training.py": EVERYWHERE,
    "test_budget.py": ("pytorch",),
    "test_export.py": ("pytorch",),
    "test_false_alarms.py": ("pytorch",),
    "test_fuzz.py": ("pytorch",),
    "test_canonical.py": ("pytorch",),
    "test_attention_triton.py": ("triton",),
    "test_fake_quantize_triton.py": ("triton",),
    "test_bench_calls.py": ("triton",),
    "test_bench_gpu.py": ("tools",),
    "test_linen.py": ("jax",),
    "test_live.py": ("pytorch",),
    "test_custom_function.py": ("mxnet",),
    "test_cases.py": ("tools",),
    "test_criteria.py": ("tools",),
    "test_error_budgets.py": ("tools",),
    "test_compare.py": ("tools",),
    "test_fixtures.py": ("tools",),
    "test_lineup.py": ("tools",),
    "test_make.py": ("tools",),
    "test_mutation.py": ("tools",),
    "test_pages.py": ("tools",),
    "test_report.py": ("tools",),
    "test_show.py": ("tools",),
    "test_verdict.py": ("tools",),
}


def pytest_addoption(parser):
    parser.addoption(
        "--framework",
        choices=(*FRAMEWORKS, "triton", "tools"),
        required=True,
    )


def pytest_configure(config):
    if config.getoption("--framework") == "triton":
        import torch

        interpreted = "0" if torch.cuda.is_available() else "1"
        os.environ["TRITON_INTERPRET"] = (
            interpreted  # before its import
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

"""What the tests of the quantizers have in common."""

import importlib

import numpy as np
import pytest

from shared_tests.real_data.quantized_digits import to_array
from shared_tests.side_by_side.pages import files


@pytest.fixture(scope="module")
def page(framework):
    """page(name): that page of the framework, as a module."""

    def page(name):
        inside = f"quantization/{name}.py" in files(framework)
        home = f"{framework}_impl" + ".quantization" * inside
        return importlib.import_module(f"{home}.{name}")

    return page


@pytest.fixture(scope="module")
def tensor(adapter):
    return lambda x, precision="float32": adapter.to_tensor(
        np.asarray(x), precision
    )


@pytest.fixture(scope="module")
def array(adapter):
    return lambda x: to_array(adapter, x)


@pytest.fixture(scope="module")
def compiled(framework):
    """compiled(layer or function of x): it, compiled; MXNet's is not."""
    if framework == "pytorch":
        import torch

        return lambda f: torch.compile(f, fullgraph=True)
    if framework == "jax":
        import jax

        return lambda f: jax.jit(lambda x: f(x))
    if framework == "tf":
        import tensorflow as tf

        return lambda f: tf.function(
            getattr(f, "call", f), jit_compile=True
        )
    return lambda f: f


@pytest.fixture(scope="module")
def run_as(framework):
    """run_as(model, x, training): y, as the framework says training."""

    def run_as(model, x, training):
        if framework == "tf":
            return model(x, training=training)
        if framework == "mxnet":
            from mxnet import autograd

            if training:
                with autograd.record():
                    return model(x)
            return model(x)
        if training:
            model.train()
        else:
            model.eval()
        return model(x)

    return run_as

"""x and parameters of two dtypes: one error, in all four frameworks.

PyTorch promotes in some operations, JAX in nearly all, TensorFlow in
none and MXNet in some: the dtype of y would depend on the framework.
"""

import itertools

import numpy as np
import pytest

from shared_tests.layers.setups import NAMES, SETUPS, of_ids

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

# where x holds ids, no dtype of x is that of the weight
EVERY_SETUP = pytest.mark.parametrize(
    "layer, config, shape",
    [setup for setup in SETUPS if not of_ids(setup[2])],
    ids=[n for n, s in zip(NAMES, SETUPS) if not of_ids(s[2])],
)
WITHOUT = {"CenteredLayer", "ScaledReLU", "HalfSpectrum"}
FLOATS = ("float16", "float32", "float64", "bfloat16")


@pytest.fixture
def pairs(framework):
    """MXNet has no bfloat16 on the CPU."""
    own = FLOATS[:3] if framework == "mxnet" else FLOATS
    return [(a, b) for a, b in itertools.product(own, own) if a != b]


@EVERY_SETUP
def test_x_of_another_dtype(
    framework, adapter, pairs, layer, config, shape
):
    """Before anything is computed, or a range has moved."""
    shapes = adapter.shapes(layer, config)
    params = {n: np.ones(s, np.float32) for n, s in shapes.items()}
    x = np.ones(shape, np.float32)
    for own, other in pairs:
        made = adapter.build(layer, config, params, own).call
        given = adapter.to_tensor(x, other)
        if framework == "tf" and layer != "HalfSpectrum":
            # Keras casts to the layer's dtype: that is its policy
            if own in ("float32", "float64"):
                assert made(given).dtype.name == own
            continue
        if layer in WITHOUT:
            if layer != "HalfSpectrum" or other in (
                "float32",
                "float64",
            ):
                assert made(given).dtype == given.dtype
            continue
        words = f"expected .*{own}.*, got {other}"
        if layer[:3] in ("PAC", "LSQ"):  # 16 bits become float32
            if "float64" not in (own, other):
                continue
            words = "expected .*, got float"
        with pytest.raises(TypeError, match=words):
            made(given)


FUNCTIONS = {
    "linear": dict(weight=(3, 7), bias=(3,)),
    "linear_relu": dict(weight=(3, 7), bias=(3,)),
    "bilinear": dict(weight=(7, 7, 3)),
    "rms_norm": dict(weight=(7,)),
    "weighted_sum": dict(weight=(7,)),
    "manual_linear": dict(weight=(3, 7), bias=(3,)),
    "standardized_conv2d": dict(weight=(5, 2, 3, 3), bias=(5,)),
    "code_linear": dict(
        weight=(3, 7), bias=(3,), x_scale=(), w_scale=(3,)
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_array_of_another_dtype(package, adapter, pairs, name):
    conv = name == "standardized_conv2d"
    shapes = dict(x=(4, 2, 7, 6) if conv else (4, 7)) | FUNCTIONS[name]
    for own, other in pairs:
        for odd in shapes:
            arrays = {
                n: adapter.to_tensor(
                    np.ones(s, np.float32), other if n == odd else own
                )
                for n, s in shapes.items()
            }
            want = own if odd == "x" else other
            got = other if odd == "x" else own
            words = f"{name}: x expected {want}, got {got}"
            words = words.replace("linear_relu", "linear")
            with pytest.raises(TypeError, match=words):
                getattr(package, name)(**arrays)

"""Bad input: the same kind of error, in the same words, in all four."""

import numpy as np
import pytest

LINEAR = dict(in_features=7, out_features=3)
MLP = dict(input_size=7, hidden_size=11, output_size=3)
CONFIGS = {
    "CenteredLayer": {},
    "Linear": LINEAR,
    "LinearReLU": LINEAR,
    "ScaledReLU": dict(scale=0.5),
    "MLP": MLP,
    "TensorReduction": LINEAR,
    "HalfSpectrum": {},
    "RMSNorm": dict(dim=7),
}
WITH_WIDTH = (
    "Linear",
    "LinearReLU",
    "MLP",
    "RMSNorm",
    "TensorReduction",
)
WITH_PARAMS = {
    "Linear": "weight",
    "LinearReLU": "bias",
    "MLP": "layer2.weight",
    "RMSNorm": "weight",
    "TensorReduction": "weight",
}
EVERY_LAYER = pytest.mark.parametrize("layer", CONFIGS)


def built(adapter, layer):
    shapes = adapter.shapes(layer, CONFIGS[layer])
    params = {n: np.ones(s, np.float32) for n, s in shapes.items()}
    return adapter.build(layer, CONFIGS[layer], params, "float32")


def refused(error, *words):
    """The error is raised, and its message has all of these words."""
    return pytest.raises(error, match="(?s)" + ".*".join(words))


@EVERY_LAYER
@pytest.mark.parametrize(
    "dtype", ["int32", "int8", "bool", "complex64"]
)
def test_not_a_real_floating_dtype(adapter, layer, dtype):
    x = np.ones((5, 7), dtype)
    with refused(TypeError, "x expected ", "float", "got", dtype):
        adapter.run(built(adapter, layer), {"x": x})


@pytest.mark.parametrize("layer", WITH_WIDTH)
@pytest.mark.parametrize("shape", [(5, 6), (7, 5), (), (5, 7, 1)])
def test_wrong_width_or_rank(adapter, layer, shape):
    x = np.ones(shape, np.float32)
    got = str(shape).replace("(", r"\(").replace(")", r"\)")
    with refused(
        ValueError, r"x expected shape \(\.\.\., [CI]=7\)", got
    ):
        adapter.run(built(adapter, layer), {"x": x})


def test_half_spectrum_needs_an_axis(adapter):
    x = np.ones((), np.float32)
    with refused(
        ValueError, r"x expected shape \(\.\.\., N\)", r"\(\)"
    ):
        adapter.run(built(adapter, "HalfSpectrum"), {"x": x})


def test_half_spectrum_needs_a_sample(adapter):
    x = np.ones((5, 0), np.float32)
    with refused(ValueError, "x expected N >= 1", r"\(5, 0\)"):
        adapter.run(built(adapter, "HalfSpectrum"), {"x": x})


def test_half_spectrum_needs_float32_or_float64(adapter, package):
    x = adapter.to_tensor(np.ones((5, 7), np.float32), "float16")
    with refused(TypeError, "x expected float32 or float64", "float16"):
        package.half_spectrum(x)


@pytest.mark.parametrize(
    "function, more",
    [
        ("centered", 0),
        ("scaled_relu", 0),
        ("half_spectrum", 0),
        ("linear", 1),
        ("linear_relu", 1),
        ("bilinear", 1),
        ("rms_norm", 1),
    ],
)
def test_not_an_array(adapter, package, function, more):
    weight = adapter.to_tensor(np.ones((3, 3), np.float32), "float32")
    with refused(TypeError, "x expected an array", "got list"):
        getattr(package, function)([1.0, 2.0], *[weight] * more)


def test_unknown_layer(adapter):
    with refused(
        ValueError, "layer expected one of .*Linear", "'Dense'"
    ):
        adapter.build("Dense", {}, {}, "float32")


def test_unknown_precision(adapter):
    with refused(
        ValueError, "precision expected .*float64", "'float8'"
    ):
        adapter.build("CenteredLayer", {}, {}, "float8")


def test_unknown_configuration(adapter):
    with refused(TypeError, "units"):
        adapter.build("Linear", dict(LINEAR, units=3), {}, "float32")


@pytest.mark.parametrize("layer", WITH_PARAMS)
def test_parameter_names(adapter, layer):
    shapes = adapter.shapes(layer, CONFIGS[layer])
    params = {n: np.ones(s, np.float32) for n, s in shapes.items()}
    name = WITH_PARAMS[layer]
    missing = {n: p for n, p in params.items() if n != name}
    renamed = missing | {"kernel": params[name]}
    for wrong in (missing, renamed, params | {"kernel": params[name]}):
        words = (
            "params expected",
            name,
            "got",
            str(sorted(wrong))[1:-1],
        )
        with refused(ValueError, *words):
            adapter.build(layer, CONFIGS[layer], wrong, "float32")


@pytest.mark.parametrize("layer", WITH_PARAMS)
def test_parameter_shapes_and_dtypes(adapter, layer):
    shapes = adapter.shapes(layer, CONFIGS[layer])
    params = {n: np.ones(s, np.float32) for n, s in shapes.items()}
    name = WITH_PARAMS[layer]
    good = params[name]
    name_in_text = name.replace(".", r"\.")
    for wrong in (good[..., None], good[..., :-1], good.T[None]):
        words = (name_in_text, "expected shape", "got")
        with refused(ValueError, *words):
            adapter.build(
                layer, CONFIGS[layer], params | {name: wrong}, "float32"
            )
    for dtype in ("int32", "complex64"):
        wrong = params | {name: good.astype(dtype)}
        words = (name_in_text, "expected a real floating", "got", dtype)
        with refused(TypeError, *words):
            adapter.build(layer, CONFIGS[layer], wrong, "float32")


def test_parameters_of_a_layer_without_any(adapter):
    with refused(ValueError, r"params expected \[\], got \['weight'\]"):
        params = dict(weight=np.ones(3, np.float32))
        adapter.build("CenteredLayer", {}, params, "float32")

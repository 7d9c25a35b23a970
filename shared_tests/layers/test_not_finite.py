"""NaN and infinity stand in the same places in the four."""

import numpy as np
import pytest

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

NAN, INF = np.nan, np.inf
X = np.float32([0.25, 0.5, -1.0, 2.0, 1.5])


def spectrum(*x):
    return "HalfSpectrum", {}, {}, x, np.ones((len(x) // 2 + 1, 2))


def quantizer(layer, cotangent, **params):
    numbers = {n: np.float32(p) for n, p in params.items()}
    return layer, {}, numbers, X, cotangent


# the case, an array of the result, and what it must be
CASES = {
    "nan has no imaginary part in coefficient 0": (
        spectrum(1.0, NAN, 2.0),
        "out.y",
        [[NAN, 0.0], [NAN, NAN]],
    ),
    "nor has it in a transform of two": (
        spectrum(NAN, 1.0),
        "out.y",
        [[NAN, 0.0], [NAN, 0.0]],
    ),
    "nor in a transform of one": (
        spectrum(NAN),
        "out.y",
        [[NAN, 0.0]],
    ),
    "the offset of what is inside": (
        quantizer(
            "LSQPlus", np.full(5, INF), step=np.float32(9), offset=0
        ),
        "grad.offset",
        NAN,
    ),
}


@pytest.mark.parametrize("spoiled", ["x", "weight", "bias"])
def test_nan_goes_through_whole_numbers(package, adapter, spoiled):
    """Sums of codes are whole numbers, and int32 has no NaN."""
    arrays = dict(x=np.ones((2, 3)), weight=np.ones((4, 3)))
    arrays |= dict(bias=np.ones(4), x_scale=np.ones(()))
    arrays |= dict(w_scale=np.ones(4))
    arrays[spoiled].flat[0] = NAN
    y = package.code_linear(
        **{
            n: adapter.to_tensor(a, "float32")
            for n, a in arrays.items()
        }
    )
    wanted = np.full((2, 4), 4.0)
    seen = np.s_[0] if spoiled == "x" else np.s_[:, 0]
    wanted[seen] = NAN
    np.testing.assert_array_equal(adapter.to_numpy(y), wanted)


@pytest.mark.parametrize("layer", ["attention", "attention_tiled"])
def test_a_masked_key_is_not_seen(layer, adapter):
    """One key is open: y is its value, whatever the other key is."""
    k = np.float32([[[[0.5, 2.0], [NAN, INF]]]])
    v = np.float32([[[[1.5, -2.0], [7.0, 9.0]]]])
    inputs = dict(q=k[:, :, :1], k=k, v=v)
    inputs["attn_mask"] = np.array([[True, False]])
    built = adapter.build(layer, {}, {})
    y = adapter.run(built, inputs)["out.y"]
    np.testing.assert_array_equal(y, v[:, :, :1])


@pytest.mark.parametrize("name", CASES)
def test_where_they_stand(name, adapter):
    (layer, config, params, x, dy), array, wanted = CASES[name]
    built = adapter.build(layer, config, params)
    inputs = {"x": np.float32(x)}
    found = adapter.run(built, inputs, {"y": np.float32(dy)})[array]
    np.testing.assert_array_equal(found, np.float32(wanted))

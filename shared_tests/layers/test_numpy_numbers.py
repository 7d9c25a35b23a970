"""NumPy's integers are sizes, axes and bits as Python's are; no float is."""

import numpy as np
import pytest

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

LAYERS = {
    "Linear": dict(in_features=7, out_features=100),
    "LinearReLU": dict(in_features=7, out_features=3),
    "MLP": dict(input_size=7, hidden_size=100, output_size=3),
    "TensorReduction": dict(in_features=100, out_features=3),
    "RMSNorm": dict(dim=7),
    "WeightedSum": dict(in_features=7),
    "ManualLinear": dict(in_features=7, out_features=3),
    "StandardizedConv2d": dict(
        in_channels=2,
        out_channels=5,
        kernel_size=3,
        stride=2,
        padding=1,
    ),
    # 3 x 100 rows, and 4 x 100 in the block: neither fits into int8
    "MultiHeadAttention": dict(
        embed_dim=100, num_heads=4, num_kv_heads=2
    ),
    "TransformerClassifier": dict(
        input_dim=5,
        embed_dim=100,
        num_heads=4,
        num_layers=1,
        num_classes=3,
    ),
}
EVERY = pytest.mark.parametrize("layer", LAYERS)
KINDS = (np.int8, np.uint8, np.int64)


@EVERY
@pytest.mark.parametrize("kind", KINDS)
def test_sizes(adapter, layer, kind):
    config = {n: kind(size) for n, size in LAYERS[layer].items()}
    found = adapter.shapes(layer, config)
    assert found == adapter.shapes(layer, LAYERS[layer])


@EVERY
@pytest.mark.parametrize("kind", [float, np.float64, np.float32])
def test_floats_are_no_sizes(adapter, layer, kind):
    """Each alone: the message names the number."""
    for name, size in LAYERS[layer].items():
        if name != "num_layers":
            config = LAYERS[layer] | {name: kind(size)}
            words = r"expected an integer of at least \d, got .*\d\.0"
            with pytest.raises(ValueError, match=words):
                adapter.shapes(layer, config)


@pytest.mark.parametrize("flag", [True, np.True_])
def test_a_truth_value_is_no_size(adapter, flag):
    words = "expected an integer of at least 1, got .*True"
    for name in ("in_features", "out_features"):
        with pytest.raises(ValueError, match=words):
            adapter.shapes("Linear", LAYERS["Linear"] | {name: flag})


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_of_keys(adapter, kind):
    x = np.random.default_rng(0).standard_normal((1, 2, 300, 3))
    found = []
    for size in (100, kind(100)):
        config = dict(block_size=size)
        built = adapter.build("attention_tiled", config, {}, "float64")
        y = {"y": np.ones_like(x)}
        found.append(adapter.run(built, dict(q=x, k=x, v=x), y))
    assert all((found[0][n] == found[1][n]).all() for n in found[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [2, 8, 16])
def test_bits_and_axes(package, adapter, kind, bits):
    from importlib import import_module

    codes = import_module(f"{package.__name__}.quantization.codes")
    for signed in (True, False):
        found = codes.code_range(kind(bits), signed)
        assert found == codes.code_range(bits, signed)
        assert {type(n) for n in found} == {int}
    numbers = np.arange(6, dtype=np.float32).reshape(2, 3)
    x = adapter.to_tensor(numbers, "float32")
    assert codes.check_axis("test", x, kind(1)) == (3,)
    assert codes.rows(x, kind(1)).shape == (3, 2)


@pytest.mark.parametrize("bits", [8.0, np.float64(8), "8"])
def test_bits_are_integers(package, bits):
    from importlib import import_module

    codes = import_module(f"{package.__name__}.quantization.codes")
    with pytest.raises(ValueError, match=r"bits expected .*, got .*8"):
        codes.code_range(bits)

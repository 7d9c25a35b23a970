"""Bad input: the same kind of error, in the same words, in all four."""

import re

import numpy as np
import pytest

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

LINEAR = dict(in_features=7, out_features=3)
MLP = dict(input_size=7, hidden_size=11, output_size=3)
CONFIGS = {
    "CenteredLayer": {},
    "Linear": LINEAR,
    "LinearReLU": LINEAR,
    "ScaledReLU": dict(scale=0.5),
    "MLP": MLP,
    "TensorReduction": LINEAR,
    "TiedMLP": dict(features=7),
    "HalfSpectrum": {},
    "RMSNorm": dict(dim=7),
    "WeightedSum": dict(in_features=7),
    "ManualLinear": LINEAR,
    "StandardizedConv2d": dict(
        in_channels=2, out_channels=5, kernel_size=3
    ),
    "MultiHeadAttention": dict(embed_dim=12, num_heads=3),
    "TransformerClassifier": dict(
        input_dim=5,
        embed_dim=12,
        num_heads=3,
        num_layers=1,
        num_classes=4,
    ),
}
WITH_WIDTH = (
    "Linear",
    "LinearReLU",
    "MLP",
    "RMSNorm",
    "TensorReduction",
    "TiedMLP",
    "WeightedSum",
)
WITH_PARAMS = {
    "Linear": "weight",
    "LinearReLU": "bias",
    "MLP": "layer2.weight",
    "RMSNorm": "weight",
    "TensorReduction": "weight",
    "TiedMLP": "layer2.bias",
    "WeightedSum": "weight",
    "ManualLinear": "weight",
    "StandardizedConv2d": "weight",
    "MultiHeadAttention": "qkv.weight",
    "TransformerClassifier": "blocks.0.attention.out.weight",
}
BAG = dict(num_embeddings=11, embedding_dim=3)
OF_IDS = {
    "EmbeddingBag": BAG,
    "TextClassifier": BAG | dict(num_classes=4),
}
CONFIGS |= OF_IDS
WITH_PARAMS["EmbeddingBag"] = "weight"
WITH_PARAMS["TextClassifier"] = "bag.weight"
EVERY_LAYER = pytest.mark.parametrize(
    "layer", [layer for layer in CONFIGS if layer not in OF_IDS]
)


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


@pytest.mark.parametrize(
    "layer, wanted, shapes",
    [
        ("ManualLinear", "N, I=7", [(7,), (5, 6), (2, 5, 7)]),
        (
            "StandardizedConv2d",
            "B, C=2, H, W",
            [(2, 7, 8), (4, 3, 7, 8), (1, 4, 2, 7, 8)],
        ),
        (
            "MultiHeadAttention",
            "B, N, C=12",
            [(5, 12), (2, 5, 11), (1, 2, 5, 12)],
        ),
        (
            "TransformerClassifier",
            "B, N, I=5",
            [(7, 5), (3, 7, 4), (1, 3, 7, 5)],
        ),
    ],
)
def test_wrong_axes(adapter, layer, wanted, shapes):
    for shape in shapes:
        x = np.ones(shape, np.float32)
        words = rf"x expected shape \({wanted}\)", re.escape(str(shape))
        with refused(ValueError, *words):
            adapter.run(built(adapter, layer), {"x": x})


@pytest.mark.parametrize(
    "shape, axis", [((1, 2, 2, 8), "H"), ((1, 2, 7, 2), "W")]
)
def test_an_image_smaller_than_the_kernel(adapter, shape, axis):
    x = np.ones(shape, np.float32)
    words = f"{axis} of x expected an integer of at least 3", "got 2"
    with refused(ValueError, *words):
        adapter.run(built(adapter, "StandardizedConv2d"), {"x": x})


def test_padding_makes_an_image_larger(adapter):
    """5 rows are needed, 1 is added at each end: 3 are enough."""
    config = dict(in_channels=2, out_channels=3, kernel_size=5)
    x = np.ones((1, 2, 2, 8), np.float32)
    shapes = adapter.shapes("StandardizedConv2d", config)
    params = {n: np.ones(s, np.float32) for n, s in shapes.items()}
    layer = adapter.build(
        "StandardizedConv2d", config | dict(padding=1), params
    )
    with refused(ValueError, "H of x expected .* at least 3", "got 2"):
        adapter.run(layer, {"x": x})
    taller = np.ones((1, 2, 3, 8), np.float32)
    assert adapter.run(layer, {"x": taller})["out.y"].shape[2] == 1


@pytest.mark.parametrize(
    "layer, change, words",
    [
        (
            "MultiHeadAttention",
            dict(num_heads=5),
            "embed_dim .*num_heads=5, got 12",
        ),
        (
            "MultiHeadAttention",
            dict(num_kv_heads=2),
            "num_heads .*num_kv_heads=2, got 3",
        ),
        (
            "MultiHeadAttention",
            dict(num_heads=0),
            "num_heads .*at least 1, got 0",
        ),
        (
            "StandardizedConv2d",
            dict(kernel_size=0),
            "kernel_size .*at least 1, got 0",
        ),
        (
            "StandardizedConv2d",
            dict(stride=0),
            "stride .*at least 1, got 0",
        ),
        (
            "StandardizedConv2d",
            dict(padding=-1),
            "padding .*at least 0, got -1",
        ),
        (
            "StandardizedConv2d",
            dict(stride=1.5),
            "stride .*an integer .*got 1.5",
        ),
    ],
)
def test_impossible_sizes(adapter, layer, change, words):
    with refused(ValueError, words):
        adapter.shapes(layer, CONFIGS[layer] | change)


NAN, INFINITY = float("nan"), float("inf")
HUGE = 2**60  # times 8 bytes: 63 bits cannot count them


@pytest.mark.parametrize(
    "size",
    [NAN, INFINITY, 1 + 0j, "7", b"7", None, [7], np.ones(1, int), 7.0],
    ids=repr,
)
@pytest.mark.parametrize(
    "layer, name", [("Linear", "out_features"), ("RMSNorm", "dim")]
)
def test_a_size_that_is_no_integer(adapter, layer, name, size):
    words = "expected an integer of at least 1, got"
    with refused(ValueError, words, re.escape(repr(size))):
        adapter.shapes(layer, CONFIGS[layer] | {name: size})


@pytest.mark.parametrize("value", [NAN, 1j, "1", b"1", None, [1.0]])
@pytest.mark.parametrize(
    "layer, name", [("ScaledReLU", "scale"), ("RMSNorm", "eps")]
)
def test_a_factor_that_is_no_number(adapter, layer, name, value):
    words = f"{name} expected a number, got"
    with refused(ValueError, words, re.escape(repr(value))):
        adapter.shapes(layer, CONFIGS[layer] | {name: value})


@pytest.mark.parametrize(
    "layer, change",
    [
        ("Linear", dict(in_features=2**30, out_features=2**30)),
        ("Linear", dict(in_features=2**70, out_features=1)),
        ("LinearReLU", dict(in_features=2**32, out_features=2**32)),
        ("ManualLinear", dict(in_features=2**63, out_features=1)),
        ("WeightedSum", dict(in_features=HUGE)),
        ("RMSNorm", dict(dim=HUGE)),
        ("RMSNorm", dict(dim=2**70)),
        (
            "TensorReduction",
            dict(in_features=2**22, out_features=2**22),
        ),
        ("TiedMLP", dict(features=2**40)),
        ("MLP", dict(input_size=2**40, hidden_size=2**40)),
        (
            "StandardizedConv2d",
            dict(
                in_channels=2**15, out_channels=2**15, kernel_size=2**15
            ),
        ),
        ("MultiHeadAttention", dict(embed_dim=2**40, num_heads=1)),
        ("TransformerClassifier", dict(embed_dim=2**62, num_heads=1)),
        ("LSQ", dict(axis=0, num_channels=HUGE)),
    ],
)
def test_more_numbers_than_can_be_counted(
    package, adapter, layer, change
):
    """JAX ended the process, MXNet made a layer of such a shape."""
    words = r"shape expected fewer than 2\^60 numbers, got \("
    config = CONFIGS.get(layer, {}) | change
    with refused(ValueError, words):
        if adapter.__name__.startswith("jax"):
            from flax import nnx

            make = getattr(package, layer)
            rngs = (
                {}
                if layer in ("LSQ", "RMSNorm")
                else {"rngs": nnx.Rngs(0)}
            )
            make(**config, **rngs)
        else:
            adapter.shapes(layer, config)


# arrays of NumPy that are no numbers, or none of a framework
STRANGE = {
    "objects": np.ones((5, 7), object),
    "texts": np.full((5, 7), "1"),
    "bytes": np.full((5, 7), b"1"),
    "dates": np.zeros((5, 7), "M8[s]"),
    "records": np.zeros((5, 7), [("a", "f4")]),
    "void": np.zeros((5, 7), "V4"),
    "long doubles": np.ones((5, 7), np.longdouble),
    "complex": np.ones((5, 7), np.complex64),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_an_array_of_no_numbers(package, kind):
    for function in (package.centered, package.scaled_relu):
        with refused(TypeError, "x expected "):
            function(STRANGE[kind])


@pytest.mark.parametrize("kind", STRANGE)
def test_a_parameter_of_no_numbers(adapter, kind):
    params = dict(weight=STRANGE[kind][:3], bias=np.ones(3))
    words = "Linear.weight expected a real floating dtype, got"
    with refused(TypeError, words):
        adapter.build("Linear", LINEAR, params, "float32")


def test_the_layout_of_an_array_changes_nothing(adapter):
    """Bytes in the other order, strides that are negative or 0, and
    memory that nobody may write to."""
    rng = np.random.default_rng(0)
    x = rng.integers(-4, 5, (5, 7)).astype(np.float32)
    weight = rng.integers(-4, 5, (3, 7)).astype(np.float32)
    bias = np.float32([1, 1, 1])

    def run(change):
        params = dict(weight=change(weight), bias=change(bias))
        layer = adapter.build("Linear", LINEAR, params, "float32")
        return adapter.run(layer, {"x": change(x)})["out.y"]

    def other_order(a):
        return a.astype(a.dtype.newbyteorder())

    def backwards(a):
        return np.ascontiguousarray(np.flip(a))[
            tuple(slice(None, None, -1) for _ in a.shape)
        ]

    def read_only(a):
        a = a.copy()
        a.flags.writeable = False
        return a

    want = run(lambda a: a)
    assert want.tolist() == (x @ weight.T + 1).tolist()
    for change in (
        other_order,
        backwards,
        read_only,
        np.asfortranarray,
    ):
        assert run(change).tobytes() == want.tobytes()


QKV = dict(q=(2, 6, 5, 4), k=(2, 3, 7, 4), v=(2, 3, 7, 4))
VARIANTS = pytest.mark.parametrize(
    "function", ["attention", "attention_tiled"]
)


def attend(adapter, function, shapes=(), dtypes=(), **config):
    """Run it on ones of these shapes and dtypes, else those of QKV."""
    shapes, dtypes = QKV | dict(shapes), dict(dtypes)
    xs = {
        name: np.ones(shape, dtypes.get(name, np.float32))
        for name, shape in shapes.items()
    }
    adapter.run(adapter.build(function, config, {}), xs)


@VARIANTS
@pytest.mark.parametrize(
    "shapes, words",
    [
        (
            dict(q=(6, 5, 4)),
            r"q expected shape \(B, H, N, D\), got \(6,",
        ),
        (dict(k=(3, 7, 4)), r"k expected shape \(B=2, G, M, D=4\)"),
        (dict(k=(1, 3, 7, 4)), r"k expected .*B=2.*got \(1, 3, 7, 4\)"),
        (dict(k=(2, 3, 7, 5)), r"k expected .*D=4.*got \(2, 3, 7, 5\)"),
        (dict(v=(2, 3, 8, 4)), r"v expected .*M=7.*got \(2, 3, 8, 4\)"),
        (dict(v=(2, 2, 7, 4)), r"v expected .*G=3.*got \(2, 2, 7, 4\)"),
        (
            dict(q=(2, 5, 5, 4)),
            "H expected a multiple of G=3, got 5",
        ),
        (
            dict(k=(2, 3, 0, 4), v=(2, 3, 0, 4)),
            "M expected an integer of at least 1, got 0",
        ),
    ],
)
def test_shapes_of_attention(adapter, function, shapes, words):
    with refused(ValueError, f"{function}: {words}"):
        attend(adapter, function, shapes)


@VARIANTS
@pytest.mark.parametrize("array", ["q", "k", "v"])
def test_dtypes_of_attention(adapter, function, array):
    dtypes = {array: np.int32}
    with refused(
        TypeError, f"{function}: {array} expected", "got int32"
    ):
        attend(adapter, function, dtypes=dtypes)


@VARIANTS
def test_attention_mixes_no_dtypes(adapter, package, function):
    q, k, v = (
        adapter.to_tensor(np.ones(shape, np.float32), precision)
        for shape, precision in zip(
            QKV.values(), ("float32", "float16", "float32")
        )
    )
    words = "k expected float32, got float16"
    with refused(TypeError, f"{function}: {words}"):
        getattr(package, function)(q, k, v)


@VARIANTS
@pytest.mark.parametrize(
    "shape", [(6,), (5, 6), (3, 6, 5, 7), (1, 2, 6, 5, 7)]
)
def test_a_mask_that_does_not_broadcast(adapter, function, shape):
    words = r"attn_mask expected .*broadcasts to \(2, 6, 5, 7\)"
    got = re.escape(str(shape))
    with refused(ValueError, f"{function}: {words}", got):
        attend(
            adapter, function, {"attn_mask": shape}, {"attn_mask": bool}
        )


@VARIANTS
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_a_mask_of_numbers(adapter, function, dtype):
    words = f"attn_mask expected bool, got {dtype}"
    with refused(TypeError, f"{function}: {words}"):
        attend(
            adapter,
            function,
            {"attn_mask": (5, 7)},
            {"attn_mask": dtype},
        )


@pytest.mark.parametrize("size", [0, -1, 2.5])
def test_an_impossible_block(adapter, size):
    words = "block_size expected an integer of at least 1"
    with refused(ValueError, words, f"got {size}"):
        attend(adapter, "attention_tiled", block_size=size)


OF_EVERY_ID = pytest.mark.parametrize("layer", OF_IDS)


@OF_EVERY_ID
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "bool"])
def test_ids_of_another_dtype(adapter, layer, dtype):
    x = np.ones((5, 7), dtype)
    with refused(TypeError, "x expected int32 or int64", "got", dtype):
        adapter.run(built(adapter, layer), {"x": x})


@OF_EVERY_ID
@pytest.mark.parametrize("shape", [(), (7,), (2, 5, 7)])
def test_bags_of_another_rank(adapter, layer, shape):
    x = np.ones(shape, np.int32)
    words = r"x expected shape \(B, L\)", re.escape(str(shape))
    with refused(ValueError, *words):
        adapter.run(built(adapter, layer), {"x": x})


@OF_EVERY_ID
def test_bags_without_a_place(adapter, layer):
    x = np.ones((5, 0), np.int32)
    words = "L of x expected an integer of at least 1", "got 0"
    with refused(ValueError, *words):
        adapter.run(built(adapter, layer), {"x": x})


@OF_EVERY_ID
@pytest.mark.parametrize("wrong", [-1, -12, 11, 1000, 2**31 - 1])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_an_id_that_names_no_row(adapter, layer, wrong, dtype):
    """Some frameworks clamp it, count it from the end or read on."""
    x = np.ones((5, 7), dtype)
    x[3, 2] = wrong
    words = f"embedding_bag: x expected ids from 0 to 10, got {wrong}"
    with refused(ValueError, words):
        adapter.run(built(adapter, layer), {"x": x})
    counts = np.ones(x.shape, bool)
    counts[3, 2] = False  # then it may be any number
    y = adapter.run(built(adapter, layer), dict(x=x, bag_mask=counts))
    assert np.isfinite(y["out.y"]).all()


@OF_EVERY_ID
@pytest.mark.parametrize(
    "shape, dtype, error, words",
    [
        ((5, 6), bool, ValueError, r"shape \(B=5, L=7\), got \(5, 6\)"),
        ((1, 7), bool, ValueError, r"shape \(B=5, L=7\), got \(1, 7\)"),
        ((7,), bool, ValueError, r"shape \(B=5, L=7\), got \(7,\)"),
        ((5, 7), "float32", TypeError, "bool, got float32"),
        ((5, 7), "int32", TypeError, "bool, got int32"),
    ],
)
def test_a_mask_of_bags(adapter, layer, shape, dtype, error, words):
    inputs = dict(
        x=np.ones((5, 7), "i4"), bag_mask=np.ones(shape, dtype)
    )
    with refused(error, f"bag_mask expected {words}"):
        adapter.run(built(adapter, layer), inputs)


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
        ("weighted_sum", 1),
        ("manual_linear", 2),
    ],
)
def test_not_an_array(adapter, package, function, more):
    weight = adapter.to_tensor(np.ones((3, 3), np.float32), "float32")
    with refused(TypeError, "x expected an array of ", "got list"):
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

"""NumPy's numbers are sizes, axes, bits and factors as Python's are.

The signatures say which arguments there are, so that a new layer is
asked as well: an argument without a value here fails.
"""

import importlib
import inspect
import itertools
import json

import numpy as np
import pytest

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

# 3 x 100 rows, 7 x 100 weights, 100 x qmax: none of them fits into int8
WHOLE = dict(
    in_features=7,
    out_features=100,
    input_size=7,
    hidden_size=100,
    output_size=3,
    features=7,
    dim=7,
    in_channels=2,
    out_channels=5,
    kernel_size=3,
    stride=2,
    padding=1,
    embed_dim=100,
    num_heads=4,
    num_kv_heads=2,
    input_dim=5,
    num_layers=1,
    num_classes=3,
    bits=4,
    weight_bits=4,
    input_bits=3,
    num_elements=100,
    axis=1,
    num_channels=7,
    block_size=100,
    num_embeddings=100,
    embedding_dim=5,
)
REAL = dict(
    scale=0.25, eps=0.125, alpha_init=2.0, momentum=0.25, percent=75.0
)
FLAGS = dict(
    bias=True,
    out_proj=True,
    causal=True,
    signed=True,
    narrow_range=True,
    input_signed=True,
)
OTHERS = {"attention", "weight_quantizer", "input_quantizer", "rngs"}
OF_IDS = {"EmbeddingBag", "TextClassifier"}
SHAPES = {
    "StandardizedConv2d": (2, 2, 7, 6),
    "MultiHeadAttention": (2, 3, 100),
    "TransformerClassifier": (2, 3, 5),
}
QKV = dict(q=(1, 4, 300, 3), k=(1, 2, 300, 3), v=(1, 2, 300, 3))
QUANTIZED = dict(x=(4, 7), scale=(7,), zero_point=())
LINEAR = dict(x=(4, 7), weight=(3, 7), bias=(3,))
# of functions: the arrays that they take
ARRAYS = {
    "attention": QKV | dict(attn_mask=()),
    "attention_tiled": QKV | dict(attn_mask=()),
    "bilinear": dict(x=(4, 7), weight=(7, 7, 3)),
    "centered": dict(x=(4, 7)),
    "code_linear": LINEAR | dict(x_scale=(), w_scale=(3,)),
    "embedding_bag": dict(x=(4, 7), weight=(100, 5), bag_mask=(4, 7)),
    "fake_quantize": QUANTIZED,
    "half_spectrum": dict(x=(4, 7)),
    "linear": LINEAR,
    "linear_relu": LINEAR,
    "lsq": dict(x=(4, 7), step=(7,)),
    "lsq_plus": dict(x=(4, 7), step=(7,), offset=(7,)),
    "manual_linear": LINEAR,
    "pact": dict(x=(4, 7), alpha=()),
    "quantize": QUANTIZED,
    "rms_norm": dict(x=(4, 7), weight=(7,)),
    "scaled_relu": dict(x=(4, 7)),
    "standardized_conv2d": dict(
        x=(2, 2, 7, 6), weight=(5, 2, 3, 3), bias=(5,)
    ),
    "weighted_sum": dict(x=(4, 7), weight=(7,)),
    # they take a model
    "convert": None,
    "from_builtin": None,
    "prepare": None,
    "set_mode": None,
    "to_builtin": None,
}
OBSERVERS = (
    "MinMaxObserver",
    "MovingAverageObserver",
    "PercentileObserver",
)
INTEGERS = (np.int8, np.uint8, np.int16, np.int32, np.int64)
FLOATS = (np.float16, np.float32, np.float64)


def names():
    """Of every environment the same: test_lineup.py holds that."""
    folder = importlib.import_module("shared_tests.side_by_side.pages")
    text = (folder.ROOT / "pytorch_impl" / "__init__.py").read_text()
    start = text.index("__all__ = [")
    return json.loads(
        text[start + len("__all__ = ") :]
        .split("]")[0]
        .rstrip()
        .rstrip(",")
        + "]"
    )


NAMES = [n for n in names() if ARRAYS.get(n, {}) is not None]
EVERY = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def arguments(package):
    def arguments(name):
        found = getattr(package, name)
        found = getattr(found, "__init__", found)
        if not inspect.isclass(getattr(package, name)):
            found = getattr(package, name)
        own = inspect.signature(found).parameters
        arrays = ARRAYS.get(name, {})
        rest = {"self", "kwargs", "args", *OTHERS, *arrays}
        return [n for n in own if n not in rest]

    return arguments


def is_layer(name):
    return name[0].isupper()


def drawn(arrays):
    """Steps and scales have to be positive."""
    rng = np.random.default_rng(0)
    found = {n: rng.standard_normal(s) for n, s in arrays.items()}
    for n in {"scale", "step", "alpha", "x_scale", "w_scale"} & set(
        found
    ):
        found[n] = np.abs(found[n]) + 0.125
    found = {n: np.asarray(a, np.float32) for n, a in found.items()}
    if "zero_point" in found:
        found["zero_point"] = np.zeros(arrays["scale"], np.int32)
    found.pop("attn_mask", None)
    return found


@pytest.fixture
def run(adapter):
    """Outputs and gradients, with that configuration."""

    def run(name, config):
        params, inputs = {}, drawn(ARRAYS.get(name, {}))
        if is_layer(name):
            shapes = adapter.shapes(name, config)
            params = drawn(shapes)
            params |= {
                n: np.abs(a) + 0.125
                for n, a in params.items()
                if n.endswith(("step", "alpha"))
            }
            inputs = drawn(dict(x=SHAPES.get(name, (4, 7))))
        if name in OF_IDS:
            ids = np.arange(28, dtype=np.int32).reshape(4, 7)
            inputs = dict(x=3 * ids)
        built = adapter.build(name, config, params, "float32")
        y = adapter.run(built, inputs)["out.y"]
        cotangents = {"y": np.ones_like(y)}
        if name == "quantize":
            return {"out.y": y}
        return adapter.run(built, inputs, cotangents)

    return run


def config_of(arguments, name):
    return {
        n: (WHOLE | REAL | FLAGS)[n]
        for n in arguments(name)
        if n in WHOLE | REAL | FLAGS
    }


def same(a, b):
    assert a.keys() == b.keys()
    for n in a:
        assert a[n].dtype == b[n].dtype, n
        assert a[n].shape == b[n].shape, n
        assert np.array_equal(a[n], b[n]), n


@EVERY
def test_every_argument_has_a_value_here(arguments, name):
    known = WHOLE | REAL | FLAGS
    assert [n for n in arguments(name) if n not in known] == []
    if not is_layer(name):
        assert name in ARRAYS


@EVERY
def test_integers(arguments, run, name):
    config = config_of(arguments, name)
    whole = set(config) & set(WHOLE)
    if not whole:
        return
    expected = run(name, config)
    for kind in (*INTEGERS, np.array):
        numbers = {n: kind(config[n]) for n in whole}
        same(run(name, config | numbers), expected)


@EVERY
def test_factors(arguments, run, name):
    config = config_of(arguments, name)
    real = set(config) & set(REAL)
    if not real:
        return
    expected = run(name, config)
    for kind in (*FLOATS, np.array):
        numbers = {n: kind(config[n]) for n in real}
        same(run(name, config | numbers), expected)
    whole = {n: 2.0 for n in real}
    ints = {n: np.int8(2) for n in real}
    same(run(name, config | ints), run(name, config | whole))


@EVERY
def test_flags(arguments, run, name):
    config = config_of(arguments, name)
    flags = set(config) & set(FLAGS)
    if not flags:
        return
    for flag in (True, False):
        # unsigned codes have no first one to leave out
        given = dict.fromkeys(flags - {"signed"}, flag)
        numbers = {n: np.bool_(flag) for n in given}
        expected = run(name, config | given)
        same(run(name, config | numbers), expected)


NO_SIZES = (
    True,
    np.True_,
    np.array(True),
    2.5,
    np.float32(2),
    np.array(2.0),
    "3",
    [3],
    np.array([3]),
)


@EVERY
def test_what_is_no_integer(arguments, run, name):
    """Each alone: the message says what it got."""
    config = config_of(arguments, name)
    words = r"expected .*(integer|axis|2 to 8).*, got "
    for n, wrong in itertools.product(
        set(config) & set(WHOLE), NO_SIZES
    ):
        with pytest.raises(ValueError, match=words) as caught:
            run(name, config | {n: wrong})
        assert str(caught.value).endswith(repr(wrong)), (n, wrong)


@EVERY
def test_what_is_no_number(arguments, run, name):
    config = config_of(arguments, name)
    wrongs = True, np.True_, "0.5", [0.5], np.array([0.5]), 1j
    for n, wrong in itertools.product(set(config) & set(REAL), wrongs):
        with pytest.raises(ValueError, match=f"{n} expected a number"):
            run(name, config | {n: wrong})


@pytest.mark.parametrize("kind", INTEGERS)
def test_all_weights_are_counted(run, kind):
    """700 of them, where each output has a step of its own."""
    config = dict(in_features=7, out_features=100)
    more = dict(weight_quantizer="lsq")
    numbers = {n: kind(size) for n, size in config.items()}
    expected = run("QATLinear", config | more)
    same(run("QATLinear", numbers | more), expected)


@pytest.mark.parametrize("name", OBSERVERS)
def test_observers(package, adapter, name):
    """Axes, shares and factors of those who find a range."""
    home = f"{package.__name__}.quantization.observers"
    make = getattr(importlib.import_module(home), name)
    own = inspect.signature(make.__init__).parameters
    known = dict(axis=0, num_channels=4) | REAL
    config = {n: known[n] for n in own if n in known}
    assert set(own) <= {"self", "args", "kwargs", *known}
    x = np.random.default_rng(0).standard_normal((4, 50))
    x = adapter.to_tensor(x, "float32")
    found = []
    for whole, real in [(int, float), (np.int8, np.float32)]:
        observer = make(
            **{
                n: (real if n in REAL else whole)(v)
                for n, v in config.items()
            }
        )
        if hasattr(observer, "initialize"):
            observer.initialize()
        for _ in range(2):
            observer.observe(x)
        bounds = observer.bounds
        bounds = (
            bounds.data()
            if hasattr(bounds, "data") and callable(bounds.data)
            else bounds
        )
        found.append(
            np.asarray(
                bounds.asnumpy()
                if hasattr(bounds, "asnumpy")
                else bounds
            )
        )
    assert np.array_equal(*found)
    for n in config:
        with pytest.raises(ValueError, match=f"{n} expected .* True"):
            make(**config | {n: True})


@pytest.mark.parametrize("kind", INTEGERS)
@pytest.mark.parametrize("bits", [2, 8, 16])
def test_bits_and_axes(package, adapter, kind, bits):
    codes = importlib.import_module(
        f"{package.__name__}.quantization.codes"
    )
    for signed, narrow in [(True, True), (True, False), (False, False)]:
        flags = np.bool_(signed), np.bool_(narrow)
        found = codes.code_range(kind(bits), *flags)
        assert found == codes.code_range(bits, signed, narrow)
        assert {type(n) for n in found} == {int}
    numbers = np.arange(6, dtype=np.float32).reshape(2, 3)
    x = adapter.to_tensor(numbers, "float32")
    assert codes.check_axis("test", x, kind(1)) == (3,)
    assert codes.rows(x, kind(1)).shape == (3, 2)


@pytest.mark.parametrize("bits", [8.0, np.float64(8), "8", True])
def test_bits_are_integers(package, bits):
    codes = importlib.import_module(
        f"{package.__name__}.quantization.codes"
    )
    with pytest.raises(ValueError, match=r"bits expected .*, got "):
        codes.code_range(bits)


@pytest.mark.parametrize("kind", FLOATS)
def test_learning_rates(adapter, kind):
    """Weights keep their dtype, and their numbers are the same."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 4, 7)).astype(np.float32)
    inputs = dict(x=x, target=x[..., :3])
    config = dict(in_features=7, out_features=3)
    found = []
    for lr in (0.25, kind(0.25)):
        params = drawn(dict(weight=(3, 7), bias=(3,)))
        built = adapter.build("Linear", config, params, "float32")
        made = adapter.train(built, inputs, "squared_error", "adam", lr)
        found.append(made)
    same(*found)


@EVERY
def test_they_print_as_numbers(arguments, start, framework, name):
    if not is_layer(name):
        return
    config = config_of(arguments, name)
    made = {
        n: np.int8(v) if n in WHOLE else np.float64(v)
        for n, v in config.items()
        if n not in FLAGS
    }
    layer = start(name, made)
    assert "np.int8(" not in repr(layer)
    assert "np.float64(" not in repr(layer)
    if framework == "tf":
        text = json.dumps(layer.get_config())
        assert "numpy" not in text
        again = type(layer).from_config(json.loads(text))
        assert len(again.weights) == len(layer.weights)


@pytest.mark.parametrize("name", ["attention", "attention_tiled"])
def test_masks(package, adapter, framework, name):
    """What belongs to NumPy is taken where the framework takes it."""
    q, k, v = (
        adapter.to_tensor(a, "float32") for a in drawn(QKV).values()
    )
    mask = np.random.default_rng(1).random((300, 300)) < 0.5
    function = getattr(package, name)
    if framework == "jax":
        expected = function(q, k, v, adapter.to_tensor(mask, "float32"))
        assert np.array_equal(function(q, k, v, mask), expected)
        return
    words = "attn_mask expected an array of .*, got numpy.ndarray"
    with pytest.raises(TypeError, match=words):
        function(q, k, v, mask)


def test_arrays(package, adapter, framework):
    x, weight = np.ones((4, 7), np.float32), np.ones((3, 7), np.float32)
    if framework == "jax":
        assert (package.linear(x, weight) == 7).all()
        return
    weight = adapter.to_tensor(weight, "float32")
    words = "x expected an array of .*, got numpy.ndarray"
    with pytest.raises(TypeError, match=words):
        package.linear(x, weight)

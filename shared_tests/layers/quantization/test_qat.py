"""Observers, prepared models and converted ones.

Ranges and grids are one NumPy formula in the working precision, bit for
bit. What a prepared layer computes is what the converted one computes in
whole numbers, for 1,000 of 1,000 seeds, with equality and not a budget.
"""

import inspect
import warnings

import numpy as np
import pytest

from shared_tests.cases import CLASSIFIER
from shared_tests.layers.quantization.formulas import (
    bounds,
    define,
)
from shared_tests.layers.setups import set_arrays

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

SEEDS = 1000
EVERY_PRECISION = pytest.mark.parametrize(
    "precision", ["float32", "float64"]
)
OPTIONS = [
    dict(),
    dict(weight_bits=4, input_bits=4),
    dict(weight_bits=2, input_bits=3, input_quantizer="percentile"),
    dict(weight_bits=8, input_bits=8, input_quantizer="min_max"),
    dict(weight_bits=3, input_bits=8, input_quantizer="absmax"),
    dict(weight_bits=4, input_bits=2, input_quantizer="pact"),
    dict(weight_bits=3, input_bits=3, input_quantizer="lsq")
    | dict(weight_quantizer="lsq"),
    dict(weight_bits=8, input_bits=8, input_quantizer="lsq")
    | dict(weight_quantizer="lsq", input_signed=False),
]


@pytest.fixture(scope="module")
def made(framework, adapter, page):
    """made(page, class, ...): a layer that can be used at once."""

    def made(name, kind, *args, precision="float32", **options):
        if framework == "tf":
            options["dtype"] = precision
        make = getattr(page(name), kind)
        if "rngs" in inspect.signature(make.__init__).parameters:
            from flax import nnx

            options["rngs"] = nnx.Rngs(0)
        layer = make(*args, **options)
        dtype = adapter.PRECISIONS[precision]
        if framework == "pytorch":
            layer.to(dtype)
        if framework == "jax":
            from flax import nnx

            for _, state in nnx.to_flat_state(nnx.state(layer)):
                state.set_value(state[...].astype(dtype))
        if framework == "mxnet":
            layer.initialize()
            layer.cast(dtype)
        return layer

    return made


@pytest.fixture(scope="module")
def called(framework, page):
    """called(layer, mode, x): y in that mode. TensorFlow as it comes the
    first time, then as a graph, which takes a tenth of the time."""
    graphs = {}

    def called(layer, mode, x):
        page("prepare").set_mode(layer, mode)
        if framework != "tf":
            return layer(x)
        if (layer, mode) in graphs:
            return graphs[layer, mode](x)
        import tensorflow as tf

        graphs[layer, mode] = tf.function(layer.call, autograph=False)
        return layer(x)

    return called


def draw(rng, *shape, scale=1.0, offset=0.0, dtype=np.float32):
    return (offset + scale * rng.standard_normal(shape)).astype(dtype)


def grid(low, high, bits, signed, symmetric, dtype):
    """scale and zero point, as the header of grid.py has them."""
    qmin, qmax = bounds(bits, signed)
    low, high = np.minimum(low, 0), np.maximum(high, 0)
    if symmetric:
        scale = np.maximum(-low, high) * dtype(1 / qmax)
    else:
        scale = (high - low) * dtype(1 / (qmax - qmin))
    scale = np.where(scale < 2.0**-126, dtype(1), scale)
    zero_point = qmin - np.round(low * (dtype(1) / scale))
    zero_point = 0 * zero_point if symmetric else zero_point
    return scale, zero_point.astype(np.int32), qmin, qmax


OBSERVERS = {
    "MinMaxObserver": {},
    "MovingAverageObserver": dict(momentum=1 / 16),
    # 60 % of 200 is 120 in float64, and a little more in float32
    "PercentileObserver": dict(percent=60, momentum=1 / 4),
}


@pytest.mark.parametrize(
    "name", ["affine_qparams", "symmetric_qparams"]
)
def test_grids_of_8_signed_bits(page, tensor, array, name):
    make = getattr(page("qparams"), name)
    bounds = tensor(np.array([-0.5, 2.0], "f4"))
    for given, expected in zip(make(bounds), make(bounds, 8, True)):
        assert array(given) == array(expected)


@pytest.mark.parametrize("kind", ["moving_average", "percentile"])
def test_observers_by_name(page, kind):
    observer = page("quantizers").make_quantizer(kind, 8).observer
    assert observer.momentum == 1 / 16
    if kind == "percentile":
        assert observer.percent == 99.9


@pytest.mark.parametrize("factor, kept", [(1.0, True), (0.75, False)])
def test_the_smallest_scale(page, tensor, array, factor, kept):
    """2^-126, the smallest normal number of float32, is still a scale."""
    value = np.float32(factor * 2.0**-126)
    scale = array(page("qparams").nonzero(tensor(value)))
    assert scale == (value if kept else 1.0)


@EVERY_PRECISION
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("kind", OBSERVERS)
def test_ranges(made, tensor, array, kind, axis, precision):
    rng, dtype = np.random.default_rng(5), np.dtype(precision).type
    options, want = OBSERVERS[kind], None
    channels = {} if axis is None else dict(axis=axis)
    shape = (50, 4, 5)
    if axis is not None:
        channels |= dict(num_channels=shape[axis])
    channels |= dict(precision=precision)
    observer = made("observers", kind, **options, **channels)
    assert np.isnan(array(observer.bounds)).all()
    for step in range(3):
        x = draw(rng, *shape, offset=0.3 * step, dtype=dtype)
        observer.observe(tensor(x, precision))
        rows = x.reshape(1, -1)
        if axis is not None:
            rows = np.moveaxis(x, axis, 0).reshape(shape[axis], -1)
        rows, n = np.sort(rows), rows.shape[1]
        rank = int(np.ceil(options.get("percent", 100) / 100 * n))
        new = np.stack((rows[:, n - rank], rows[:, rank - 1]))
        momentum = dtype(options.get("momentum", 1))
        if want is None:
            want = new
        elif kind == "MinMaxObserver":
            want = np.stack(
                (
                    np.minimum(want[0], new[0]),
                    np.maximum(want[1], new[1]),
                )
            )
        else:
            want = (1 - momentum) * want + momentum * new
    got = array(observer.bounds)
    assert got.dtype == dtype
    assert np.array_equal(got.reshape(want.shape), want)


@EVERY_PRECISION
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", [2, 3, 4, 8, 16])
def test_grids(page, tensor, array, bits, signed, symmetric, precision):
    """Bit for bit, and 0 has a code of its own."""
    dtype = np.dtype(precision).type
    rng = np.random.default_rng(bits)
    ends = np.sort(draw(rng, 2, 400, offset=0.5, dtype=dtype), axis=0)
    named = [[-1, 1], [0.5, 2], [-3, -1], [0, 0], [0, 1e-42], [-1, 0]]
    ends = np.concatenate((ends, np.array(named, dtype).T), axis=1)
    make = "symmetric_qparams" if symmetric else "affine_qparams"
    make = getattr(page("qparams"), make)
    scale, zero_point, qmin, qmax = grid(
        *ends, bits, signed, symmetric, dtype
    )
    got = make(tensor(ends, precision), bits, signed)
    assert np.array_equal(array(got[0]), scale)
    assert np.array_equal(array(got[1]), zero_point)
    if signed or not symmetric:
        assert (qmin <= zero_point).all() and (zero_point <= qmax).all()
    fake_quantize = page("fake_quantize").fake_quantize
    zeros = tensor(np.zeros((2, 406)), precision)
    back = fake_quantize(zeros, *got, bits, signed, 1)
    assert not array(back).any()


def numpy_linear(layer, array, page, x):
    """Codes, whole sums and values of a frozen QATLinear, by NumPy."""
    scale, zero_point = layer.input_quantizer.qparams()
    w_scale, _ = layer.weight_quantizer.qparams()
    scale, zero_point, w_scale = map(
        array, (scale, zero_point, w_scale)
    )

    def codes(x, scale, zero_point, bits, signed, axis, narrow):
        scale = scale[:, None] if axis == 0 else scale
        setting = dict(bits=bits, signed=signed, narrow_range=narrow)
        code, _, _ = define(x, scale, zero_point, setting)
        return code.astype(np.int64)

    q = codes(x, scale, zero_point, *layer.input_quantizer.codes)
    none = np.zeros((), np.int32)
    w = codes(
        array(layer.weight),
        w_scale,
        none,
        *layer.weight_quantizer.codes,
    )
    out_scale = scale * w_scale
    bias = np.round(array(layer.bias) * (x.dtype.type(1) / out_scale))
    total = (q - zero_point) @ w.T + bias.astype(np.int64)
    return q, total, total.astype(x.dtype) * out_scale


def shifted(q, layer):
    """An Int8Linear keeps codes from 0 as int8, from -128 on."""
    bits, signed, *_ = layer.codes
    return q if signed else q - 2 ** (bits - 1)


@pytest.mark.parametrize("seeds", [len(OPTIONS), SEEDS])
def test_prepared_is_converted_linear(
    page, made, tensor, array, called, compiled, seeds
):
    """1,000 seeds: codes, sums and values, as NumPy's and each other's."""
    convert = page("convert").convert
    layers = [
        made("qat_linear", "QATLinear", 37, 11, **options)
        for options in OPTIONS
    ]
    equal, nonzero = 0, 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        layer = layers[seed % len(layers)]
        set_arrays(
            layer,
            weight=tensor(
                draw(rng, 11, 37, scale=rng.uniform(0.01, 9))
            ),
            bias=tensor(draw(rng, 11)),
        )
        seen, x = draw(rng, 2, 29, 37, scale=rng.uniform(0.1, 9))
        called(layer, "observe", tensor(seen))
        y = array(called(layer, "frozen", tensor(x)))
        whole = convert(layer)
        q, total, value = numpy_linear(layer, array, page, x)
        found = [array(whole.input_codes(tensor(x)))]
        found += [array(whole.total(tensor(x)))]
        found += [array(whole(tensor(x)))]
        assert found[0].dtype == np.int8 and found[1].dtype == np.int32
        pairs = zip([*found, y], (shifted(q, whole), total, y, value))
        equal += all(np.array_equal(*pair) for pair in pairs)
        nonzero += bool(y.any())
        if seed < len(layers) and seeds == SEEDS:
            fast = compiled(whole)(tensor(x))
            assert np.array_equal(array(fast), y)
    assert equal == seeds and nonzero > 0.99 * seeds


def test_converted_without_a_bias(page, made, tensor, array, numbers):
    prepare, convert = page("prepare"), page("convert").convert
    layer = made("qat_linear", "QATLinear", 3, 2, bias=False)
    prepare.set_mode(layer, "observe")(tensor(X))
    y = array(prepare.set_mode(layer, "frozen")(tensor(X)))
    whole = convert(layer)
    assert not array(whole.bias).any() and y.any()
    assert np.array_equal(array(whole(tensor(X))), y)
    assert np.array_equal(array(whole(tensor(X[0]))), y[0])
    assert np.array_equal(array(whole(tensor(X[:1]))), y[:1])
    assert numbers(layer) and not numbers(whole)  # none to train


def test_a_cast_leaves_whole_numbers(
    framework, adapter, page, made, tensor, array
):
    """PyTorch and MXNet cast a layer that is there."""
    layer = made("qat_linear", "QATLinear", 3, 2)
    page("prepare").set_mode(layer, "observe")(tensor(X))
    whole = page("convert").convert(layer)
    cast = getattr(whole, "to", getattr(whole, "cast", None))
    if cast is None:
        assert framework in ("jax", "tf")
        return
    total = array(whole.total(tensor(X)))
    cast(adapter.PRECISIONS["float64"])
    x = tensor(X.astype(np.float64), "float64")
    y = array(whole(x))
    assert array(whole.weight).dtype == np.int8
    assert y.dtype == array(whole.out_scale).dtype == np.float64
    assert np.array_equal(array(whole.total(x)), total)
    assert np.array_equal(y, total * array(whole.out_scale))


def test_no_warning(page, made, tensor):
    """Keras has some for layers that it takes to be unbuilt."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        layer = made("qat_linear", "QATLinear", 3, 2)
        for part in (layer, layer.input_quantizer):
            assert getattr(part, "built", True)
        page("prepare").set_mode(layer, "observe")(tensor(X))
        page("convert").convert(layer)(tensor(X))


def test_an_empty_batch(page, made, tensor, array):
    prepare, convert = page("prepare"), page("convert").convert
    layer = made("qat_linear", "QATLinear", 3, 2)
    prepare.set_mode(layer, "observe")(tensor(X))
    prepare.set_mode(layer, "frozen")
    empty = tensor(np.zeros((4, 0, 3), np.float32))
    assert array(layer(empty)).shape == (4, 0, 2)
    whole = convert(layer)
    total = array(whole.total(empty))
    assert total.shape == (4, 0, 2) and total.dtype == np.int32
    assert array(whole(empty)).dtype == np.float32
    assert array(whole.weight).dtype == np.int8


def test_convert_looks_at_the_weights_once_more(
    page, made, tensor, array
):
    """As set_mode does: what was trained last may be out of the range."""
    prepare, convert = page("prepare"), page("convert").convert
    layer = made("qat_linear", "QATLinear", 3, 2)
    prepare.set_mode(layer, "observe")(tensor(X))
    prepare.set_mode(layer, "quantize")
    set_arrays(layer, weight=tensor(3 * array(layer.weight)))
    peak = np.abs(array(layer.weight)).max(axis=1) * np.float32(1 / 127)
    scale = array(layer.input_quantizer.qparams()[0])
    assert np.array_equal(array(convert(layer).out_scale), scale * peak)


@pytest.mark.parametrize("seeds", [len(OPTIONS), SEEDS])
def test_prepared_is_converted_attention(
    page, made, tensor, array, called, seeds
):
    prepare, convert = page("prepare"), page("convert").convert
    layers = [
        prepare.prepare(
            made("multi_head_attention", "MultiHeadAttention", 12, 3),
            {"*": options},
        )
        for options in OPTIONS
    ]
    equal = 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        layer = layers[seed % len(layers)]
        parts = dict(qkv=layer.qkv, out=layer.out)
        for part, rows in zip(parts.values(), (36, 12)):
            set_arrays(
                part,
                weight=tensor(draw(rng, rows, 12)),
                bias=tensor(draw(rng, rows, scale=0.1)),
            )
        seen, x = draw(rng, 2, 2, 5, 12)
        called(layer, "observe", tensor(seen))
        prepare.set_mode(layer, "frozen")
        y = array(layer(tensor(x)))  # no graph: softmax has other bits
        _, total, value = numpy_linear(layer.qkv, array, page, x)
        layer = convert(layer)
        equal += np.array_equal(array(layer(tensor(x))), y) and (
            np.array_equal(array(layer.qkv.total(tensor(x))), total)
            and np.array_equal(array(layer.qkv(tensor(x))), value)
        )
        for name, part in parts.items():
            prepare.replace(layer, name, part)
    assert equal == seeds


def test_a_bias_is_added_before_a_sum_is_rounded(
    package, tensor, array
):
    """97 * 172,961 = 2^24 + 1, which float32 has not; plus 1, it has."""
    one = tensor(np.ones(1, np.float32))
    x, weight = (
        tensor(np.full((1, 1), n, np.float32)) for n in (97, 172_961)
    )
    scale = tensor(np.float32(1))
    y = array(package.code_linear(x, weight, one, scale, one))
    assert y.tolist() == [[2**24 + 2]]


def test_sums_beyond_2_24(page, made, tensor, array):
    """float32 would lose their last bits on the way."""
    prepare, convert = page("prepare"), page("convert").convert
    rng = np.random.default_rng(6)
    layer = made(
        "qat_linear", "QATLinear", 3000, 3, input_quantizer="absmax"
    )
    weight, x = (
        rng.uniform(0.7, 1, (rows, 3000)).astype(np.float32)
        for rows in (3, 5)
    )
    set_arrays(layer, weight=tensor(weight))
    prepare.set_mode(layer, "observe")
    layer(tensor(x))
    prepare.set_mode(layer, "frozen")
    y, whole = array(layer(tensor(x))), convert(layer)
    _, total, value = numpy_linear(layer, array, page, x)
    assert total.min() > 2**24 and (total % 2).any()
    assert np.array_equal(array(whole.total(tensor(x))), total)
    assert np.array_equal(y, value)
    assert np.array_equal(array(whole(tensor(x))), value)


@EVERY_PRECISION
def test_a_whole_model(page, adapter, array, run_as, precision):
    prepare, convert = page("prepare"), page("convert").convert
    config = {
        "*": dict(weight_bits=4),
        "*.mlp.*": dict(input_quantizer="lsq", weight_quantizer="lsq"),
        "*.mlp.layer2": dict(input_quantizer="pact"),
        "head": None,
    }
    rng = np.random.default_rng(1)
    params = {
        n: draw(rng, *shape, scale=0.3, offset=float("norm" in n))
        for n, shape in adapter.shapes(
            "TransformerClassifier", CLASSIFIER
        ).items()
    }
    model = adapter.build(
        "TransformerClassifier", CLASSIFIER, params, precision
    ).call
    x = adapter.to_tensor(draw(rng, 3, 7, 5), precision)
    before = array(model(x))
    assert prepare.prepare(model, config) is model
    prepare.set_mode(model, "observe")
    assert np.array_equal(array(model(x)), before)
    prepare.set_mode(model, "quantize")
    live = array(run_as(model, x, training=True))
    prepare.set_mode(model, "frozen")
    y = array(model(x))
    assert np.array_equal(live, y)
    moved = np.abs(y - before).max()
    assert 0 < moved < 0.5 * np.abs(before).max()
    kinds = page("qat_linear").QATLinear
    names = set(prepare.find(model, kinds))
    blocks = ["attention.qkv", "attention.out", "mlp.layer1"]
    blocks += ["mlp.layer2"]
    assert names == {"embed"} | {
        f"blocks.{i}.{n}" for i in range(2) for n in blocks
    }
    assert convert(model) is model
    assert y.dtype == precision
    assert np.array_equal(array(model(x)), y)
    assert not prepare.find(model, kinds)


def test_modes(page, made, tensor, array, run_as):
    """What moves, and when."""
    set_mode = page("prepare").set_mode
    layer = made("qat_linear", "QATLinear", 7, 3)
    observer = layer.input_quantizer.observer
    rng = np.random.default_rng(2)
    x = draw(rng, 5, 7)
    linear = page("linear").linear(
        tensor(x),
        tensor(array(layer.weight)),
        tensor(array(layer.bias)),
    )
    set_mode(layer, "observe")
    y = array(layer(tensor(x)))
    assert np.array_equal(y, array(linear))
    ends = np.array([x.min(), x.max()])
    assert np.array_equal(array(observer.bounds), ends)
    set_mode(layer, "quantize")
    live = array(run_as(layer, tensor(3 * x), training=True))
    assert not np.array_equal(live, 3 * y)
    new = np.float32(3) * ends
    average = np.float32(15 / 16) * ends + np.float32(1 / 16) * new
    assert np.array_equal(array(observer.bounds), average)
    set_mode(layer, "frozen")
    before = array(observer.bounds)
    layer(tensor(100 * x))
    assert np.array_equal(array(observer.bounds), before)


def test_a_frozen_weight_keeps_its_grid(
    page, made, tensor, array, run_as
):
    """set_mode looks at the weights once more; after that they clip."""
    prepare = page("prepare")
    layer = made("qat_linear", "QATLinear", 7, 3)
    weight = draw(np.random.default_rng(3), 3, 7)

    def scale():
        return array(layer.weight_quantizer.qparams()[0])

    prepare.set_mode(layer, "quantize")
    run_as(layer, tensor(weight), training=True)
    set_arrays(layer, weight=tensor(weight))
    prepare.set_mode(layer, "frozen")
    peak = np.abs(weight).max(axis=1) * np.float32(1 / 127)
    assert np.array_equal(scale(), peak)
    set_arrays(layer, weight=tensor(2 * weight))
    layer(tensor(weight))
    assert np.array_equal(scale(), peak)


def test_no_gradient_through_the_range(adapter):
    """The largest input moves its own range; its gradient is dy W."""
    weight = np.float32([[1.0, 0.5]])
    params = dict(weight=weight, bias=np.float32([0.0]))
    config = dict(in_features=2, out_features=1)
    built = adapter.build("QATLinear", config, params, "float64")
    x, dy = np.float32([[2.0, -1.0]]), np.float32([[1.0]])
    got = adapter.run(built, dict(x=x), dict(y=dy))
    step = 1 * (1 / 127)  # 1 has code 127, and 0.5 has 64: a tie, 63.5
    assert np.array_equal(got["grad.x"], [[127 * step, 64 * step]])


def test_a_checkpoint_keeps_the_ranges(
    page, made, tensor, array, run_as, tmp_path
):
    prepare, checkpoint = page("prepare"), page("checkpoint")
    layer, twin = (
        made("qat_linear", "QATLinear", 7, 3, input_bits=4)
        for _ in range(2)
    )
    x = tensor(draw(np.random.default_rng(4), 5, 7))
    prepare.set_mode(layer, "observe")
    layer(x)
    prepare.set_mode(layer, "frozen")
    run_as(twin, 3 * x, training=True)
    prepare.set_mode(twin, "frozen")
    path = str(tmp_path / "qat.weights.h5")
    checkpoint.save(layer, path)
    checkpoint.load(twin, path)
    assert np.array_equal(array(twin(x)), array(layer(x)))


X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize("kind", OBSERVERS)
@pytest.mark.parametrize(
    "x, words",
    [
        (X[:0], ["not empty", "(0, 3)"]),
        (X * np.nan, ["finite", "nan"]),
        (X * np.float32(np.inf), ["finite", "inf"]),
        (X.T.copy(), ["shape", "(3,)", "(2,)"]),
    ],
)
def test_batches_that_do_not_fit(made, tensor, array, kind, x, words):
    observer = made("observers", kind, axis=1, num_channels=3)
    with pytest.raises(ValueError) as error:
        observer.observe(tensor(x))
    assert [w for w in words if w not in str(error.value)] == []
    assert np.isnan(array(observer.bounds)).all()


@pytest.mark.parametrize(
    "mode, options",
    [
        ("observe", OPTIONS[0]),
        ("observe", OPTIONS[5]),
        ("observe", OPTIONS[6]),
        ("quantize", OPTIONS[0]),
    ],
)
@pytest.mark.parametrize(
    "x, words",
    [(X[:0], ["not empty"]), (X * np.nan, ["finite", "nan"])],
)
def test_layers_refuse_bad_batches(
    page, made, tensor, run_as, mode, options, x, words
):
    layer = made("qat_linear", "QATLinear", 3, 2, **options)
    page("prepare").set_mode(layer, mode)
    with pytest.raises(ValueError) as error:
        run_as(layer, tensor(x), training=True)
    assert [w for w in words if w not in str(error.value)] == []


@pytest.mark.parametrize("options", OPTIONS)
def test_nothing_was_seen(page, made, tensor, options):
    """Neither a frozen layer nor a converted one can be made of it."""
    layer = made("qat_linear", "QATLinear", 3, 2, **options)
    layer.mode = "frozen"
    with pytest.raises(
        ValueError, match=r"expected .*, got (none|nan)"
    ):
        layer(tensor(X))
    with pytest.raises(
        ValueError, match=r"expected .*, got (none|nan)"
    ):
        page("convert").convert(layer)


@pytest.mark.parametrize(
    "options, words",
    [
        (dict(weight_bits=1), ["bits", "2 to 8", "got 1"]),
        (dict(input_bits=17), ["bits", "2 to 8", "got 17"]),
        (dict(input_bits=16), ["bits", "2 to 8", "got 16"]),
        (
            dict(weight_quantizer="min_max"),
            ["weight_quantizer", "absmax or lsq", "'min_max'"],
        ),
        (
            dict(input_quantizer="histogram"),
            ["quantizer", "absmax, min_max", "'histogram'"],
        ),
    ],
)
def test_options_that_do_not_fit(page, start, options, words):
    with pytest.raises(ValueError) as error:
        start(
            "QATLinear", dict(in_features=3, out_features=2) | options
        )
    assert [w for w in words if w not in str(error.value)] == []


def test_models_that_do_not_fit(page, start, made, tensor):
    prepare, convert = page("prepare"), page("convert").convert
    config = dict(input_size=3, hidden_size=5, output_size=2)
    model = start("MLP", config)
    with pytest.raises(ValueError, match=r"layer1, layer2.*'layer3'"):
        prepare.prepare(model, {"*": {}, "layer3": {}})
    with pytest.raises(ValueError, match=r"observe, .*frozen.*'on'"):
        prepare.set_mode(model, "on")
    with pytest.raises(ValueError, match=r"a prepared model.*MLP"):
        convert(model)
    none = start("ScaledReLU", {})
    with pytest.raises(ValueError, match="a Linear"):
        prepare.prepare(none, {"*": {}})
    layer = made("qat_linear", "QATLinear", 3, 2)
    prepare.set_mode(layer, "observe")
    layer(tensor(X))
    bias = tensor(np.float32([0.0, 1e9]))
    set_arrays(layer, bias=bias)
    with pytest.raises(
        ValueError, match=r"bias expected .*2\^30 steps"
    ):
        convert(layer)


def test_a_converted_layer_has_numbers_of_its_own(
    page, made, tensor, array
):
    """A step that goes on learning does not reach it."""
    prepare, convert = page("prepare"), page("convert").convert
    layer = made("qat_linear", "QATLinear", 3, 2, **OPTIONS[6])
    prepare.set_mode(layer, "observe")
    layer(tensor(X))
    whole = convert(layer)
    before = array(whole(tensor(X)))
    step = array(layer.input_quantizer.step)
    set_arrays(layer.input_quantizer, step=tensor(2 * step))
    set_arrays(layer, weight=tensor(-array(layer.weight)))
    assert np.array_equal(array(whole(tensor(X))), before)


def test_a_layer_under_two_names_is_found(page, start):
    """By a pattern with either name."""
    sizes = dict(input_size=3, hidden_size=3, output_size=3)
    model = start("MLP", sizes)
    model.layer2 = model.layer1
    names = list(page("prepare").find(model, type(model.layer1)))
    assert names == ["layer1", "layer2"]


def test_prepare_replaces_a_single_layer(page, start, tensor, array):
    prepare = page("prepare").prepare
    layer = start("Linear", dict(in_features=3, out_features=2))
    weight = array(layer.weight)
    options = dict(weight_bits=4, input_bits=3, input_quantizer="lsq")
    twin = prepare(layer, {"*": options})
    assert type(twin).__name__ == "QATLinear"
    assert twin.weight_quantizer.codes[:2] == (4, True)
    assert type(twin.input_quantizer).__name__ == "LSQ"
    assert twin.input_quantizer.codes[:2] == (3, True)
    assert np.array_equal(array(twin.weight), weight)


def test_a_prepared_attention_observes_an_empty_batch(
    page, made, tensor, run_as
):
    """A range needs numbers: no shortcut for the empty batch may hide
    that from the observers of the two projections."""
    layer = made("multi_head_attention", "MultiHeadAttention", 12, 3)
    layer = page("prepare").prepare(layer, {"*": {}})
    with pytest.raises(ValueError, match="a batch that is not empty"):
        empty = tensor(np.zeros((0, 5, 12), np.float32))
        run_as(layer, empty, training=True)

"""Quantizers and 16 bits: codes are those of x in float32."""

import numpy as np
import pytest

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

X = np.random.default_rng(0).standard_normal((40, 7)).astype(np.float32)
# ties of every quantizer, in numbers that 16 bits hold
X[:2] = np.arange(-7, 7).reshape(2, 7) * 0.125
SCALES = dict(scale=np.float32(0.25), zero_point=np.int32(1))
BY_ROW = np.linspace(0.0625, 0.5, 7, dtype=np.float32)
FUNCTIONS = {
    "fake_quantize": (SCALES, dict(bits=4)),
    "quantize": (SCALES, dict(bits=4)),
    "lsq": (dict(step=BY_ROW), dict(bits=3, axis=1)),
    "lsq_plus": (
        dict(step=BY_ROW, offset=BY_ROW),
        dict(bits=3, axis=1),
    ),
    "pact": (dict(alpha=np.float32(2.0)), dict(bits=3)),
}


@pytest.fixture(params=["float16", "bfloat16"])
def half(request, framework):
    """MXNet has no bfloat16 on the CPU: it is asked for float16 again."""
    return "float16" if framework == "mxnet" else request.param


@pytest.fixture
def halves(adapter, half):
    def halves(numbers):
        """The numbers in 16 bits, and what these are in float32."""
        narrow = adapter.to_tensor(np.asarray(numbers), half)
        exact = adapter.to_numpy(narrow).astype(np.float32)
        return narrow, adapter.to_tensor(exact, "float32")

    return halves


def rounded(adapter, y, half):
    """y of the float32 page, in 16 bits."""
    wide = adapter.to_numpy(y)
    return adapter.to_numpy(adapter.to_tensor(wide, half))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("wide_scale", [True, False])
def test_functions(package, adapter, halves, half, name, wide_scale):
    """The scale may have 16 bits as well, or stay in float32."""
    arrays, config = FUNCTIONS[name]
    x, exact_x = halves(X)
    given, exact = {}, {}
    for n, a in arrays.items():
        if n == "zero_point" or wide_scale:
            given[n] = exact[n] = adapter.to_tensor(a, "float32")
        else:
            given[n], exact[n] = halves(a)
    function = getattr(package, name)
    y = function(x, **given, **config)
    expected = function(exact_x, **exact, **config)
    if name == "quantize":
        found = adapter.to_numpy(y)
        assert found.dtype == np.int32
        assert np.array_equal(found, adapter.to_numpy(expected))
        return
    found = adapter.to_numpy(y)
    assert found.dtype.name == half
    wanted = rounded(adapter, expected, half)
    assert np.array_equal(
        found.astype(np.float32), wanted.astype(np.float32)
    )


QAT = dict(in_features=7, out_features=3)
LEARNED = dict(input_quantizer="pact", weight_quantizer="lsq")
KINDS = [
    {},
    LEARNED,
    dict(input_quantizer="lsq", weight_bits=4),
    dict(input_quantizer="percentile"),
    dict(input_quantizer="min_max", input_bits=3),
]


@pytest.mark.parametrize("options", KINDS)
def test_a_layer_in_half(
    framework, package, adapter, halves, half, options
):
    """Trained and converted: y is that of float32, rounded once."""
    params = adapter.shapes("QATLinear", QAT | options)
    rng = np.random.default_rng(1)
    params = {n: rng.random(s) + 0.25 for n, s in params.items()}
    x, exact_x = halves(X)
    found = {}
    for precision, given in ((half, x), ("float32", exact_x)):
        numbers = {
            n: adapter.to_numpy(halves(a)[1]) for n, a in params.items()
        }
        built = adapter.build(
            "QATLinear", QAT | options, numbers, precision
        )
        layer = built.call
        if options != LEARNED:
            package.set_mode(layer, "observe")(given)
        y = package.set_mode(layer, "frozen")(given)
        found[precision] = y
        again = package.convert(layer)(given)
        y, again = adapter.to_numpy(y), adapter.to_numpy(again)
        assert y.dtype == again.dtype and y.dtype.name == precision
        assert y.astype(np.float32).any()
        assert y.tobytes() == again.tobytes()
    if options == LEARNED:  # else a range was stored in 16 bits
        wanted = rounded(adapter, found["float32"], half)
        got = adapter.to_numpy(found[half])
        assert got.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("options", KINDS)
def test_a_layer_under_a_policy(
    framework, package, adapter, half, start, options
):
    """torch.autocast, mixed_float16 and mixed_bfloat16 of Keras: the
    weights and ranges stay in float32, and so are the codes. The others
    have no policy, and refuse x."""
    config = QAT | options
    if framework not in ("pytorch", "tf"):
        layer = package.set_mode(start("QATLinear", config), "observe")
        with pytest.raises(TypeError, match=f"got {half}"):
            layer(adapter.to_tensor(X, half))
        return
    if framework == "tf":
        config = config | dict(dtype=f"mixed_{half}")
    layer = start("QATLinear", config)
    x = adapter.to_tensor(X, half)
    exact = adapter.to_tensor(
        adapter.to_numpy(x).astype(np.float32), "float32"
    )

    def run(x):
        if framework == "tf":
            return layer(x)
        import torch

        with torch.autocast("cpu", dtype=getattr(torch, half)):
            return layer(x)

    package.set_mode(layer, "observe")
    assert adapter.to_numpy(run(x)).dtype.name == half
    package.set_mode(layer, "frozen")
    y = adapter.to_numpy(run(x))
    assert y.dtype.name == half
    same = package.prepare(
        start("Linear", dict(in_features=7, out_features=3)),
        {"*": {n: v for n, v in options.items()}},
    )
    for name in ("weight", "bias"):
        copy_into(framework, layer, same, name)
    package.set_mode(same, "observe")(exact)
    wanted = package.set_mode(same, "frozen")(exact)
    assert y.tobytes() == rounded(adapter, wanted, half).tobytes()
    again = package.convert(layer)
    assert y.tobytes() == adapter.to_numpy(again(x)).tobytes()


def copy_into(framework, layer, other, name):
    if framework == "tf":
        getattr(other, name).assign(getattr(layer, name).value)
    else:
        getattr(other, name).data.copy_(getattr(layer, name))


@pytest.mark.parametrize("layer", ["PACT", "LSQ", "LSQPlus"])
def test_a_start_in_half(adapter, halves, half, layer):
    """The step is that of float32, stored in the layer's own dtype or
    wider, and the layer runs."""
    x, exact = halves(X)
    found = []
    for given, precision in ((x, half), (exact, "float32")):
        shapes = adapter.shapes(layer, {})
        ones = {n: np.ones(s, np.float32) for n, s in shapes.items()}
        built = adapter.build(layer, {}, ones, precision)
        built.call.start(given)
        found.append(adapter.to_numpy(built.call(given)))
        if layer != "LSQPlus":
            scale, _ = built.call.qparams()
            assert adapter.to_numpy(scale).dtype == np.float32
    assert found[0].dtype.name == half
    assert len(np.unique(found[0].astype(np.float32))) > 4

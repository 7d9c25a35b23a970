"""Quantizers: codes bit for bit, gradients by the frozen residual.

The codes are those of one NumPy formula in the working precision, on
values made to be hard: ties and their neighbours, bounds, zeros,
subnormals, huge ones. Straight-through gradients are ordinary
derivatives once the rounding residual is held constant; that function is
differentiated here by central differences.
"""

import importlib
import inspect

import numpy as np
import pytest

from shared_tests.cases import CASES
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.layers.quantization.formulas import (
    COUNT,
    DTYPES,
    SETTINGS,
    bounds,
    define,
    inputs,
    name,
)
from shared_tests.run import group
from shared_tests.verdict import judge

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

COMPILED = SETTINGS[1:2]


EVERY_SETTING = pytest.mark.parametrize("setting", SETTINGS, ids=name)
EVERY_PRECISION = pytest.mark.parametrize("precision", DTYPES)


@EVERY_PRECISION
@EVERY_SETTING
def test_codes_are_equal(adapter, setting, precision):
    config, given = inputs(setting, precision)
    codes, _, _ = define(**given, setting=setting)
    built = adapter.build("quantize", config, {}, precision)
    got = adapter.run(built, given)["out.y"]
    assert got.dtype == np.int32 and got.shape == (COUNT,)
    wrong = np.flatnonzero(got != codes)
    assert not len(wrong), (given["x"][wrong[:3]], got[wrong[:3]])
    assert len(np.unique(codes)) == np.ptp(codes) + 1 >= 4


@EVERY_PRECISION
@EVERY_SETTING
def test_values_and_masks_are_equal(adapter, setting, precision):
    """Not within a budget: equal. The mask shows as the gradient."""
    config, given = inputs(setting, precision)
    _, inside, values = define(**given, setting=setting)
    built = adapter.build("fake_quantize", config, {}, precision)
    upstream = np.ones_like(given["x"])
    got = adapter.run(built, given, dict(y=upstream))
    assert np.array_equal(got["out.y"], values)
    assert np.array_equal(got["grad.x"], inside.astype(precision))
    assert not got["grad.scale"].any() and not inside.all()


@EVERY_PRECISION
@pytest.mark.parametrize("setting", COMPILED, ids=name)
def test_compilers_change_no_code(adapter, setting, precision):
    if adapter.unsupported("quantize", precision, True):
        assert adapter.__name__.startswith("mxnet")
        return
    config, given = inputs(setting, precision)
    codes, _, _ = define(**given, setting=setting)
    built = adapter.build("quantize", config, {}, precision)
    got = adapter.run(built, given, compiled=True)["out.y"]
    assert np.array_equal(got, codes)


@EVERY_PRECISION
def test_channels(adapter, precision):
    """A step and a zero point of its own for each index of an axis."""
    dtype = DTYPES[precision]
    rng = np.random.default_rng(7)
    x = rng.normal(size=(53, 3, 41)).astype(dtype)
    scale = np.array([0.1, 0.013, 0.5], np.float32).astype(dtype)
    zero_point = np.array([0, -5, 12], np.int32)
    for axis, turned in ((1, x), (-2, x), (0, x.swapaxes(0, 1))):
        shape = [1] * 3
        shape[axis] = 3
        codes, _, _ = define(
            turned, scale.reshape(shape), zero_point.reshape(shape), {}
        )
        built = adapter.build(
            "quantize", dict(axis=axis), {}, precision
        )
        given = dict(x=turned, scale=scale, zero_point=zero_point)
        assert np.array_equal(adapter.run(built, given)["out.y"], codes)


# what each layer computes once its rounding residual is held constant
def surrogate(case, x, residual, inside, scale=1, **p):
    if case.layer == "fake_quantize":
        return np.where(inside, x + residual, residual)
    if case.layer == "PACT":
        return np.clip(x, 0, p["alpha"]) + residual
    qmin, qmax = bounds(**{"bits": 4} | case.config)
    shift = p.get("offset", 0)
    u = np.clip((x - shift) / p["step"], qmin, qmax)
    return p["step"] * (u + residual) + shift


def frozen(case, x, y, **p):
    """The residual at the start, and where fake_quantize moves with x."""
    if case.layer == "PACT":
        return y - np.clip(x, 0, p["alpha"]), None
    if case.layer == "fake_quantize":
        shape = [1] * x.ndim
        shape[case.config.get("axis", 0)] = -1
        pair = (
            p[n].reshape(shape) if p[n].ndim else p[n]
            for n in ("scale", "zero_point")
        )
        _, inside, _ = define(x, *pair, case.config)
        return np.where(inside, y - x, y), inside
    qmin, qmax = bounds(**{"bits": 4} | case.config)
    u = np.clip((x - p.get("offset", 0)) / p["step"], qmin, qmax)
    return np.round(u) - u, None


def factor(case, x, name):
    """What LSQ multiplies the gradients of its parameters by."""
    if name not in ("step", "offset"):
        return 1.0
    _, qmax = bounds(**{"bits": 4} | case.config)
    axis = case.config.get("axis")
    shared = x.size if axis is None else x.size // x.shape[axis]
    return 1 / np.sqrt(case.config.get("num_elements", shared) * qmax)


SMOOTH = [
    case
    for case in CASES
    if case.layer in ("fake_quantize", "PACT", "LSQ", "LSQPlus")
    and not {"tie", "at_bound", "empty_batch", "large", "tiny_inputs"}
    & case.flags
]


@pytest.mark.parametrize("case", SMOOTH, ids=lambda c: c.id)
def test_gradients_of_the_frozen_residual(adapter, case):
    """Central differences, float64, 1e-7 of the largest gradient."""
    fixture = read_fixture(case, read_manifest())
    params = {
        n: np.float64(p) for n, p in group(fixture, "param").items()
    }
    given = {
        n: x if x.dtype == np.int32 else np.float64(x)
        for n, x in group(fixture, "in").items()
    }
    built = adapter.build(case.layer, case.config, params, "float64")
    g = np.float64(fixture["cotangent.y"])
    got = adapter.run(built, given, dict(y=g))
    axis = case.config.get("axis")

    def spread(p):
        shape = [1] * given["x"].ndim
        if p.ndim:
            shape[axis] = -1
        return p.reshape(shape) if p.ndim else p

    wide = {n: spread(p) for n, p in params.items()}
    rest = given | wide
    residual, inside = frozen(case, y=got["out.y"], **rest)
    names = ["x", *params]
    for n in names:
        eps = 2.0**-20 * max(1e-3, float(np.abs(rest[n]).max()))
        moved = []
        for sign in (1, -1):
            there = rest | {n: rest[n] + sign * eps}
            there.pop("zero_point", None)
            moved.append(
                surrogate(
                    case, residual=residual, inside=inside, **there
                )
            )
        slope = g * (moved[0] - moved[1]) / (2 * eps)
        if n != "x":
            axes = tuple(
                i
                for i in range(slope.ndim)
                if not params[n].ndim or i != axis % slope.ndim
            )
            slope = slope.sum(axis=axes) * factor(case, given["x"], n)
        scale = max(1.0, float(np.abs(slope).max()))
        error = np.abs(got[f"grad.{n}"] - slope).max() / scale
        assert error < 1e-7, n


@pytest.mark.parametrize("layer", ["LSQ", "LSQPlus"])
@pytest.mark.parametrize("axis", [None, 1])
def test_where_a_learned_step_starts(
    adapter, start, numbers, layer, axis
):
    x = np.random.default_rng(3).normal(size=(5, 3)).astype("f4")
    more = {} if axis is None else dict(axis=axis, num_channels=3)
    made = start(layer, dict(bits=3) | more)
    fresh = numbers(made)
    assert np.isnan(fresh.pop("step")).all()
    assert not any(offset.any() for offset in fresh.values())
    made.start(adapter.to_tensor(x, "float32"))
    y = adapter.to_numpy(made(adapter.to_tensor(x, "float32")))
    assert y.dtype == np.float32 and np.isfinite(y).all()
    exact = np.abs(np.float64(x)).mean(axis=axis and 0) * 2 / np.sqrt(3)
    step = np.asarray(numbers(made)["step"])
    verdict = judge(step, exact, exact, "float32")
    assert verdict.passed, verdict.detail


X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)


def steps(scale, zero_point=0):
    scale = np.asarray(scale, np.float32)
    return dict(
        scale=scale, zero_point=np.full_like(scale, zero_point, "i4")
    )


@pytest.mark.parametrize("layer", ["quantize", "fake_quantize"])
@pytest.mark.parametrize(
    "config, given, words",
    [
        ({}, steps(0.0), ["scale", "positive", "0.0"]),
        ({}, steps(-0.5), ["scale", "positive", "-0.5"]),
        ({}, steps(np.nan), ["scale", "positive", "nan"]),
        ({}, steps(np.inf), ["scale", "finite", "inf"]),
        (dict(axis=1), steps([1, 0, 1]), ["scale", "positive", "0.0"]),
        (dict(bits=1), steps(1), ["bits", "2 to 8 or 16", "got 1"]),
        (dict(bits=17), steps(1), ["bits", "2 to 8 or 16", "got 17"]),
        (dict(bits=9), steps(1), ["bits", "2 to 8 or 16", "got 9"]),
        (
            dict(signed=False, narrow_range=True),
            steps(1),
            ["narrow_range", "got False"],
        ),
        (
            dict(axis=2),
            steps([1, 1, 1]),
            ["axis", "axis of 2", "got 2"],
        ),
        (dict(axis=-3), steps([1, 1]), ["axis", "axis of 2", "got -3"]),
        (dict(axis=1), steps([1, 1]), ["scale", "(3,)", "(2,)"]),
        ({}, steps([1, 1, 1]), ["scale", "()", "(3,)"]),
        (
            {},
            steps(1) | dict(zero_point=np.zeros(1, np.int32)),
            ["zero_point", "()", "(1,)"],
        ),
    ],
)
def test_settings_that_do_not_fit(adapter, layer, config, given, words):
    with pytest.raises(ValueError) as error:
        built = adapter.build(layer, config, {}, "float32")
        adapter.run(built, dict(x=X) | given)
    assert [w for w in words if w not in str(error.value)] == []


@pytest.mark.parametrize(
    "layer, config, params, words",
    [
        ("LSQ", {}, dict(step=np.nan), ["step", "positive", "nan"]),
        ("LSQ", {}, dict(step=0.0), ["step", "positive", "0.0"]),
        ("LSQ", {}, dict(step=-1.0), ["step", "positive", "-1.0"]),
        ("LSQ", dict(bits=1), dict(step=1.0), ["bits", "got 1"]),
        (
            "LSQ",
            dict(axis=1, num_channels=2),
            dict(step=[1.0, 1.0]),
            ["step", "(3,)", "(2,)"],
        ),
        (
            "LSQPlus",
            {},
            dict(step=np.nan, offset=0.0),
            ["step", "positive", "nan"],
        ),
        ("PACT", {}, dict(alpha=0.0), ["alpha", "positive", "0.0"]),
        ("PACT", {}, dict(alpha=-6.0), ["alpha", "positive", "-6.0"]),
        ("PACT", dict(bits=17), dict(alpha=1.0), ["bits", "got 17"]),
    ],
)
def test_parameters_that_do_not_fit(
    adapter, layer, config, params, words
):
    params = {n: np.asarray(p, np.float32) for n, p in params.items()}
    with pytest.raises(ValueError) as error:
        built = adapter.build(layer, config, params, "float32")
        adapter.run(built, dict(x=X))
    assert [w for w in words if w not in str(error.value)] == []


@pytest.mark.parametrize("layer", ["quantize", "fake_quantize"])
@pytest.mark.parametrize("wrong", ["x", "zero_point"])
def test_dtypes_that_do_not_fit(adapter, layer, wrong):
    given = dict(x=X) | steps(1)
    got = "int32" if wrong == "x" else "float32"
    given[wrong] = given[wrong].astype(got)
    built = adapter.build(layer, {}, {}, "float32")
    with pytest.raises(
        TypeError, match=f"{wrong} expected .* got {got}"
    ):
        adapter.run(built, given)


@pytest.mark.parametrize(
    "layer, name, bad",
    [
        ("LSQ", "step", -1.0),
        ("LSQ", "step", 0.0),
        ("LSQ", "step", np.nan),
        ("PACT", "alpha", -6.0),
        ("PACT", "alpha", 0.0),
    ],
)
def test_a_compiled_bad_step_is_loud(adapter, layer, name, bad):
    """Compiled code sees no numbers: NaN everywhere, never a result."""
    if adapter.unsupported(layer, "float32", True):
        assert adapter.__name__.startswith("mxnet")
        return
    params = {name: np.asarray(bad, np.float32)}
    built = adapter.build(layer, {}, params, "float32")
    y = adapter.run(built, dict(x=X), compiled=True)["out.y"]
    assert np.isnan(y).all()


def test_where_alpha_starts(start, numbers):
    assert numbers(start("PACT", {}))["alpha"] == 6.0
    assert numbers(start("PACT", dict(alpha_init=0.5)))["alpha"] == 0.5


def test_where_start_puts_alpha(start, adapter, numbers):
    """mean |x| is 2, so 2 * 2 * sqrt(15)."""
    layer = start("PACT", {})
    layer.start(adapter.to_tensor(np.array([-1, 3], "f4"), "float32"))
    exact = np.asarray(4 * np.sqrt(15))
    alpha = np.asarray(numbers(layer)["alpha"])
    verdict = judge(alpha, exact, exact, "float32")
    assert verdict.passed, verdict.detail


DEFAULTS = {
    "conv.standardize": dict(eps=1e-5),
    "quantization.quantizers.FakeQuantizer": dict(
        bits=8, signed=True, symmetric=False
    ),
    "quantization.observers.MovingAverageObserver": dict(momentum=0.01),
    "quantization.observers.PercentileObserver": dict(
        percent=99.9, momentum=0.01
    ),
    "quantization.quantizers.make_quantizer": dict(
        signed=True, axis=None
    ),
    "quantization.codes.code_range": dict(
        signed=True, narrow_range=False
    ),
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_of_what_is_not_a_public_layer(framework, name):
    page, name = name.rsplit(".", 1)
    module = importlib.import_module(f"{framework}_impl.{page}")
    made = getattr(module, name)
    made = made.__init__ if inspect.isclass(made) else made
    found = inspect.signature(made).parameters
    for argument, value in DEFAULTS[f"{page}.{name}"].items():
        assert found[argument].default == value

"""Sums of whole numbers: exact, or refused; and NaN, which has no code.

int32 ends at 2^31. convert knows the weights and which codes x can have,
so it knows the largest sum there is, and refuses what could wrap.
"""

import itertools

import numpy as np
import pytest

from shared_tests.layers.setups import set_arrays

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

# 255 codes of x above its zero point, times 127, times so many inputs
LAST = 2**31 // (255 * 127)


@pytest.fixture
def real(framework, tensor):
    """The JAX adapter turns float64 on: layers start in it."""
    wide = "float64" if framework == "jax" else "float32"
    return lambda x: tensor(np.asarray(x), wide)


@pytest.fixture
def settled(page, start, real):
    """settled(inputs, weight, bias, seen): frozen, after that batch."""

    def settled(weight, bias, seen, **options):
        rows, columns = np.shape(weight)
        sizes = dict(in_features=columns, out_features=rows)
        sizes |= dict(bias=bias is not None)
        layer = start("QATLinear", sizes | options)
        arrays = dict(weight=real(weight))
        if bias is not None:
            arrays |= dict(bias=real(bias))
        prepare = page("prepare")
        set_arrays(layer, **arrays)
        prepare.set_mode(layer, "observe")(real(seen))
        return prepare.set_mode(layer, "frozen")

    return settled


def test_the_last_sum_that_int32_holds(
    framework, page, settled, real, array
):
    convert = page("convert").convert
    for inputs in (LAST, LAST + 1):
        weight = np.full((1, inputs), 1 / inputs)
        x = real(np.ones((2, inputs)))
        layer = settled(weight, None, np.ones((2, inputs)))
        y = array(layer(x))
        if inputs == LAST:
            assert np.abs(y - 1).max() < 1e-3
            assert np.array_equal(array(convert(layer)(x)), y)
            continue
        if framework == "jax":  # it has no wider whole numbers
            assert np.isnan(y).all()
        else:
            assert np.abs(y - 1).max() < 1e-3
        words = rf"the model: sums.* 2\^31, .*got {inputs * 255 * 127}$"
        with pytest.raises(ValueError, match=words):
            convert(layer)
        assert layer is not None and np.array_equal(
            array(layer(x)), y, equal_nan=True
        )


def test_an_error_names_the_layer_and_changes_nothing(
    page, start, real
):
    prepare, places = page("prepare"), page("places")
    sizes = dict(input_size=3, hidden_size=LAST + 1, output_size=2)
    model = prepare.prepare(start("MLP", sizes), {"*": {}})
    for layer in (model.layer1, model.layer2):
        shape = tuple(layer.weight.shape)
        set_arrays(layer, weight=real(np.ones(shape)))
    prepare.set_mode(model, "observe")(real(np.ones((2, 3))))
    with pytest.raises(ValueError, match=r"^layer2: sums expected"):
        page("convert").convert(model)
    kinds = page("qat_linear").QATLinear
    assert list(places.find(model, kinds)) == ["layer1", "layer2"]


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("zero_point", [0, 1, 3])
def test_the_largest_sum_is_the_largest(
    page, tensor, signed, zero_point
):
    """Of all codes there are: tried one by one."""
    largest, codes = page("convert").largest_sum, page("codes").Codes
    rng = np.random.default_rng(zero_point)
    zero_point -= 2 * signed
    ends = (-2, 2) if signed else (0, 4)
    for bias in (0, 17, -40):
        weight = rng.integers(-9, 10, (2, 3))
        q = np.array(list(itertools.product(range(*ends), repeat=3)))
        sums = (q - zero_point) @ weight.T + bias
        got = largest(
            tensor(weight, "float32"),
            tensor(np.full(2, bias), "float32"),
            tensor(zero_point, "float32"),
            codes(2, signed),
        )
        assert got == np.abs(sums).max()


def test_a_bias_brings_a_sum_back(page, settled, real, array):
    """Above 2^31 without it, on the way; what wraps twice is right."""
    inputs = LAST + 2000
    out_scale = 1 / 255 / inputs / 127
    bias = -(2.0**29) * out_scale
    seen = np.ones((2, inputs))
    layer = settled(np.full((1, inputs), 1 / inputs), [bias], seen)
    whole = page("convert").convert(layer)
    total = array(whole.total(real(seen)))
    right = inputs * 255 * 127 + round(float(array(whole.bias)[0]))
    assert inputs * 255 * 127 > 2**31 > right
    assert total.tolist() == [[right], [right]]


def test_whole_numbers_that_do_not_fit_are_nan_in_jax(
    framework, package, real, array
):
    """No wrap goes unseen, also by more than one turn; the other three
    have float64 for them."""
    rng = np.random.default_rng(7)
    a = rng.integers(-255, 256, (40, 3000)).astype(float)
    w = rng.integers(-127, 128, (5, 3000)).astype(float)
    a = np.abs(a) * np.sign(w[0])  # sums of one sign, of some size
    a[20:] *= rng.integers(1, 2000, (20, 1))
    total = a @ w.T
    turns = np.unique(np.round(total / 2**32))
    assert len(turns) > 4 and (np.abs(total) < 2**31).sum() > 90
    one, zeros = real(np.ones(5)), real(np.zeros(5))
    step = real(np.float64(1.0))
    y = array(package.code_linear(real(a), real(w), zeros, step, one))
    right = total.astype(y.dtype)
    if framework == "jax":
        right[np.abs(total) >= 2**31] = np.nan
    assert np.array_equal(y, right, equal_nan=True)


QUANTIZERS = "min_max moving_average percentile pact lsq".split()


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_nan_stays_in_its_row(
    page, settled, real, array, compiled, quantizer, signed
):
    """Prepared, converted and compiled; infinities saturate in all."""
    rng = np.random.default_rng(3)
    weight, seen = rng.standard_normal((2, 4, 5))
    weight[0, 1] = 0  # 0 times NaN is NaN
    options = dict(input_quantizer=quantizer, input_bits=4)
    options |= dict(input_signed=signed)
    layer = settled(weight, np.ones(4), seen, **options)
    x = rng.standard_normal((3, 4, 5))
    x[0, 0, 1] = x[2, 3, :] = np.nan
    x[1, 1, 2], x[1, 2, 3] = np.inf, -np.inf
    x[0, 3, 0], x[2, 3, 0] = np.inf, -np.inf
    lost = np.isnan(x).any(axis=-1)
    prepared = array(layer(real(x)))
    whole = page("convert").convert(layer)
    for y in (
        prepared,
        array(whole(real(x))),
        array(compiled(lambda x: whole(x))(real(x))),
    ):
        assert np.array_equal(np.isnan(y).all(axis=-1), lost)
        assert np.array_equal(np.isnan(y).any(axis=-1), lost)
        assert np.isfinite(y[~lost]).all()
        assert np.array_equal(y, prepared, equal_nan=True)
    assert array(whole.total(real(x))).dtype == np.int32

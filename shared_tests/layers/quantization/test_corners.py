"""Corners of the quantizers: NaN has a code, zeros have a start, and
sums of whole numbers do not wrap."""

import numpy as np
import pytest

from shared_tests.layers.setups import set_arrays

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")


def test_codes_unless_told_otherwise(page):
    """The defaults of quantize and fake_quantize."""
    assert page("codes").Codes() == (8, True, None, False)


@pytest.mark.parametrize(
    "signed, zero_point, code",
    [(True, 3, 3), (True, -100, -8), (False, 5, 5), (False, 99, 15)],
)
def test_nan_has_the_code_of_zero(
    page, tensor, array, signed, zero_point, code
):
    scale = tensor(np.float32(0.5))
    zero_point = tensor(np.array(zero_point, np.int32))
    quantize = page("fake_quantize").quantize
    x = tensor(np.float32([np.nan, 0.0]))
    got = array(quantize(x, scale, zero_point, 4, signed))
    assert got.dtype == np.int32 and got.tolist() == [code, code]


def test_nan_has_it_when_compiled(page, tensor, array, compiled):
    scale = tensor(np.float32(0.5))
    zero_point = tensor(np.array(3, np.int32))
    quantize = page("fake_quantize").quantize
    call = compiled(lambda x: quantize(x, scale, zero_point, 4))
    got = array(call(tensor(np.float32([np.nan, 0.0]))))
    assert got.dtype == np.int32 and got.tolist() == [3, 3]


@pytest.mark.parametrize("scale", [0.0, 0.25])
def test_zeros_have_a_start(start, page, tensor, array, scale):
    """Step 1 where all numbers that share it are 0; alpha stays."""
    x = np.float32([[0, 0, 0, 0], [scale, 0, -scale, 0]])
    config = dict(bits=2, axis=0, num_channels=2)
    for name in ("LSQ", "LSQPlus"):
        layer = start(name, config)
        layer.start(tensor(x))
        want = [1, scale or 1]  # 2 mean(|x|) / sqrt(1)
        assert array(layer.step).tolist() == want
        y = array(layer(tensor(x)))
        assert np.isfinite(y).all() and not y[0].any()
    layer = start("PACT", dict(bits=3))
    layer.start(tensor(-np.abs(x)))
    assert (array(layer.alpha) == 6) == (scale == 0)
    if not scale:
        assert not array(layer(tensor(x))).any()


@pytest.mark.parametrize("quantizer", ["lsq", "pact"])
def test_a_zero_row_and_a_batch_of_zeros(
    start, page, tensor, array, first_dtype, quantizer
):
    options = dict(weight_quantizer="lsq", input_quantizer=quantizer)
    sizes = dict(in_features=3, out_features=2)
    layer = start("QATLinear", sizes | options)
    weight = np.float32([[0, 0, 0], [1, 2, 3]])
    set_mode = page("prepare").set_mode
    weight = tensor(weight, first_dtype)
    set_arrays(layer, weight=weight)
    zeros = tensor(np.zeros((4, 3)), first_dtype)
    set_mode(layer, "observe")(zeros)
    y = array(set_mode(layer, "frozen")(zeros))
    whole = page("convert").convert(layer)
    assert not y.any() and not array(whole(zeros)).any()

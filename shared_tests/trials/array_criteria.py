"""Criteria that look at a whole array, most of them at a second run.

    ratios(value, reference, second, precision, shape)
        -> {criterion: ratio}, 1 is the limit

Four of them compare two errors, both against a wider reference: that of
the port, and that of the original in the port's own precision, here
PyTorch's float32, bfloat16 or float16 (`second`). Without one, and in
float64, where the original is the reference, they say nothing.

    same        torch/_dynamo/utils.py, same(): allclose with 1e-4, or
                RMSE <= m RMSE of the second run + 1e-5; m is 2, or 3 in
                16 bits and below 1,000 elements
    same small  the same with the flag for small tensors: m is 8 up to
                500 elements, 10 up to 10
    flash       Dao-AILab/flash-attention, tests/test_flash_attn.py: the
                largest error <= twice that of the second run + twice
                |ref + 0.3 - 0.3 - ref|
    neuron      AWS Neuron, module_test_guidelines.md, its
                assert_close_three_way: largest error below 5 times,
                norm of the error below 3 times that of the second run;
                and either no more than once, or a Bhattacharyya
                coefficient of both errors >= 0.99. It takes ten inputs,
                here there is one; its docs do not say how the
                coefficient is estimated, here it is that of two normal
                distributions with the mean and deviation of the errors
    ascend      Ascend msprobe, level L0: root mean square <= 2, largest
                relative error <= 10, mean relative error <= 2 times that
                of the second run. Small values, below 2^-14, 2^-8 or
                2^-11, are apart: of these, the share that is off by
                more than 2^-30 or 2^-16 <= 2 times
    pcc         tenstorrent/tt-metal, models/common/utility_functions.py,
                comp_pcc: Pearson's correlation >= 0.99; what is not
                finite counts as 0, a constant array passes
Read on 2026-11-26. NumPy only.
"""

import math

import numpy as np

from shared_tests.verdict import UNIT_ROUNDOFF

TOLERANCE = 1e-4  # of torch's same()
SMALL_VALUE = {
    "float32": (2.0**-14, 2.0**-30),
    "bfloat16": (2.0**-8, 2.0**-16),
    "float16": (2.0**-11, 2.0**-16),
}
CORRELATION = 0.99


def ratios(value, reference, second, precision, shape):
    """value, reference, second: alike, not empty; shape: the array's,
    where these are only the elements of it that count."""
    wide = np.asarray(value).astype(np.float64).ravel()
    reference = np.asarray(reference, np.float64).ravel()
    found = {"pcc": pcc(wide, reference)}
    if second is None or precision == "float64":
        return found
    second = np.asarray(second).astype(np.float64).ravel()
    alike = (wide == reference) | (np.isnan(wide) & np.isnan(reference))
    kept = ~(alike & ~np.isfinite(wide))
    arrays = wide[kept], reference[kept], second[kept]
    if not all(np.isfinite(part).all() for part in arrays):
        return found | dict.fromkeys(TWO_RUNS, np.inf)
    if not kept.any():
        return found | dict.fromkeys(TWO_RUNS, 0.0)
    with np.errstate(over="ignore", under="ignore"):
        return found | {
            name: float(rule(*arrays, precision, shape))
            for name, rule in TWO_RUNS.items()
        }


def times(part, whole):
    """part / whole; nothing is nothing of nothing."""
    if part == 0:
        return 0.0
    return part / whole if whole else math.inf


def rms(error):
    return float(np.sqrt(np.mean(np.square(error))))


# --- with a second run


def same(value, reference, second, precision, shape, small=False):
    limits = TOLERANCE * (1 + np.abs(value))
    close = np.max(np.abs(second - value) / limits)
    factor = multiplier(precision, shape, small)
    allowed = factor * rms(second - reference) + TOLERANCE / 10
    return min(close, rms(value - reference) / allowed)


def multiplier(precision, shape, small):
    size = math.prod(shape)
    if small and size <= 500:
        return 10 if size <= 10 else 8
    kernel_1 = len(shape) == 4 and shape[-2:] == (1, 1)
    half = precision in ("bfloat16", "float16")
    return 3 if half or size < 1000 or kernel_1 else 2


def same_small(*arguments):
    return same(*arguments, small=True)


def flash(value, reference, second, precision, _):
    near = rounded(reference, precision)
    there = rounded(near + 0.3, precision)
    back = rounded(there - 0.3, precision)
    allowed = np.max(np.abs(second - near))
    allowed = 2 * allowed + 2 * np.max(np.abs(back - near))
    return times(np.max(np.abs(value - near)), allowed)


def rounded(array, precision):
    """To as many digits as the precision has."""
    mantissa, exponent = np.frexp(array)
    digits = 1 / UNIT_ROUNDOFF[precision]
    return np.ldexp(np.round(mantissa * digits) / digits, exponent)


def neuron(value, reference, second, *_):
    ours, theirs = value - reference, second - reference
    largest = times(np.max(np.abs(ours)), np.max(np.abs(theirs)))
    norm = times(rms(ours), rms(theirs))
    apart = (1 - overlap(ours, theirs)) / 0.01
    return max(largest / 5, norm / 3, min(norm, apart))


def overlap(a, b):
    """Bhattacharyya's coefficient of two normal distributions."""
    spread = np.var(a) + np.var(b)
    distance = (np.mean(a) - np.mean(b)) ** 2
    if spread == 0:
        return float(distance == 0)
    return np.sqrt(2 * np.std(a) * np.std(b) / spread) * np.exp(
        -distance / (4 * spread)
    )


def ascend(value, reference, second, precision, _):
    limit, allowed = SMALL_VALUE[precision]
    small = np.abs(reference) < limit
    ours, theirs = (
        np.abs(part - reference) for part in (value, second)
    )
    found = [
        times(
            np.mean(ours[small] > allowed),
            np.mean(theirs[small] > allowed),
        )
        / 2
        if small.any()
        else 0.0
    ]
    if not small.all():
        size = np.abs(reference[~small])
        ours, theirs = ours[~small], theirs[~small]
        found += [
            times(rms(ours), rms(theirs)) / 2,
            times(np.max(ours / size), np.max(theirs / size)) / 10,
            times(np.mean(ours / size), np.mean(theirs / size)) / 2,
        ]
    return max(found)


# --- without


def pcc(value, reference):
    """Scaled so that a correlation of 0.99 is 1, and of 1 is 0."""
    if np.isnan(value).all() or np.isnan(reference).all():
        both = np.isnan(value).all() and np.isnan(reference).all()
        return 0.0 if both else math.inf
    if value.any() != reference.any():
        return math.inf
    value, reference = (
        np.where(np.isfinite(part), part, 0.0)
        for part in (value, reference)
    )
    a, b = (unit(part) for part in (value, reference))
    if a is None or b is None:
        return 0.0
    return float(max(0.0, 1 - a @ b) / (1 - CORRELATION))


def unit(array):
    """Without its mean, of length 1; None where it is constant."""
    size = np.max(np.abs(array))
    if size == 0 or np.ptp(array) == 0:
        return None
    apart = array / size  # squares would leave the range
    apart = apart - np.mean(apart)
    return apart / np.linalg.norm(apart)


TWO_RUNS = {
    "same": same,
    "same small": same_small,
    "flash": flash,
    "neuron": neuron,
    "ascend": ascend,
}
RULES = (*TWO_RUNS, "pcc")

"""Rounding or bug? One rule for every layer, framework and precision.

pass if |value - reference| <= 16 u sigma + tiny, element by element:
    u      unit roundoff of the precision
    sigma  the error to expect from rounding, in units of u (budget.py)
    tiny   smallest normal number; JAX and TensorFlow flush below it
Integers and booleans must be equal. Shapes and dtypes must match. -0.0
equals 0.0: which zero comes out is up to the order of a sum. sigma must
be finite, not negative and of the reference's shape, since a bad one
would pass anything. NumPy only, so that every environment can run it.
"""

import warnings
from typing import NamedTuple

import numpy as np

FACTOR = 16
UNIT_ROUNDOFF = {
    "float64": 2.0**-53,
    "float32": 2.0**-24,
    "bfloat16": 2.0**-8,
    "float16": 2.0**-11,
}
TINY = {
    "float64": 2.0**-1022,
    "float32": 2.0**-126,
    "bfloat16": 2.0**-126,
    "float16": 2.0**-14,
}
LARGEST = {
    "float64": float(np.finfo(np.float64).max),
    "float32": float(np.finfo(np.float32).max),
    "bfloat16": (2 - 2.0**-7) * 2.0**127,
    "float16": 65504.0,
}


class Verdict(NamedTuple):
    passed: bool
    ratio: float  # worst |error| / budget; 1.0 is the limit
    detail: (
        str  # empty for a pass, else index, both values, allowed error
    )


def budget(sigma, precision):
    """Allowed absolute error of each element; sigma in units of u."""
    wide = np.asarray(sigma, np.float64)
    return FACTOR * UNIT_ROUNDOFF[precision] * wide + TINY[precision]


def judge(value, reference, sigma, precision):
    """Compare one array with its reference.

    value: what the framework computed, in `precision` (or integers);
    reference: float64 (or integers); sigma: as reference, ignored for
    integers. Returns: a Verdict, whatever the value is
    Raises: ValueError for a reference or a sigma that cannot judge
    """
    reference = numbers(reference)
    if reference is None or reference.dtype.kind not in "iubf":
        raise ValueError("judge: reference expected numbers")
    exact = reference.dtype.kind in "iub"
    if not exact:
        wrong = sigma_error(sigma, reference, precision)
        if wrong:
            raise ValueError(f"judge: sigma expected {wrong}")
    value = numbers(value)
    if value is None:
        return failed("not an array of numbers")
    dtype = reference.dtype.name if exact else precision
    if value.dtype.name != dtype:
        return failed(f"dtype {value.dtype.name}, expected {dtype}")
    if value.shape != reference.shape:
        return failed(
            f"shape {value.shape}, expected {reference.shape}"
        )
    if reference.size == 0:
        return Verdict(True, 0.0, "")
    if exact:
        wrong = value != reference
        if not wrong.any():
            return Verdict(True, 0.0, "")
        return worst(wrong, value, reference, "integers must be equal")
    ratios = ratio(value, reference, sigma, precision)
    peak = float(ratios.max())
    if peak <= 1.0:
        return Verdict(True, peak, "")
    allowed = np.broadcast_to(budget(sigma, precision), value.shape)
    index = np.unravel_index(int(ratios.argmax()), value.shape)
    detail = f"allowed error {allowed[index]:.3g}"
    return worst(ratios, value, reference, detail, peak)


def numbers(array):
    """As an array; None where it is ragged, which no array is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy 1.23 only warns
            return np.asarray(array)
    except (ValueError, TypeError, Warning):
        return None


def sigma_error(sigma, reference, precision):
    """What sigma should have been, and what it is; "" where it is good."""
    sigma = numbers(sigma)
    if sigma is None or sigma.dtype.kind not in "iuf":
        return "an array of numbers"
    if sigma.shape != reference.shape:
        return f"shape {reference.shape}, got {sigma.shape}"
    with np.errstate(over="ignore", invalid="ignore"):
        allowed = budget(sigma, precision)
    for words, bad in (
        ("finite numbers", ~np.isfinite(sigma)),
        ("no negative numbers", sigma < 0),
        (f"a budget within {precision}", allowed > LARGEST[precision]),
    ):
        if bad.any():
            return f"{words}, got {sigma[bad].flat[0]:g}"
    return ""


def ratio(value, reference, sigma, precision):
    """|error| / budget of each element; inf where it is not a number.

    Where the reference itself is NaN or infinite, the value must be the
    same: then the ratio is 0.
    """
    wide = np.asarray(value).astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(wide - reference)
        ratios = error / budget(sigma, precision)
    same = (wide == reference) | (np.isnan(wide) & np.isnan(reference))
    ratios = np.where(same, 0.0, ratios)
    return np.where(np.isnan(ratios), np.inf, ratios)


def worst(ratios, value, reference, detail, peak=np.inf):
    index = np.unravel_index(int(ratios.argmax()), value.shape)
    at = [int(i) for i in index]
    got, want = value[index], reference[index]
    if value.dtype.kind not in "iub":
        got, want = f"{float(got):.9g}", f"{float(want):.9g}"
    return failed(
        f"at {at}: got {got}, expected {want}, {detail}", peak
    )


def failed(detail, peak=np.inf):
    return Verdict(False, float(peak), detail)

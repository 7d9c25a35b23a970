"""The usual criteria for "the same numbers", beside the error budget.

    ratios(value, reference, sigma, precision, ulps) -> {criterion: ratio}

ratio: the worst |error| / tolerance of the elements, 1 is the limit;
infinite where NaN or infinity stand in different places. All criteria
see the same value and the same float64 reference, which is kinder to
them than their usual use, where both sides have been rounded.

    abs 1e-5        Hugging Face's PyTorch-to-Flax and -TensorFlow tests
    assert_close    torch.testing.assert_close, by dtype
    allclose        numpy.allclose: 1e-8 + 1e-5 |reference|
    jax             jax.test_util's table, absolute and relative alike
    onnx            the backend tests' rtol 1e-3, atol 1e-7
    webnn           units in the last place, from the shapes: `ulps`
    budget          16 u sigma + tiny, as in verdict.py
NumPy only.
"""

import numpy as np

from shared_tests.verdict import TINY, UNIT_ROUNDOFF
from shared_tests.verdict import ratio as budget_ratio

# absolute and relative, in float64, float32, bfloat16 and float16
TABLE = {
    "abs 1e-5": ((1e-5, 0),) * 4,
    "assert_close": (
        *((1e-7, 1e-7), (1e-5, 1.3e-6)),
        *((1e-5, 1.6e-2), (1e-5, 1e-3)),
    ),
    "allclose": ((1e-8, 1e-5),) * 4,
    "jax": ((1e-15,) * 2, (1e-6,) * 2, (1e-2,) * 2, (1e-3,) * 2),
    "onnx": ((1e-7, 1e-3),) * 4,
}
NAMES = (*TABLE, "webnn", "budget")
PRECISIONS = ("float64", "float32", "bfloat16", "float16")


def elements(value, reference, sigma, precision, ulps):
    """{criterion: |error| / tolerance of each element}

    sigma: of the budget; ulps: of WebNN's criterion, for this array
    """
    wide = np.asarray(value).astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        error, size = np.abs(wide - reference), np.abs(reference)
        same = (wide == reference) | (
            np.isnan(wide) & np.isnan(reference)
        )
        found = {}
        for name, rows in TABLE.items():
            absolute, relative = rows[PRECISIONS.index(precision)]
            found[name] = error / (absolute + relative * size)
        found["webnn"] = error / (ulps * spacing(size, precision))
    for name, ratios in found.items():
        ratios = np.where(np.isnan(ratios), np.inf, ratios)
        found[name] = np.where(same, 0.0, ratios)
    found["budget"] = budget_ratio(value, reference, sigma, precision)
    return found


def spacing(size, precision):
    """The distance between numbers of that size: one ulp."""
    unit = 2 * UNIT_ROUNDOFF[precision]
    exponent = np.frexp(np.maximum(size, TINY[precision]))[1] - 1
    return np.ldexp(unit, exponent)


def ratios(value, reference, sigma, precision, ulps):
    """The worst of each; exact arrays must be equal in all of them."""
    if np.shape(value) != np.shape(reference):
        return dict.fromkeys(NAMES, np.inf)
    if reference.dtype.kind in "iub":
        wrong = np.inf if np.any(value != reference) else 0.0
        return dict.fromkeys(NAMES, wrong)
    if reference.size == 0:
        return dict.fromkeys(NAMES, 0.0)
    each = elements(value, reference, sigma, precision, ulps)
    return {name: float(found.max()) for name, found in each.items()}

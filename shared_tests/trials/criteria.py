"""The usual criteria for "the same numbers", beside the error budget.

    ratios(value, reference, sigma, precision, allowed, ...)
        -> {criterion: ratio}

ratio: 1 is the limit; infinite where NaN or infinity stand in different
places. All criteria see the same value and the same float64 reference,
which is kinder to them than their usual use, where both sides have been
rounded. Here are those that look at one element after the other; those
that look at a whole array, or at a second run, are in array_criteria.py.

    abs 1e-5        Hugging Face's PyTorch-to-Flax and -TensorFlow tests
    assert_close    torch.testing.assert_close, by dtype
    allclose        numpy.allclose: 1e-8 + 1e-5 |reference|
    jax             jax.test_util's table, absolute and relative alike
    onnx            the backend tests' rtol 1e-3, atol 1e-7
    webnn           units in the last place, from the shapes (shapes.py)
    polygraphy      wrong is what is beyond 1e-5 both ways: absolute and
                    relative. NVIDIA/TensorRT,
                    tools/Polygraphy/polygraphy/comparator/compare.py
    nvfuser         by the number of terms that were added (shapes.py),
                    and 1 % of that relative. NVIDIA/Fuser,
                    csrc/validator_utils.h and .cpp
    xformers        attention's tolerances, wider for gradients.
                    facebookresearch/xformers, xformers/ops/fmha/common.py
                    (forward) and cutlass.py (backward)
    budget          16 u sigma + tiny, as in verdict.py
    settled         the same with the decisions of the working precision,
                    where the operations up to them are prescribed, as
                    those of quantizers here (roundoff/branches/settled.py)
The sources of Polygraphy, nvFuser and xFormers were read on 2026-11-26.
NumPy only.
"""

import numpy as np

from shared_tests.trials import array_criteria
from shared_tests.verdict import TINY, UNIT_ROUNDOFF
from shared_tests.verdict import ratio as budget_ratio

PRECISIONS = ("float64", "float32", "bfloat16", "float16")
# absolute and relative, in these precisions
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
POLYGRAPHY = 1e-5
# without float64, which its kernels do not take
XFORMERS = {
    "float32": {"out": (3e-4, 2e-5), "grad": (5e-4, 1e-4)},
    "bfloat16": {"out": (2e-2, 5e-3), "grad": (7e-1, 1e-1)},
    "float16": {"out": (4e-3, 4e-4), "grad": (9.5e-2, 2e-2)},
}
# nvFuser: what sums of 4, 8, ... 2^21 terms were off by, at the most
SUMS_FLOAT = """1.68222e-06 2.23704e-06 2.95788e-06 4.4778e-06 6.75395e-06
    8.57934e-06 1.30594e-05 2.19122e-05 3.3451e-05 5.78476e-05 0.000108292
    0.00012207 0.000136882 0.000248561 0.000407594 0.000500901 0.000923019
    0.00156909 0.00223107 0.00343043"""
SUMS_HALF = """0.00390625 0.0078125 0.0078125 0.0155334 0.0156269 0.0312042
    0.0312548 0.0619979 0.0625103 0.124686 0.12501 0.24945 0.250049
    0.498946 0.500071 0.985087 1.00006 1.99234 2.00032 3.99073"""
SUMS = {
    "float": [float(word) for word in SUMS_FLOAT.split()],
    "half": [float(word) for word in SUMS_HALF.split()],
}
BY_ELEMENT = (*TABLE, "webnn", "polygraphy", "nvfuser", "xformers")
NAMES = (*BY_ELEMENT, *array_criteria.RULES, "budget", "settled")


def elements(value, reference, precision, allowed, side):
    """{criterion: |error| / tolerance of each element}

    allowed: {"ulps", "terms"} of this side, from the shapes
    side: "out", or "grad" for all that a backward pass was needed for
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
        found["webnn"] = error / (
            allowed["ulps"] * spacing(size, precision)
        )
        either = np.maximum(1.0, size)
        found["polygraphy"] = error / (POLYGRAPHY * either)
        absolute, relative = nvfuser(allowed["terms"], precision)
        found["nvfuser"] = error / (absolute + relative * size)
        if precision in XFORMERS:
            absolute, relative = XFORMERS[precision][side]
            found["xformers"] = error / (absolute + relative * size)
    for name, ratios in found.items():
        ratios = np.where(np.isnan(ratios), np.inf, ratios)
        found[name] = np.where(same, 0.0, ratios)
    return found


def nvfuser(terms, precision):
    """(absolute, relative) tolerance of what `terms` terms made."""
    half = precision in ("bfloat16", "float16")
    table = SUMS["half" if half else "float"]
    if terms <= 1:
        return table[0], table[1]
    sizes = (4 * 2**step for step in range(len(table)))
    at = sum(size < terms for size in sizes) + 1  # with some margin
    absolute = table[at] if at < len(table) else 2 * table[-1]
    absolute *= 10 if precision == "bfloat16" else 1
    return absolute, absolute / 100


def spacing(size, precision):
    """The distance between numbers of that size: one ulp."""
    unit = 2 * UNIT_ROUNDOFF[precision]
    exponent = np.frexp(np.maximum(size, TINY[precision]))[1] - 1
    return np.ldexp(unit, exponent)


def ratios(
    value,
    reference,
    sigma,
    precision,
    allowed,
    side="out",
    second=None,
    kept=None,
    settled=None,
):
    """The worst ratio of an array, by each criterion that applies to it.

    second: what PyTorch computes in the same precision; without it
        there is nothing to say by the criteria that need one
    kept: where elements count; all, if it is not given
    settled: another reference and sigma, for that criterion
    Exact arrays must be equal in all of them.
    """
    names = applicable(precision, second, settled)
    if np.shape(value) != np.shape(reference):
        return dict.fromkeys(names, np.inf)
    if reference.dtype.kind in "iub":
        found = dict.fromkeys(names, unequal(value, reference))
        if settled is not None:
            found["settled"] = unequal(value, settled[0])
        return found
    shape = np.shape(reference)
    if kept is not None:
        value, reference, sigma = (
            np.asarray(part)[kept] for part in (value, reference, sigma)
        )
        second = None if second is None else second[kept]
        if settled is not None:
            settled = [np.asarray(part)[kept] for part in settled]
    if reference.size == 0:
        return dict.fromkeys(names, 0.0)
    each = elements(value, reference, precision, allowed, side)
    each["budget"] = budget_ratio(value, reference, sigma, precision)
    if settled is not None:
        each["settled"] = budget_ratio(value, *settled, precision)
    found = {name: float(part.max()) for name, part in each.items()}
    found |= array_criteria.ratios(
        value, reference, second, precision, shape
    )
    return {name: found[name] for name in names}


def unequal(value, reference):
    return np.inf if np.any(value != reference) else 0.0


def applicable(precision, second, settled):
    """The criteria that have something to say there."""
    silent = {"settled"} if settled is None else set()
    if second is None or precision == "float64":
        silent |= set(array_criteria.TWO_RUNS)
    if precision not in XFORMERS:
        silent.add("xformers")
    return [name for name in NAMES if name not in silent]

"""The usual criteria say what the libraries they come from say."""

import inspect

import numpy as np
import pytest

from shared_tests.trials import criteria
from shared_tests.trials.array_criteria import TWO_RUNS
from shared_tests.verdict import UNIT_ROUNDOFF, judge

ENVIRONMENTS = ("tools",)

REFERENCE = np.array([1.0, -3.0, 1e-6, 250.0, 0.0])
SIGMA = np.ones(5)
SHAPES = {"ulps": 10, "terms": 1}


def ratios(error, precision="float32"):
    value = (REFERENCE + error).astype(precision)
    exact = value.astype(np.float64)
    found = criteria.ratios(exact, REFERENCE, SIGMA, precision, SHAPES)
    return found, exact


def off_by(error, size, name, precision="float32", **also):
    """What a criterion says of one element, of that size."""
    reference = np.array([float(size)])
    options = dict(allowed=SHAPES) | also
    found = criteria.ratios(
        *(reference + error, reference, np.ones(1), precision),
        **options,
    )
    return found[name]


@pytest.mark.parametrize("precision", ["float64", "float32", "float16"])
@pytest.mark.parametrize("seed", range(20))
def test_as_numpy_decides(seed, precision):
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-9, -2)
    found, value = ratios(scale * rng.standard_normal(5), precision)
    same = np.allclose(value, REFERENCE)
    assert (found["allclose"] <= 1) == same
    error = np.abs(value - REFERENCE)
    assert (found["abs 1e-5"] <= 1) == (error.max() <= 1e-5)
    for name in ("assert_close", "jax", "onnx"):
        place = criteria.PRECISIONS.index(precision)
        atol, rtol = criteria.TABLE[name][place]
        same = np.allclose(value, REFERENCE, rtol, atol)
        assert (found[name] <= 1) == same
    verdict = judge(
        value.astype(precision), REFERENCE, SIGMA, precision
    )
    assert (found["budget"] <= 1) == verdict.passed


def test_the_defaults_of_onnx():
    from onnx.backend.test import loader

    source = inspect.getsource(loader)
    absolute, relative = criteria.TABLE["onnx"][1]
    assert f"rtol = {relative:.0e}".replace("e-0", "e-") in source
    assert f"atol = {absolute:.0e}".replace("e-0", "e-") in source


@pytest.mark.parametrize("precision", ["float64", "float32", "float16"])
def test_one_unit_in_the_last_place(precision):
    sizes = np.array([1.0, 1.5, 0.9999, 3e4, 1e-3]).astype(precision)
    steps = np.spacing(sizes).astype(np.float64)
    found = criteria.spacing(sizes.astype(np.float64), precision)
    assert np.array_equal(found, steps)
    assert found[0] == 2 * UNIT_ROUNDOFF[precision]
    value = sizes.astype(np.float64) + 3 * steps
    shapes = {"ulps": 3, "terms": 1}
    each = criteria.elements(
        value, sizes.astype(np.float64), precision, shapes, "out"
    )
    assert np.array_equal(each["webnn"], np.ones(5))


def test_polygraphy_needs_both_to_be_exceeded():
    """1e-5 absolute excuses small numbers, and relative large ones."""
    for size in (0.01, 100.0):
        limit = 1e-5 * max(1, size)
        assert off_by(0.9 * limit, size, "polygraphy") < 1
        assert off_by(1.1 * limit, size, "polygraphy") > 1


@pytest.mark.parametrize(
    "terms, precision, absolute",
    [
        (2, "float32", 2.23704e-06),  # 4 terms, and one row on
        (4, "float32", 2.23704e-06),
        (5, "float32", 2.95788e-06),
        (1000, "float32", 5.78476e-05),
        (1000, "float64", 5.78476e-05),
        (2**20, "float32", 0.00343043),
        (2**21, "float32", 2 * 0.00343043),
        (2**30, "float32", 2 * 0.00343043),
        (16, "float16", 0.0155334),
        (16, "bfloat16", 0.155334),
    ],
)
def test_nvfuser_takes_the_next_size_of_its_table(
    terms, precision, absolute
):
    shapes = {"ulps": 1, "terms": terms}
    for part, passed in ((0.999, True), (1.001, False)):
        error = part * (absolute + absolute / 100 * 3.0)
        ratio = off_by(error, 3, "nvfuser", precision, allowed=shapes)
        assert (ratio <= 1) == passed


def test_nvfuser_without_a_sum():
    assert criteria.nvfuser(1, "float32") == (1.68222e-06, 2.23704e-06)
    assert criteria.nvfuser(1, "bfloat16") == (0.00390625, 0.0078125)


@pytest.mark.parametrize(
    "precision, side, absolute, relative",
    [
        ("float32", "out", 3e-4, 2e-5),
        ("float32", "grad", 5e-4, 1e-4),
        ("bfloat16", "grad", 0.7, 0.1),
        ("float16", "out", 4e-3, 4e-4),
    ],
)
def test_xformers_is_wider_for_gradients(
    precision, side, absolute, relative
):
    for part, passed in ((0.999, True), (1.001, False)):
        error = part * (absolute + 8 * relative)
        ratio = off_by(error, 8, "xformers", precision, side=side)
        assert (ratio <= 1) == passed


def test_which_apply():
    """xFormers has no float64, and four need PyTorch's second run."""
    found, _ = ratios(0.0)
    left = set(criteria.NAMES) - set(TWO_RUNS) - {"settled"}
    assert found.keys() == left
    found, _ = ratios(0.0, "float64")
    assert found.keys() == left - {"xformers"}
    second = REFERENCE.astype("f4")
    found = criteria.ratios(
        *(second, REFERENCE, SIGMA, "float32", SHAPES),
        second=second,
        settled=(REFERENCE, SIGMA),
    )
    assert found.keys() == set(criteria.NAMES)


def test_settled_decisions():
    """Noise breaks the tie, and sigma is a step; float32 goes down."""
    step = 0.5
    tie, down = np.array([1.0, 2.0]), np.array([0.5, 2.0])
    wide, narrow = np.array([step / 2**-24, 1.0]), np.ones(2)
    for value, settles in ((tie, False), (down, True)):
        found = criteria.ratios(
            *(value, tie, wide, "float32", SHAPES),
            settled=(down, narrow),
        )
        assert found["budget"] <= 1
        assert (found["settled"] <= 1) == settles
    codes = np.array([1, 2])
    found = criteria.ratios(
        *(codes, codes + 1, 0.0, "float32", SHAPES),
        settled=(codes, 0.0),
    )
    assert found["settled"] == 0 and found["budget"] == np.inf


def test_elements_that_do_not_count():
    value = REFERENCE + np.array([0, 0, 9.0, 0, np.nan])
    kept = np.array([True, True, False, True, False])
    found = criteria.ratios(
        *(value, REFERENCE, SIGMA, "float32", SHAPES),
        second=REFERENCE + 1e-9,
        kept=kept,
    )
    assert set(found.values()) == {0.0}
    none = criteria.ratios(
        *(value, REFERENCE, SIGMA, "float32", SHAPES),
        kept=np.zeros(5, bool),
    )
    assert set(none.values()) == {0.0}


def test_what_is_not_finite():
    """NaN and infinity in the same places agree; elsewhere nothing does,
    but for the correlation, which counts them as 0."""
    wanted = np.array([np.nan, np.inf, -np.inf, 1.0])
    second = np.array([np.nan, np.inf, -np.inf, 1.0 + 1e-7])
    for value, ratio in (
        (wanted, 0.0),
        (np.array([np.nan, np.inf, np.inf, 1.0]), np.inf),
        (np.array([0.0, np.inf, -np.inf, 1.0]), np.inf),
        (np.array([np.nan, np.inf, -np.inf, np.nan]), np.inf),
    ):
        found = criteria.ratios(
            *(value, wanted, np.ones(4), "float32", SHAPES),
            second=second,
            settled=(wanted, np.ones(4)),
        )
        assert found.pop("pcc") == 0.0
        assert set(found.values()) == {ratio}


def test_what_must_be_equal():
    codes = np.array([1, 2], np.int32)
    against = codes, 0.0, "float32", SHAPES, "out", codes
    against += None, (codes, 0.0)
    for value, ratio in ((codes, 0.0), (codes + 1, np.inf)):
        found = criteria.ratios(value, *against)
        assert found == dict.fromkeys(criteria.NAMES, ratio)
    found = criteria.ratios(codes[:1], *against)
    assert found == dict.fromkeys(criteria.NAMES, np.inf)
    none = np.zeros((0, 3))
    found = criteria.ratios(none, none, none, "float32", SHAPES)
    assert set(found.values()) == {0.0}

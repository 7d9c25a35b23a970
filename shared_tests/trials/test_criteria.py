"""The usual criteria say what the libraries they come from say."""

import inspect

import numpy as np
import pytest

from shared_tests.trials import criteria
from shared_tests.verdict import UNIT_ROUNDOFF, judge

ENVIRONMENTS = ("tools",)

REFERENCE = np.array([1.0, -3.0, 1e-6, 250.0, 0.0])
SIGMA = np.ones(5)


def ratios(error, precision="float32"):
    value = (REFERENCE + error).astype(precision)
    exact = value.astype(np.float64)
    found = criteria.ratios(exact, REFERENCE, SIGMA, precision, 10)
    return found, exact


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
    each = criteria.elements(
        value, sizes.astype(np.float64), 1.0, precision, 3
    )
    assert np.array_equal(each["webnn"], np.ones(5))


def test_what_is_not_finite():
    """NaN and infinity in the same places agree; elsewhere nothing does."""
    wanted = np.array([np.nan, np.inf, -np.inf, 1.0])
    for value, ratio in (
        (wanted, 0.0),
        (np.array([np.nan, np.inf, np.inf, 1.0]), np.inf),
        (np.array([0.0, np.inf, -np.inf, 1.0]), np.inf),
        (np.array([np.nan, np.inf, -np.inf, np.nan]), np.inf),
    ):
        found = criteria.ratios(value, wanted, np.ones(4), "float32", 9)
        assert found == dict.fromkeys(criteria.NAMES, ratio)


def test_what_must_be_equal():
    codes = np.array([1, 2], np.int32)
    for value, ratio in ((codes, 0.0), (codes + 1, np.inf)):
        found = criteria.ratios(value, codes, 0.0, "float32", 9)
        assert found == dict.fromkeys(criteria.NAMES, ratio)
    found = criteria.ratios(codes[:1], codes, 0.0, "float32", 9)
    assert set(found.values()) == {np.inf}
    none = np.zeros((0, 3))
    found = criteria.ratios(none, none, none, "float32", 9)
    assert set(found.values()) == {0.0}

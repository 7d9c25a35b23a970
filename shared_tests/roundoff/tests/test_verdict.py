"""The comparator must fail what is wrong, and only that."""

import numpy as np
import pytest

from shared_tests import run
from shared_tests.cases import CASES
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.roundoff.verdict import TINY, UNIT_ROUNDOFF, judge

ENVIRONMENTS = ("tools",)

CASE = next(case for case in CASES if case.id == "Linear-basic")


class Copycat:
    """An adapter that gives the reference back, rounded, with a flaw."""

    def __init__(self, fixture, flaw=lambda results: results):
        self.references = run.group(fixture, "ref")
        self.flaw = flaw

    def build(self, layer, config, params, precision):
        return precision

    def run(self, precision, inputs, cotangents, compiled):
        rounded = {
            name: array.astype(precision)
            for name, array in self.references.items()
        }
        return self.flaw(rounded)

    def unsupported(self, layer, precision, compiled=False):
        return None


@pytest.fixture(scope="module")
def fixture():
    return read_fixture(CASE, read_manifest())


def verdicts(fixture, flaw, precision="float32"):
    adapter = Copycat(fixture, flaw)
    return run.judge_run(adapter, CASE, precision, "eager", fixture)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_rounded_reference_passes(fixture, precision):
    answers = verdicts(fixture, lambda results: results, precision)
    assert set(answers) == {
        "out.y",
        "grad.x",
        "grad.weight",
        "grad.bias",
    }
    assert all(verdict.passed for verdict in answers.values())


def wrong_value(results):
    results["grad.weight"][2, 5] *= 1.0001
    return results


def not_a_number(results):
    results["grad.weight"][2, 5] = np.nan
    return results


def transposed(results):
    return results | {"grad.weight": results["grad.weight"].T}


def missing(results):
    del results["grad.weight"]
    return results


def all_zero(results):
    return results | {
        "grad.weight": np.zeros_like(results["grad.weight"])
    }


def wrong_dtype(results):
    return results | {
        "grad.weight": results["grad.weight"].astype("f8")
    }


def extra_axis(results):
    return results | {"grad.weight": results["grad.weight"][None]}


@pytest.mark.parametrize(
    "flaw, words",
    [
        (wrong_value, "at [2, 5]: got"),
        (not_a_number, "at [2, 5]: got nan"),
        (transposed, "shape (7, 3), expected (3, 7)"),
        (missing, "missing from the result"),
        (all_zero, "got 0, expected"),
        (wrong_dtype, "dtype float64, expected float32"),
        (extra_axis, "shape (1, 3, 7), expected (3, 7)"),
    ],
)
def test_a_flaw_fails_and_is_named(fixture, flaw, words):
    answers = verdicts(fixture, flaw)
    failed = {name for name, v in answers.items() if not v.passed}
    assert failed == {"grad.weight"}
    assert words in answers["grad.weight"].detail


def test_an_array_without_a_reference_fails(fixture):
    answers = verdicts(
        fixture, lambda r: r | {"grad.scale": r["out.y"]}
    )
    assert answers["grad.scale"].detail == "has no reference"


def test_an_exception_fails_every_array(fixture):
    def crash(results):
        raise RuntimeError("no kernel")

    answers = verdicts(fixture, crash)
    assert all(not verdict.passed for verdict in answers.values())
    assert answers["out.y"].detail == "RuntimeError: no kernel"


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_limit_is_sixteen(precision):
    step = 16 * UNIT_ROUNDOFF[precision]
    below, above = 1 + step, 1 + 1.25 * step
    for value, passed in ((below, True), (above, False)):
        array = np.array([value], precision)
        assert (
            judge(array, np.ones(1), np.ones(1), precision).passed
            == passed
        )


def test_subnormal_numbers_may_be_flushed():
    zero, sigma = np.zeros(1, np.float32), np.zeros(1)
    below = np.array([TINY["float32"]])
    assert judge(zero, below, sigma, "float32").passed
    assert not judge(zero, 2 * below, sigma, "float32").passed


def test_nan_and_infinity_must_be_where_the_reference_has_them():
    reference = np.array([np.nan, np.inf, -np.inf, 1.0])
    sigma = np.ones(4)
    assert judge(reference, reference, sigma, "float64").passed
    for i in range(4):
        other = reference.copy()
        other[i] = -np.inf if i == 1 else np.inf
        assert not judge(other, reference, sigma, "float64").passed


def test_integers_must_be_equal():
    codes = np.array([1, 2, 3], np.int32)
    sigma = np.full(3, 1e9)
    assert judge(codes, codes, sigma, "float32").passed
    other = np.array([1, 3, 3], np.int32)
    verdict = judge(other, codes, sigma, "float32")
    assert not verdict.passed
    assert verdict.detail.startswith("at [1]: got 3, expected 2")
    assert not judge(codes.astype("i8"), codes, sigma, "float32").passed


def test_minus_zero_is_zero():
    zeros, sigma = np.array([0.0, -0.0]), np.zeros(2)
    assert judge(-zeros, zeros, sigma, "float64").passed


@pytest.mark.parametrize(
    "sigma, words",
    [
        ([-1.0, -1.0], "no negative numbers, got -1"),
        ([-0.5, np.inf], "finite numbers, got inf"),
        ([np.nan, 1.0], "finite numbers, got nan"),
        ([1.0, np.inf], "finite numbers, got inf"),
        ([1e308, 1.0], "a budget within float32, got 1e\\+308"),
        ([1.0], r"shape \(2,\), got \(1,\)"),
        (1.0, r"shape \(2,\), got \(\)"),
        ([[1.0, 1.0]], r"shape \(2,\), got \(1, 2\)"),
        ([1.0, 1.0, 1.0], r"shape \(2,\), got \(3,\)"),
        ([], r"shape \(2,\), got \(0,\)"),
        (None, "an array of numbers"),
        ([[1.0], [1.0, 2.0]], "an array of numbers"),
        (["a", "b"], "an array of numbers"),
        ([True, True], "an array of numbers"),
    ],
)
@pytest.mark.parametrize("value", [[999, -7], [1, 2], [np.inf, 2]])
def test_a_bad_sigma_judges_nothing(sigma, words, value):
    """Not even a right value: whoever made it has to know."""
    value = np.float32(value)
    with pytest.raises(ValueError, match=f"sigma expected {words}"):
        judge(value, np.array([1.0, 2.0]), sigma, "float32")


def test_a_bad_sigma_of_nothing_is_still_bad():
    empty = np.zeros((0, 3))
    with pytest.raises(ValueError, match=r"shape \(0, 3\), got \(0,\)"):
        judge(empty, empty, np.zeros(0), "float64")


@pytest.mark.parametrize(
    "value",
    [
        [[1.0], [1.0, 2.0]],
        np.array([1.0, None]),
        np.array([object(), object()]),
        ["1", "2"],
        None,
        1.0,
        [],
        [1 + 1j, 2],
        {"a": 1},
    ],
)
def test_what_is_no_array_of_the_precision_fails(value):
    verdict = judge(value, np.array([1.0, 2.0]), np.ones(2), "float64")
    assert not verdict.passed and verdict.detail


@pytest.mark.parametrize(
    "reference",
    [np.array([1.0, None]), [[1.0], [1.0, 2.0]], ["a", "b"], None],
)
def test_a_reference_that_is_no_array_of_numbers(reference):
    with pytest.raises(ValueError, match="reference expected numbers"):
        judge(np.ones(2), reference, np.ones(2), "float64")

"""No case is there that cannot fail: docs/power.md."""

import numpy as np
import pytest

from shared_tests import power
from shared_tests.cases import CASES
from shared_tests.fixture_files import FixtureError
from shared_tests.verdict import judge

ENVIRONMENTS = ("tools",)

BASIC = next(case for case in CASES if case.id == "PACT-basic")


@pytest.fixture(scope="module")
def found():
    return list(power.powers())


def test_every_array_sees_a_fault_of_the_limit(found):
    assert power.defects(found) == []


def test_every_exception_is_needed(found):
    sharp = {c.id for c in CASES if c.flags & {"tie", "at_bound"}}
    bad = [
        o for o in found if o.blind or (o.case in sharp and o.undecided)
    ]
    used = [
        key
        for key in power.EXCEPTIONS
        if any(power.covers(key, one) for one in bad)
    ]
    assert used == list(power.EXCEPTIONS)
    assert all(power.EXCEPTIONS.values())


def test_the_page_is_of_these_fixtures(found):
    assert power.PAGE.read_text() == power.page(found)


def one(reference, sigma, precision="float32", step=None):
    reference, sigma = np.array(reference), np.array(sigma)
    return power.power_of(
        *(BASIC, precision, "out.y", reference, sigma, step)
    )


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_what_is_claimed_is_what_judge_does(precision):
    """Just below the smallest fault all passes, just above it fails."""
    reference, sigma = (
        np.array([1.0, -3.0, 7.0]),
        np.array([5.0, 2.0, 9]),
    )
    fault = one(reference, sigma, precision).fault
    for factor, passed in ((0.9, True), (1.1, False)):
        value = (reference * (1 + factor * fault)).astype(precision)
        assert (
            judge(value, reference, sigma, precision).passed == passed
        )


def test_a_damaged_fixture_leaves_the_page(monkeypatch, capsys):
    def powers():
        raise FixtureError("sigma.out.y is missing")

    monkeypatch.setattr(power, "powers", powers)
    monkeypatch.setattr(power, "write", None)
    assert power.main() == 1
    assert capsys.readouterr().out == "sigma.out.y is missing\n"


def test_an_array_that_passes_as_zeros_is_blind():
    assert one([1.0, 2.0], [1e7, 1e7]).blind
    assert one([1.0, 2.0], [1e7, 1e7]).fault > 1
    assert one([1.0, 2.0], [1e7, 1e6]).undecided == 1
    assert not one([1.0, 2.0], [1e7, 1.0]).blind


def test_zeros_are_blind_where_other_numbers_pass():
    assert not one([0.0, 0.0], [0.0, 0.0]).blind
    assert one([0.0, 0.0], [0.0, 1.0]).blind


def test_integers_see_everything():
    assert not one(np.array([1, 2]), [1e9, 1e9]).blind
    assert one(np.array([1, 2]), [1e9, 1e9]).undecided == 0


def test_a_code_beside_the_right_one_must_not_pass():
    u = 2.0**-24
    for width, count in ((0.24, 0), (0.26, 2)):
        sigma = np.full(2, width * 0.5 / (16 * u))
        assert one([0.0, 1.5], sigma, step=0.5).undecided == count

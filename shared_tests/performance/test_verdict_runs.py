"""The trial of fewer runs: its schemes and its proof, on small arrays."""

import numpy as np
import pytest
import torch

from shared_tests.performance import verdict_runs
from shared_tests.roundoff.budget import RUNS

ENVIRONMENTS = ("pytorch",)


def test_students_factor_is_1_for_all_runs_and_huge_for_few():
    assert verdict_runs.student(RUNS) == pytest.approx(1)
    assert 40 < verdict_runs.student(8) < 60


def test_schemes_only_widen_and_leave_exact_elements():
    s = np.array([[0.0, 1.0, 4.0], [1e-6, 100.0, 9.0]])
    found = verdict_runs.schemes(s, k=4, factor=3.0)
    plain = found["as it is"]
    assert np.array_equal(plain, np.sqrt(s))
    for sigma in found.values():
        assert (sigma >= plain).all() and sigma[0, 0] == 0
    assert found["at least a quarter of the median"][1, 0] > 0.1
    assert found["at least the mean square of its row"][1, 0] > 1


def test_a_pass_needs_as_many_runs_as_its_proof():
    u = 2.0**-24
    right = np.ones(2)
    value = right + 16 * u * np.array([1.0, 0.0])
    sums = np.arange(1.0, RUNS + 1)[:, None] * np.array([8.0, 0.0])
    # sigma is sqrt(8): 6 runs of it are as many as 48 of sigma 1
    assert verdict_runs.runs_needed([value], [right], [sums]) == 6
    with pytest.raises(AssertionError, match="outside after all runs"):
        verdict_runs.runs_needed([value + 1], [right], [sums])


@pytest.mark.parametrize("name", verdict_runs.LAYERS)
def test_layers_are_the_same_in_both_precisions(name):
    wide = verdict_runs.results(name, 0, torch.float64)
    narrow = verdict_runs.results(name, 0, torch.float32)
    for a, b in zip(wide, narrow):
        assert a.shape == b.shape
        assert np.abs(a - b).max() < 1e-3 * np.abs(a).max()

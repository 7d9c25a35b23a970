"""Fewer runs: the same pass, proven by a sum of squares that grows."""

import weakref
from itertools import pairwise

import numpy as np
import pytest
import torch

from shared_tests.roundoff import budget, sampling
from shared_tests.roundoff.verdict import judge, ratio

ENVIRONMENTS = ("pytorch",)

X = torch.randn(17, 23, generator=torch.Generator().manual_seed(1))
W = torch.randn(31, 23, generator=torch.Generator().manual_seed(2))
UP = torch.randn(17, 31, generator=torch.Generator().manual_seed(3))


def layer(x, weight):
    return torch.softmax(torch.tanh(x @ weight.T), dim=-1)


def results(dtype):
    """Output and gradients of a small layer."""
    x, weight = X.to(dtype, copy=True), W.to(dtype, copy=True)
    y = layer(x.requires_grad_(), weight.requires_grad_())
    grads = torch.autograd.grad(y, (x, weight), UP.to(dtype))
    arrays = zip(("out.y", "grad.x", "grad.weight"), (y, *grads))
    return {name: array.detach().numpy() for name, array in arrays}


def wide():
    return results(torch.float64)


@pytest.fixture(scope="module")
def port():
    return results(torch.float32)


def within(port):
    def enough(reference, least):
        return all(
            judge(port[k], reference[k], least[k], "float32").passed
            for k in reference
        )

    return enough


def test_all_runs_give_the_bits_of_the_budget():
    found = sampling.estimate(wide, seed=7, runs=5)
    reference, sigma = budget.estimate(wide, seed=7, runs=5)
    assert found.runs == 5
    for name in reference:
        assert np.array_equal(found.reference[name], reference[name])
        assert np.array_equal(found.sigma[name], sigma[name])
        assert np.array_equal(found.least[name], sigma[name])


def test_a_right_port_needs_few_runs(port):
    found = sampling.estimate(wide, seed=0, enough=within(port))
    assert found.runs <= 12  # 4 to 9 where it was measured
    for k, value in port.items():
        assert judge(
            value, found.reference[k], found.least[k], "float32"
        ).passed


def test_what_passes_early_passes_after_all_runs(port):
    """Element by element: `least` only grows, up to the last sigma."""
    seen = []

    def watch(reference, least):
        seen.append(least)
        return False

    found = sampling.estimate(wide, seed=3, enough=watch)
    assert len(seen) == found.runs == budget.RUNS
    for name, last in found.sigma.items():
        steps = [least[name] for least in seen]
        assert all((a <= b).all() for a, b in pairwise(steps))
        assert np.array_equal(steps[-1], last)
        ratios = [
            ratio(port[name], found.reference[name], s, "float32")
            for s in steps
        ]
        assert all((a >= b).all() for a, b in pairwise(ratios))


def test_a_bug_is_only_said_after_all_runs(port):
    wrong = port | {"grad.x": port["grad.x"] * np.float32(1.001)}
    found = sampling.estimate(wide, seed=0, enough=within(wrong))
    assert found.runs == budget.RUNS
    assert not within(wrong)(found.reference, found.sigma)


def test_sigma_is_that_of_the_runs_made(port):
    """`least` is for the proof; what is reported is not made smaller."""
    found = sampling.estimate(wide, seed=0, enough=within(port))
    _, few = budget.estimate(wide, seed=0, runs=found.runs)
    for name, sigma in found.sigma.items():
        assert np.array_equal(sigma, few[name])
        least = sigma * np.sqrt(found.runs / budget.RUNS)
        # each side has three roundings that the other has not
        np.testing.assert_array_max_ulp(found.least[name], least, 6)


def test_no_noisy_result_is_kept():
    made, most = [], 0

    def compute():
        nonlocal most
        y = np.zeros(3)
        made.append(weakref.ref(y))
        most = max(most, sum(ref() is not None for ref in made))
        return {"out.y": y}

    sampling.estimate(compute, seed=0, runs=9)
    assert len(made) == 11  # two without noise
    assert most <= 4  # the two, the last one and the new one


def given(reference, parts, *noisy):
    """A compute() that gives one after the other, the last for ever."""
    rest = [reference, parts, *noisy]

    def compute():
        return {"y": np.array(rest.pop(0) if rest[1:] else rest[0])}

    return compute


def test_what_is_infinite_or_nan_in_every_run_has_no_error():
    same = [np.inf, -np.inf, np.nan, 1.0]
    found = sampling.estimate(given(same, same, same), seed=0, runs=1)
    assert np.array_equal(found.sigma["y"], np.zeros(4))


@pytest.mark.parametrize("noisy", [np.nan, np.inf])
def test_a_run_that_is_no_number_is_not_hidden(noisy):
    right = [1.0, 2.0]
    compute = given(right, right, [1.0, noisy], right)
    found = sampling.estimate(compute, seed=0, runs=2)
    assert found.sigma["y"][0] == 0
    assert not np.isfinite(found.sigma["y"][1])


@pytest.mark.parametrize(
    "enough", [None, lambda reference, least: True]
)
def test_a_wrong_decomposition_is_an_error(enough):
    """An early pass does not hide it."""
    compute = given([1.0, 2.0], [1.0, 2.1], [1.0, 2.0])
    with pytest.raises(budget.SelfCheckError, match=r"y at \[1\]"):
        sampling.estimate(compute, seed=0, runs=3, enough=enough)


def test_another_noise_is_used():
    def finer(generator):
        return budget.RoundingNoise(generator, step=budget.STEP / 64)

    found = sampling.estimate(
        wide, seed=0, runs=2, noise=finer, finest=1 / 64
    )
    _, usual = budget.estimate(wide, seed=0, runs=2)
    for name, sigma in found.sigma.items():
        ratio = sigma[sigma > 0] / usual[name][sigma > 0]
        # nearer to 1 / 64 than to 1, which the usual noise would give
        assert ratio.size and (ratio < 1 / 8).all()
        assert np.array_equal(sigma > 0, usual[name] > 0)


@pytest.mark.parametrize("runs", [0, -1])
def test_no_runs_estimate_nothing(runs):
    with pytest.raises(ValueError, match=f"at least 1, got {runs}"):
        sampling.estimate(wide, seed=0, runs=runs)


def test_a_run_with_other_arrays_is_an_error():
    rest = iter([{"y": np.zeros(2)}] * 2 + [{"z": np.zeros(2)}])
    with pytest.raises(ValueError, match=r"differ in \['y', 'z'\]"):
        sampling.estimate(lambda: next(rest), seed=0)


def test_a_run_of_another_shape_is_an_error():
    compute = given([1.0, 2.0], [1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(
        ValueError, match=r"y expected shape \(2,\) .* got \(3,\)"
    ):
        sampling.estimate(compute, seed=0)

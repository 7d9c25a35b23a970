"""The budget with no more runs than the answer needs.

sigma of an element is the root of S / n, where S is the sum of squared
deviations over n noisy runs. S only grows: whatever the later runs give,
after all n the root is at least that of the S of now, over n. A value
that lies within 16 u times this *least* sigma is within the budget of
all n runs too, so that the runs still to come cannot change a pass, and
are not made. Nothing is assumed about how the noise is distributed, and
no factor is chosen: the pass is the same one. What does not pass yet
runs on; a bug is only said after all n runs.

One thing is left out: a later run whose noise gives NaN (the root of a
number that is almost 0) would make sigma NaN, and an early pass does not
meet it.

The draws are those of budget.estimate: after all n runs, the same bits.
The self-check (selfcheck.py) is judged by the same proof. Memory does
not grow with the runs: reference, S, the decomposed result and one noisy
result.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from .budget import RUNS, STEP, RoundingNoise, SelfCheckError, Widened
from .rules.selfcheck import disagreement, reason


class Sample(NamedTuple):
    """Arrays by name; sigma and least in units of the unit roundoff."""

    reference: dict
    sigma: dict  # over the runs made
    least: dict  # what sigma is at least, after all the runs asked for
    runs: int  # made


def estimate(
    compute: Callable[[], dict],
    seed: int,
    runs: int = RUNS,
    enough: Callable[[dict, dict], bool] | None = None,
    noise: Callable = RoundingNoise,
    finest: float = 1.0,
) -> Sample:
    """Reference and sigma of every array that compute() returns.

    compute: no arguments, float64 PyTorch inside, returns {name: ndarray}
    enough(reference, least): asked after each run, ends the sampling
    noise(generator): the mode to run under; finest: the unit of its
        finest roundings, in units of the unit roundoff (precisions.py)
    Raises: ValueError for fewer than one run, or where a noisy run has
        other arrays, or other shapes, than the reference; SelfCheckError
        and NotImplementedError as budget.estimate
    """
    if runs < 1:
        raise ValueError(
            f"estimate: runs expected at least 1, got {runs}"
        )
    with Widened():
        reference = compute()
    with RoundingNoise(None):
        parts = compute()
    squares = {k: np.zeros(np.shape(v)) for k, v in reference.items()}
    generator = torch.Generator().manual_seed(seed)
    made = 0
    while made < runs:
        with noise(generator):
            noisy = compute()
        made += 1
        add_squares(squares, reference, noisy)
        least = root(squares, runs)
        if enough is None or not enough(reference, least):
            continue
        if not otherwise(parts, reference, least, finest):
            break
    wrong = otherwise(parts, reference, least, finest)
    if wrong:
        raise SelfCheckError(f"{wrong}; {reason(compute)}")
    return Sample(reference, root(squares, made), least, made)


def otherwise(parts, reference, sigma, finest):
    """ "" or the first array that its decomposed run does not equal."""
    for name, right in reference.items():
        at = disagreement(parts[name], right, sigma[name] / finest)
        if at:
            return f"{name} {at}"
    return ""


def add_squares(squares, reference, noisy):
    """squares += (noisy - reference)^2, in place."""
    if noisy.keys() != reference.keys():
        other = sorted(noisy.keys() ^ reference.keys())
        raise ValueError(
            f"estimate: a noisy run and the reference differ in {other}"
        )
    for name, total in squares.items():
        value, right = noisy[name], reference[name]
        if np.shape(value) != total.shape:
            raise ValueError(
                f"estimate: {name} expected shape {total.shape} under"
                f" noise, got {np.shape(value)}"
            )
        total += deviation(value, right) ** 2


def deviation(value, right):
    """value - right; 0 where both are the same infinity, or both NaN."""
    right = np.asarray(right, np.float64)
    with np.errstate(invalid="ignore"):
        moved = np.asarray(value, np.float64) - right
    same = (value == right) | (np.isnan(value) & np.isnan(right))
    return np.where(same, 0.0, moved)


def root(squares, runs):
    return {k: np.sqrt(s / runs) / STEP for k, s in squares.items()}

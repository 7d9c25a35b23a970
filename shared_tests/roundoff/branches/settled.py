"""Decisions that the working precision settles.

reference, sigma = settled(compute, working, seed)

Addition, subtraction, multiplication, division and the square root give
one result only, to the last bit: IEEE 754 prescribes it. What is decided
by a number that these make from the inputs, in a prescribed order, is
therefore no matter of rounding: who computes it in the working precision
knows the outcome, and another outcome is a mistake. A quantizer's codes
are such decisions. Only who prescribes the operations may say so: a port
that divides by a step may not be held against one that multiplies.

The reference takes these decisions as `working` does, and they are held
while noise is drawn, so that no tie makes a budget as large as a step.
All others are as free as in budget.estimate.
"""

import numpy as np
import torch

from ..budget import RUNS, STEP
from .choices import Choices

aten = torch.ops.aten

PRESCRIBED = {
    aten.add,
    aten.sub,
    aten.rsub,
    aten.mul,
    aten.div,
    aten.reciprocal,
    aten.sqrt,
}


class Unprescribed(Choices):
    """Noise only where the result of an operation is not prescribed."""

    def noisy(self, op, y, args, kwargs):
        if op in PRESCRIBED:
            return y
        return super().noisy(op, y, args, kwargs)


class Working(Choices):
    """A run in the working precision, whose float32 stays float32."""

    def widened(self, func, args, kwargs):
        return args, kwargs


def settled(compute, working, seed, runs=RUNS):
    """Reference and sigma, as budget.estimate has them.

    compute: no arguments, float64 inside; working: the same in the
    working precision
    Raises: ValueError unless both take their decisions one by one alike
    """
    arrays, sites = observed(Choices(), compute)
    _, there = observed(Working(), working)
    expected = [site.position.shape for site in sites]
    got = [site.position.shape for site in there]
    if got != expected:
        raise ValueError(
            f"settled: decisions expected of shapes {expected}, got {got}"
        )
    only = prescribed(compute, sites, seed)
    turned = {
        number: turns(site.outcome, other.outcome, mask)
        for number, (site, other, mask) in enumerate(
            zip(sites, there, only)
        )
    }
    turned = {n: each for n, each in turned.items() if each}
    if turned:
        arrays, sites = observed(Choices(turned=turned), compute)
    total = {k: np.zeros(v.shape) for k, v in arrays.items()}
    generator = torch.Generator().manual_seed(seed)
    for _ in range(runs):
        mode = Choices(generator, held=sites, only=only)
        for k, value in observed(mode, compute)[0].items():
            total[k] += (value - arrays[k].astype(float)) ** 2
    sigma = {k: np.sqrt(v / runs) / STEP for k, v in total.items()}
    return arrays, sigma


def observed(mode, compute):
    with mode:
        arrays = compute()
    return {k: np.array(v) for k, v in arrays.items()}, mode.sites


def prescribed(compute, sites, seed):
    """Of each site, which positions no other operation has touched."""
    mode = Unprescribed(torch.Generator().manual_seed(seed), held=sites)
    masks = []
    for site, noisy in zip(sites, observed(mode, compute)[1]):
        mask = np.zeros(site.outcome.shape, bool)
        same = site.position == noisy.position
        if site.kind == "pick":
            mask |= same.all(axis=-1)
        elif site.kind != "order":
            mask |= same
        masks.append(mask)
    return masks


def turns(outcome, other, mask):
    """{element: outcome} where the working precision decides otherwise."""
    there = other.to(outcome.dtype)
    differ = (
        (outcome != there).numpy() & mask & np.isfinite(there.numpy())
    )
    return {
        element: there.reshape(-1)[element]
        for element in np.flatnonzero(differ).tolist()
    }

"""The reference with its decisions held, and which of them are open.

    found = study(compute, seed)

The decisions of the reference (choices.py) are held while rounding errors
are drawn, so that sigma is that of the smooth part and has no jump in it.
A decision is open where its position is within 16 u sigma of its anchor,
which is the verdict's own rule: rounding alone may turn it.
"""

from typing import NamedTuple

import numpy as np
import torch

from .budget import RUNS, STEP
from .choices import EQUALITIES, Choices
from .selfcheck import SelfCheckError, disagreement, reason
from .verdict import FACTOR, UNIT_ROUNDOFF
from .widened import Widened


class Choice(NamedTuple):
    """A decision that rounding can turn, wherever it is repeated."""

    turns: tuple  # ways to turn it: {site: {element: outcome}}
    words: str


class Study(NamedTuple):
    compute: object
    seed: int
    runs: int
    precision: str
    turned: dict
    how: dict
    reference: dict  # {array: float64 or integers}
    sigma: dict  # of the smooth part, in units of u
    sites: list
    open: list  # of Choice


def run(compute, **how):
    """Arrays and sites of one run."""
    mode = Choices(**how)
    with mode:
        arrays = compute()
    return {k: np.array(v) for k, v in arrays.items()}, mode.sites


def study(
    compute, seed, runs=RUNS, precision="float32", turned=None, **how
):
    """Reference, smooth sigma and open decisions of compute().

    compute: as for budget.estimate; turned: {site: {element: outcome}},
    decisions that the reference takes the other way; how: accumulator
    and step, as for budget.estimate
    Raises: what budget.estimate raises, ValueError where the decisions
        of one run are not those of another
    """
    reference, sites = run(compute, turned=turned)
    total = {k: np.zeros(v.shape) for k, v in reference.items()}
    spread = [np.zeros(site.position.shape) for site in sites]
    generator = torch.Generator().manual_seed(seed)
    for _ in range(runs):
        arrays, noisy = run(
            compute, generator=generator, held=sites, **how
        )
        for k, value in arrays.items():
            total[k] += (value - reference[k].astype(float)) ** 2
        with np.errstate(invalid="ignore"):
            for sum_, past, now in zip(
                spread, sites, noisy, strict=True
            ):
                sum_ += (now.position - past.position) ** 2
    step = how.get("step", STEP)
    sigma = {k: np.sqrt(v / runs) / step for k, v in total.items()}
    spread = [np.sqrt(sum_ / runs) / step for sum_ in spread]
    choices = open_choices(sites, spread, precision)
    if not turned and not choices:
        same_as_a_whole(compute, reference, sigma)
    return Study(
        *(compute, seed, runs, precision, turned or {}, how),
        *(reference, sigma, sites, choices),
    )


def same_as_a_whole(compute, reference, sigma):
    """As selfcheck.py; at an open tie both may go another way."""
    with Widened():
        plain = compute()
    for name, value in plain.items():
        at = disagreement(reference[name], value, sigma[name])
        if at:
            raise SelfCheckError(f"{name} {at}; {reason(compute)}")


# --- what rounding can turn


def open_choices(sites, spread, precision):
    """[Choice] of all elements within 16 u sigma of their anchor."""
    masks, found = [], {}
    for number, (site, sigma) in enumerate(zip(sites, spread)):
        root = number if site.same_as is None else site.same_as
        mask = (
            near(site, sigma, precision)
            if root == number
            else masks[root]
        )
        masks.append(mask)
        for element in np.flatnonzero(mask).tolist():
            key = same(sites[root], root, element)
            found.setdefault(key, []).append((number, element))
    nearest = sorted(
        found.values(), key=lambda members: distance(sites, *members[0])
    )
    return [choice_of(sites, members) for members in nearest]


def distance(sites, number, element):
    site = sites[number]
    anchor = np.broadcast_to(site.anchor, site.position.shape)
    return abs(site.position.flat[element] - anchor.flat[element])


def near(site, sigma, precision):
    """Which elements of a site rounding alone can turn."""
    limit = FACTOR * UNIT_ROUNDOFF[precision] * sigma
    with np.errstate(invalid="ignore"):
        mask = np.abs(site.position - site.anchor) <= limit
    mask &= (sigma > 0) & np.isfinite(sigma)
    if site.other is not None:
        mask &= (site.other != site.outcome).numpy()
    return mask


def same(site, number, element):
    """Equal numbers at the same place are one decision: a quantizer's
    gradient rounds once more what its forward pass has rounded."""
    position = float(site.position.flat[element])
    where = number if position == 0 else None
    return site.kind, site.position.shape, element, position, where


def choice_of(sites, members):
    number, element = members[0]
    site = sites[number]
    ways = [{}]
    if site.kind == "sign":
        sign = float(site.outcome.reshape(-1)[element])
        values = [-sign] if sign else [1.0, -1.0]
        if sign and any(equality(sites[n]) for n, _ in members):
            values.append(0.0)
        ways = [{n: {e: value} for n, e in members} for value in values]
    else:
        ways = [{n: {e: other(sites[n], e)} for n, e in members}]
    return Choice(tuple(ways), words(site, element))


def equality(site):
    return site.operation in [packet.__name__ for packet in EQUALITIES]


def other(site, element):
    return (
        site.other.reshape(-1)[element] if site.other is not None else 0
    )


def words(site, element):
    """Such as "round at [2, 5] takes 1 or 2"."""
    shape = site.position.shape
    index = [int(i) for i in np.unravel_index(element, shape)]
    at = f"{site.operation} at {index}"
    if site.kind == "sign":
        return (
            f"{at} compares two numbers that are equal but for rounding"
        )
    if site.kind == "order":
        return f"{at} and the next are equal but for rounding"
    taken = [
        f"{side.reshape(-1)[element].item():g}"
        for side in (site.outcome, site.other)
    ]
    return f"{at} takes {taken[0]} or {taken[1]}"

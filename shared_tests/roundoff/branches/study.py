"""The reference with its decisions held, and which of them are open.

    found = study(compute, seed)

The decisions of the reference (choices.py) are held while rounding errors
are drawn, so that sigma is that of the smooth part and has no jump in it.
A decision is open where its position is within 16 u sigma of its anchor,
which is the verdict's own rule: rounding alone may turn it.
"""

import itertools
from typing import NamedTuple

import numpy as np
import torch

from ..budget import RUNS, STEP
from ..rules.selfcheck import SelfCheckError, disagreement, reason
from ..rules.widened import Widened
from ..verdict import FACTOR, UNIT_ROUNDOFF
from .choices import EQUALITIES, Choices
from .outcomes import OTHERS


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
    """[Choice] within 16 u sigma of their anchor, the nearest first."""
    linked, found = {}, []
    for number, (site, sigma) in enumerate(zip(sites, spread)):
        mask = near(site, sigma, precision)
        if site.kind == "pick":
            found += picks(site, number, mask)
        elif site.kind == "order":
            found += swaps(site, number, mask)
        else:
            for element in np.flatnonzero(mask).tolist():
                key = same(site, number, element)
                linked.setdefault(key, []).append((number, element))
    found += [one_choice(sites, each) for each in linked.values()]
    return [choice for _, choice in sorted(found, key=lambda f: f[0])]


def near(site, sigma, precision):
    """Where rounding alone can reach the anchor, as positions are."""
    limit = FACTOR * UNIT_ROUNDOFF[precision] * sigma
    with np.errstate(invalid="ignore"):
        mask = np.abs(site.position - site.anchor) <= limit
    mask &= (sigma > 0) & np.isfinite(sigma)
    if site.other is not None:
        outcome = site.outcome
        if site.kind == "pick":
            outcome = outcome.unsqueeze(-1)
        mask &= (site.other != outcome).numpy()
    return mask


def same(site, number, element):
    """Equal numbers at the same place are one decision: a quantizer's
    gradient rounds once more what its forward pass has rounded."""
    position = float(site.position.flat[element])
    where = number if position == 0 else None
    return site.kind, site.position.shape, element, position, where


def one_choice(sites, members):
    """(distance, Choice) of a sign or a rounding, wherever it is made."""
    number, element = members[0]
    site = sites[number]
    outcome = site.outcome.reshape(-1)[element].item()
    anchor = np.broadcast_to(site.anchor, site.position.shape)
    distance = abs(site.position.flat[element] - anchor.flat[element])
    text = where(site, element, site.position.shape)
    if site.kind == "rounding":
        other = site.other.reshape(-1)[element].item()
        values, text = [other], f"{text} takes {outcome:g} or {other:g}"
    else:
        values = [-outcome] if outcome else [1.0, -1.0]
        if outcome and any(equality(sites[n]) for n, _ in members):
            values.append(0.0)
        text += " compares two numbers that are equal but for rounding"
    ways = [{n: {e: value} for n, e in members} for value in values]
    return distance, Choice(tuple(ways), text)


def picks(site, number, mask):
    """(distance, Choice) of each row with more than one candidate."""
    rows = mask.reshape(-1, mask.shape[-1])
    others = site.other.reshape(rows.shape)
    distances = np.abs(site.position.reshape(rows.shape))
    for row in np.flatnonzero(rows.any(axis=1)).tolist():
        outcome = site.outcome.reshape(-1)[row].item()
        values = others[row][torch.as_tensor(rows[row])].tolist()
        text = where(site, row, mask.shape[:-1])
        text += f" takes {outcome} or {' or '.join(map(str, values))}"
        ways = tuple({number: {row: value}} for value in values)
        yield distances[row][rows[row]].min(), Choice(ways, text)


def swaps(site, number, mask):
    """(distance, Choice) of each run of neighbours without an order."""
    rows = mask.reshape(-1, mask.shape[-1])
    distances = np.abs(site.position.reshape(rows.shape))
    for row, first in np.argwhere(rows).tolist():
        if first and rows[row, first - 1]:
            continue  # within a run
        last = first
        while last < rows.shape[1] and rows[row, last]:
            last += 1
        ranks = range(first, min(last, first + OTHERS) + 1)
        ways = tuple(
            {number: {(row, *pair): 0}}
            for pair in itertools.combinations(ranks, 2)
        )
        text = where(site, row, mask.shape[:-1])
        text += f": ranks {first} to {last} are equal but for rounding"
        yield distances[row, first:last].min(), Choice(ways, text)


def equality(site):
    return site.operation in [packet.__name__ for packet in EQUALITIES]


def where(site, element, shape):
    """Such as "round at [2, 5]"."""
    index = [int(i) for i in np.unravel_index(element, shape)]
    return f"{site.operation} at {index}" if shape else site.operation

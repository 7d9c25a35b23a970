"""Judging beside a tie: on which side does the port stand?

    found = study(compute, seed)
    judge_sides(found, value) -> {array: Judged}

study() holds the decisions of the reference (choices.py) while it
draws rounding errors, so that sigma is that of the smooth part and no
jump is in it. A decision is open where its position is within
16 u sigma of its anchor, which is the verdict's own rule: rounding
alone may turn it. judge_sides() holds the port against the reference's side;
what is outside is tried on the other sides of what is open, one set of
decisions for all arrays together:

    rounding   within the budget, on the side of the reference
    undecided  within the budget, where some open decisions are turned,
               or so near that no side that was tried can tell
    bug        outside of the budget on every side

Which way an open decision goes is no mistake that a budget can see,
unless the operations that lead to it are prescribed: `settled`.
"""

import itertools
from typing import NamedTuple

import numpy as np
import torch

from .budget import RUNS, STEP
from .choices import EQUALITIES, Choices
from .verdict import FACTOR, UNIT_ROUNDOFF, judge, ratio

LIMIT = 64  # open decisions that are tried one by one
TOGETHER = 6  # and those that are tried in every combination
ROUNDS = 4  # a turned decision may open others behind it


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
    reference: dict  # {array: float64 or integers}
    sigma: dict  # of the smooth part, in units of u
    sites: list
    open: list  # of Choice


class Judged(NamedTuple):
    word: str  # rounding, undecided or bug
    ratio: float  # worst |error| / budget on the side that was taken
    detail: str


def run(compute, **how):
    """Arrays and sites of one run."""
    mode = Choices(**how)
    with mode:
        arrays = compute()
    return {k: np.array(v) for k, v in arrays.items()}, mode.sites


def study(compute, seed, runs=RUNS, precision="float32", turned=None):
    """Reference, smooth sigma and open decisions of compute().

    compute: as for budget.estimate; turned: {site: {element: outcome}},
    decisions that the reference takes the other way
    """
    reference, sites = run(compute, turned=turned)
    total = {k: np.zeros(v.shape) for k, v in reference.items()}
    spread = [np.zeros(site.position.shape) for site in sites]
    generator = torch.Generator().manual_seed(seed)
    for _ in range(runs):
        arrays, noisy = run(compute, generator=generator, held=sites)
        for k, value in arrays.items():
            total[k] += (value - reference[k].astype(float)) ** 2
        with np.errstate(invalid="ignore"):
            for sum_, past, now in zip(spread, sites, noisy):
                sum_ += (now.position - past.position) ** 2
    sigma = {k: np.sqrt(v / runs) / STEP for k, v in total.items()}
    spread = [np.sqrt(sum_ / runs) / STEP for sum_ in spread]
    return Study(
        *(compute, seed, runs, precision, turned or {}),
        *(reference, sigma, sites),
        open_choices(sites, spread, precision),
    )


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
    return [choice_of(sites, members) for members in found.values()]


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


# --- on which side the port stands


def judge_sides(found, value):
    """{array: Judged} of what both the study and the port have."""
    value = {k: np.asarray(v) for k, v in value.items()}
    first, tried = found, []
    for _ in range(ROUNDS):
        if not (amiss(found, value) and found.open):
            break
        tried = alternatives(found)
        turned = best_turns(found, value, tried)
        if turned is None:
            break
        how = found.seed, found.runs, found.precision
        found = study(found.compute, *how, turned)
        tried = []
    if amiss(found, value) and found.open and not tried:
        tried = alternatives(found)
    return {
        name: judged(first, found, tried, name, value[name])
        for name in first.reference
        if name in value
    }


def outside(found, name, value, reference=None):
    """Which elements are outside of the budget; None without a shape."""
    if reference is None:
        reference = found.reference[name]
    if value.shape != reference.shape:
        return None
    if reference.dtype.kind in "iub":
        return value != reference
    sigma = found.sigma[name]
    return ratio(value, reference, sigma, found.precision) > 1


def amiss(found, value, arrays=None):
    """(how many elements are outside, by how much), or None."""
    count, size = 0, 0.0
    for name, reference in (arrays or found.reference).items():
        wrong = (
            outside(found, name, value[name], reference)
            if name in value
            else None
        )
        if wrong is not None and wrong.any():
            count += int(wrong.sum())
            error = np.abs(value[name][wrong] - 1.0 * reference[wrong])
            size += float(np.nan_to_num(error).sum())
    return (count, size) if count else None


def alternatives(found):
    """[(choice, way, arrays)]: one open decision turned, each alone."""
    return [
        (choice, way, turned_run(found, [way]))
        for choice in found.open[:LIMIT]
        for way in choice.turns
    ]


def turned_run(found, ways):
    return run(found.compute, turned=merged(found.turned, *ways))[0]


def merged(*turns):
    every = {}
    for turned in turns:
        for site, elements in turned.items():
            every[site] = every.get(site, {}) | elements
    return every


def best_turns(found, value, tried):
    """What to turn so that fewer elements are outside; None if nothing.

    Decisions seldom meet, so their effects are added up first, and the
    one that helps most is taken, again and again; then it is run.
    """
    start = amiss(found, value)
    ways, arrays = [], dict(found.reference)
    left, now = list(tried), start
    while left and now:
        sums = [added(arrays, found.reference, one[2]) for one in left]
        costs = [amiss(found, value, each) or (0, 0.0) for each in sums]
        best = min(range(len(left)), key=costs.__getitem__)
        if costs[best] >= now:
            break
        now, arrays = costs[best], sums[best]
        choice, way, _ = left[best]
        ways.append(way)
        left = [one for one in left if one[0] is not choice]
    found_ways = [ways] if ways else []
    if (now and now[0]) or not ways:
        found_ways += every_way(tried)
    best, least = None, start
    for ways in found_ways:
        cost = amiss(found, value, turned_run(found, ways)) or (0, 0.0)
        if cost < least:
            best, least = merged(found.turned, *ways), cost
        if not cost[0]:
            break
    return best


def added(arrays, reference, other):
    return {
        name: array
        if other[name].shape != array.shape
        else np.where(
            other[name] == reference[name],
            array,
            array + (other[name] - 1.0 * reference[name]),
        ).astype(array.dtype)
        for name, array in arrays.items()
    }


def every_way(tried):
    """All combinations of a few decisions, two or more of them."""
    by_choice = {}
    for choice, way, _ in tried:
        by_choice.setdefault(id(choice), [None]).append(way)
    if len(by_choice) > TOGETHER:
        return []
    each = itertools.product(*by_choice.values())
    sets = [[way for way in ways if way] for ways in each]
    return [ways for ways in sets if len(ways) > 1]


def judged(first, found, tried, name, value):
    plain = judge_one(first, name, value)
    if plain.passed:
        return Judged("rounding", plain.ratio, "")
    turned = judge_one(found, name, value)
    if turned.passed:
        return Judged("undecided", turned.ratio, side(first, found))
    if can_be_told(found, tried, name, value):
        return Judged("bug", turned.ratio, turned.detail)
    return Judged("undecided", turned.ratio, side(first, found))


def judge_one(found, name, value):
    return judge(
        *(value, found.reference[name], found.sigma[name]),
        found.precision,
    )


def can_be_told(found, tried, name, value):
    """Whether no side of what is open can explain what is outside."""
    wrong = outside(found, name, value)
    if wrong is None or not found.open:
        return True
    reference = 1.0 * found.reference[name]
    reach = np.zeros(reference.shape)
    for _, _, arrays in tried:
        if arrays[name].shape == reference.shape:
            with np.errstate(invalid="ignore"):
                reach += np.abs(arrays[name] - reference)
    if len(found.open) > LIMIT:
        return False
    if len(found.open) <= TOGETHER:
        return True
    allowed = np.abs(value - reference) <= reach
    return bool((wrong & ((reach == 0) | ~allowed)).any())


def side(first, found):
    """Which decisions the port takes the other way, in words."""
    taken = [
        choice.words
        for choice in first.open
        if any(
            site in found.turned
            and elements.keys() <= found.turned[site].keys()
            for way in choice.turns
            for site, elements in way.items()
        )
    ]
    every = taken or [choice.words for choice in first.open]
    more = f", and {len(every) - 3} more" if len(every) > 3 else ""
    return "rounding alone decides: " + "; ".join(every[:3]) + more

"""Judging beside a tie: on which side does the port stand?

    found = study(compute, seed)
    judge_sides(found, value) -> {array: Judged}

judge_sides() holds the port against the reference's side;
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

from ..verdict import judge, ratio
from .study import run, study

LIMIT = 64  # open decisions that are tried one by one
PAIRS = 128  # and so many pairs of them, or
HALVES = 32  # random halves
KEPT = 2**26  # elements of runs that are held at a time
TOGETHER = 6  # and those that are tried in every combination
ROUNDS = 4  # a turned decision may open others behind it


class Judged(NamedTuple):
    word: str  # rounding, undecided or bug
    ratio: float  # worst |error| / budget on the side that was taken
    detail: str


# --- on which side the port stands


def judge_sides(found, value):
    """{array: Judged} of what both the study and the port have."""
    value = {k: np.asarray(v) for k, v in value.items()}
    first, tried = found, []
    for _ in range(ROUNDS):
        if not (amiss(found, value) and found.open):
            break
        tried = alone(found)
        turned = best_turns(found, value, tried)
        if turned is None:
            tried += together(found)
            turned = best_turns(found, value, tried)
        if turned is None:
            break
        how = found.seed, found.runs, found.precision
        found = study(found.compute, *how, turned, **found.how)
        tried = []
    if amiss(found, value) and found.open and not tried:
        tried = alone(found) + together(found)
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


def ways_of(choices):
    """[(choice, way)] of all ways to turn them."""
    return [(choice, way) for choice in choices for way in choice.turns]


def limit(found):
    """How many are tried one by one; fewer of large models."""
    size = sum(array.size for array in found.reference.values())
    return min(LIMIT, 1 + KEPT // max(size, 1))


def alone(found):
    """[([(choice, way)], arrays)]: one open decision turned at a time."""
    every = ways_of(found.open[: limit(found)])
    return [([one], turned_run(found, [one])) for one in every]


def together(found):
    """The same of pairs, for one decision can hide another: a gradient
    that a rectifier stops does not show which number of a window it is
    of. Random halves, where there are too many pairs."""
    every = ways_of(found.open)
    sets = [
        pair
        for pair in itertools.combinations(every, 2)
        if pair[0][0] is not pair[1][0]
    ]
    if len(sets) > min(PAIRS, 2 * limit(found)):
        rng = np.random.default_rng(found.seed)
        sets = [
            [(c, c.turns[0]) for c in found.open if rng.random() < 0.5]
            for _ in range(min(HALVES, limit(found)))
        ]
    return [(list(some), turned_run(found, some)) for some in sets]


def turned_run(found, some):
    ways = [way for _, way in some]
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
    taken, arrays = [], dict(found.reference)
    left, now = list(tried), start
    while left and now:
        sums = [added(arrays, found.reference, one[1]) for one in left]
        costs = [amiss(found, value, each) or (0, 0.0) for each in sums]
        best = min(range(len(left)), key=costs.__getitem__)
        if costs[best] >= now:
            break
        now, arrays = costs[best], sums[best]
        taken += left[best][0]
        used = [id(choice) for choice, _ in taken]
        left = [
            one
            for one in left
            if not any(id(choice) in used for choice, _ in one[0])
        ]
    sets = [taken] if taken else []
    if (now and now[0]) or not taken:
        sets += every_way(found)
    best, least = None, start
    for some in sets:
        cost = amiss(found, value, turned_run(found, some)) or (0, 0.0)
        if cost < least:
            best = merged(found.turned, *(way for _, way in some))
            least = cost
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


def every_way(found):
    """All combinations of a few decisions, two or more of them."""
    if len(found.open) > TOGETHER:
        return []
    each = itertools.product(
        *([None, *ways_of([choice])] for choice in found.open)
    )
    sets = [[one for one in some if one] for some in each]
    return [some for some in sets if len(some) > 1]


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
    if len(found.open) <= TOGETHER:
        return True
    reach = sum(moved(found, name, arrays) for _, arrays in tried)
    rest = [
        (choice, choice.turns[0])
        for choice in found.open[limit(found) :]
    ]
    if rest:  # how far these reach together is not known
        far = moved(found, name, turned_run(found, rest)) > 0
        reach = np.where(far, np.inf, reach)
    error = np.abs(value - 1.0 * found.reference[name])
    return bool((wrong & ((reach == 0) | ~(error <= reach))).any())


def moved(found, name, arrays):
    """How far turned decisions move each element."""
    reference = found.reference[name]
    if arrays[name].shape != reference.shape:
        return np.full(reference.shape, np.inf)
    with np.errstate(invalid="ignore"):
        return np.abs(arrays[name] - 1.0 * reference)


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

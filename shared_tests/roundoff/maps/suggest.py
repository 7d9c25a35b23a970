"""Suggest a weights map from values, shapes and names.

Evidence, the strongest first:
    values  the port was loaded from the same weights: an array of it that
            holds an array of the module, laid out in one way only
    shapes  there is one array on each side that fits
    names   each is the most similar name of the other, among those that fit
What has several answers is said and not guessed. A square matrix, say, is
like its transpose in shape, so that only values can tell.

NumPy only, and Python 3.8 on.
"""

from typing import NamedTuple

import numpy as np

from .entries import size_of, sources, total
from .reading import number, read_entry
from .similarity import kind, likeness, most_similar, only_ones

# how the axes of a PyTorch weight are ordered elsewhere: (out, in) and
# (in, out); (out, in, height, width) and (height, width, in, out)
ORDERS = {
    0: [()],
    1: [(0,)],
    2: [(0, 1), (1, 0)],
    3: [(0, 1, 2), (2, 1, 0), (2, 0, 1)],
    4: [(0, 1, 2, 3), (2, 3, 1, 0), (2, 3, 0, 1)],
    5: [(0, 1, 2, 3, 4), (2, 3, 4, 1, 0), (2, 3, 4, 0, 1)],
}


class Suggestion(NamedTuple):
    """A map, and what it leaves open."""

    map: dict
    ambiguous: dict  # {port's name: [entries that fit]}
    leftover_torch: list
    leftover_port: list


def suggest(torch_arrays, port_arrays):
    """Both: {name: array}. Returns: a Suggestion"""
    ours, theirs = (
        {name: np.asarray(a) for name, a in arrays.items()}
        for arrays in (torch_arrays, port_arrays)
    )
    alike = likeness(ours, theirs)
    found = {}  # {port's name: entries}; a single one is the answer
    by_values(ours, theirs, alike, found)
    by_parts(ours, theirs, found)
    doubtful = by_shapes_and_names(ours, theirs, alike, found)
    found.update(doubtful)
    used = used_names(found)
    answers = {
        port: entries[0]
        for port, entries in found.items()
        if len(entries) == 1 and port not in doubtful
    }
    return Suggestion(
        answers,
        {p: es for p, es in found.items() if p not in answers},
        [name for name in ours if name not in used],
        [name for name in theirs if name not in found],
    )


def used_names(found):
    return {
        name
        for entries in found.values()
        for entry in entries
        for name in sources(entry)
    }


def by_values(ours, theirs, alike, found):
    """Arrays that hold the same numbers as one of the module.

    Of several arrays with these numbers, as tied weights have, the one of
    the most similar name counts.
    """
    same = {}
    for name, array in ours.items():
        same.setdefault(contents(array), []).append(name)
    for port, value in theirs.items():
        if constant(value):
            continue
        entries = {}
        for name in same.get(contents(value), ()):
            fits = [
                entry
                for entry in layouts(
                    name, ours[name].shape, value.shape
                )
                if np.array_equal(total(entry, ours), value)
            ]
            known = table({name: ours[name]})
            entries[name] = fits or by_places(known, value)
        entries = {name: es for name, es in entries.items() if es}
        if entries:
            scores = {name: alike(name, port) for name in entries}
            top = max(scores.values())
            names = [name for name in entries if scores[name] == top]
            found[port] = [e for name in names for e in entries[name]]


def by_parts(ours, theirs, found):
    """Arrays cut out of one of the module, or joined or added of several."""
    floats = {n: a for n, a in ours.items() if a.dtype.kind == "f"}
    left = {
        port: value
        for port, value in theirs.items()
        if port not in found
        and value.dtype.kind == "f"
        and not constant(value)
    }
    if not floats or not left:
        return
    known = table(floats)
    for port, value in left.items():
        entries = by_places(known, value) or by_sums(floats, value)
        if entries:
            found[port] = entries


def table(arrays):
    """Where each number of the arrays is, for `by_places`."""
    flat = np.concatenate([a.ravel() for a in arrays.values()])
    distinct, first, counts = np.unique(
        flat, return_index=True, return_counts=True
    )
    return number(arrays), distinct, first + 1, counts == 1


def by_places(known, value):
    """[entry] that gives the value, found by where its numbers are."""
    numbers, distinct, places, once = known
    at = np.searchsorted(distinct, value).clip(0, len(distinct) - 1)
    if not ((distinct[at] == value) & once[at]).all():
        return []
    entry = read_entry(places[at], numbers)
    return [] if entry is None else [entry]


def by_sums(arrays, value):
    """[entry] of the two vectors whose sum, or a part of it, it is."""
    if value.ndim != 1 or value.size == 0:
        return []
    vectors = [n for n, a in arrays.items() if a.ndim == 1 and a.size]
    for i, one in enumerate(vectors):
        for other in vectors[i + 1 :]:
            a, b = arrays[one], arrays[other]
            if a.shape != b.shape or a.size % value.size:
                continue
            rows = (a + b).reshape(-1, value.size)
            (at,) = np.nonzero((rows == value).all(axis=1))
            if len(at) != 1:
                continue
            if len(rows) == 1:
                return [{"add": [one, other]}]
            cut = [0, int(at[0]), len(rows)]
            return [{"add": [one, other], "split": cut}]
    return []


def by_shapes_and_names(ours, theirs, alike, found):
    """What values do not tell, of the arrays that they left.

    Returns: {port's name: entries that fit} where neither tells
    """
    used = used_names(found)
    fits = {
        port: [
            name
            for name, array in ours.items()
            if name not in used
            and kind(name) == kind(port)
            and layouts(name, array.shape, value.shape)
        ]
        for port, value in theirs.items()
        if port not in found
    }
    pairs = only_ones(fits) or most_similar(fits, alike)
    while pairs:
        for port, name in pairs.items():
            shapes = ours[name].shape, theirs[port].shape
            found[port] = layouts(name, *shapes)
        fits = {
            port: [name for name in names if name not in pairs.values()]
            for port, names in fits.items()
            if port not in pairs
        }
        pairs = most_similar(fits, alike)
    return {
        port: [
            entry
            for name in names
            for entry in layouts(
                name, ours[name].shape, theirs[port].shape
            )
        ]
        for port, names in fits.items()
        if names
    }


def layouts(name, shape, wanted):
    """Entries that give an array of this shape the wanted one."""
    if np.prod(shape) != np.prod(wanted):
        return []
    entries = []
    for order in ORDERS.get(len(shape), ()):
        turned = [shape[axis] for axis in order]
        steps = {"transpose": list(order)}
        if list(order) == sorted(order):
            steps = {}
        if len(turned) != len(wanted) and regroups(turned, wanted):
            steps["reshape"] = [int(n) for n in wanted]
        elif turned != list(wanted):
            continue
        entries.append({"from": name, **steps} if steps else name)
    return entries


def regroups(shape, wanted):
    """Whether neighbouring axes are only joined, or only split."""
    one, other = (
        set(np.cumprod([1, *sizes]).tolist())
        for sizes in (shape, wanted)
    )
    return one <= other or other <= one


def contents(array):
    """Equal for arrays that hold the same numbers in any order."""
    kept = np.sort(array, axis=None) + np.zeros((), array.dtype)
    return array.dtype.str, array.size, kept.tobytes()  # -0 is 0


def constant(array):
    return size_of(array) == 0 or bool((array == array.flat[0]).all())

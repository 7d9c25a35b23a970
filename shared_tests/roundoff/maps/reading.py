"""Read the entry of a weights map off index-numbered weights.

The numbers of all arrays of a module are numbered from 1 on, end to end
(`number`). Where these went in an array of the port, its places, tells
the entry, if copying, cutting, turning and joining made that array.

NumPy only, and Python 3.8 on.
"""

import itertools

import numpy as np

from .entries import size_of, terms

MOST_AXES = 5  # of which all orders are tried
MOST_PARTS = 8  # of one array that another order joins
FEW = 100  # numbers that rule an order out at once


def number(arrays):
    """{name: array of the places of its numbers, from 1 on}."""
    start, places = 1, {}
    for name, array in arrays.items():
        stop = start + size_of(array)
        places[name] = np.arange(start, stop).reshape(np.shape(array))
        start = stop
    return places


def read_entry(places, numbers):
    """The entry that lays the numbers out like these places, or None.

    places: whole numbers, of the shape of the port's array; numbers: what
    `number` gave. None also where a place is 0, which is no weight, or
    where a number is there twice.
    """
    numbers = {n: array for n, array in numbers.items() if array.size}
    entry = unchecked_entry(np.asarray(places), numbers)
    if entry is None:
        return None
    (made,) = terms(entry, numbers)
    return entry if np.array_equal(made, places) else None


def unchecked_entry(places, numbers):
    names = list(numbers)
    last = sum(array.size for array in numbers.values())
    if places.size == 0 or places.min() < 1 or places.max() > last:
        return None
    starts = [numbers[name].flat[0] for name in names]
    owner = np.searchsorted(starts, places, side="right") - 1
    if (owner == owner.flat[0]).all():
        name = names[owner.flat[0]]
        return laid_out(name, numbers[name], places)
    for axis in range(places.ndim):
        entry = joined(places, owner, axis, numbers)
        if entry is not None:
            return entry
    return None


def joined(places, owner, axis, numbers):
    """An entry that joins its parts along this axis, or None."""
    rows = np.moveaxis(owner, axis, 0).reshape(owner.shape[axis], -1)
    if (rows != rows[:, :1]).any():
        return None
    cuts = np.flatnonzero(np.diff(rows[:, 0])) + 1
    pieces = np.split(places, cuts, axis)
    owners = len(set(rows[:, 0].tolist()))
    if len(pieces) > owners and len(set(np.diff(cuts))) == 1:
        return interleaved(places, cuts, axis, numbers)
    entries = [unchecked_entry(piece, numbers) for piece in pieces]
    if None in entries:
        return None
    return with_steps("concat", entries, axis=axis)


def interleaved(places, cuts, axis, numbers):
    """Parts that take turns, as q, k and v of each head do."""
    shape = list(places.shape)
    width = int(cuts[0])
    owners = places.take(range(0, shape[axis], width), axis)
    starts = [numbers[name].flat[0] for name in numbers]
    turns = np.searchsorted(starts, owners, side="right")
    turns = np.moveaxis(turns, axis, 0).reshape(len(cuts) + 1, -1)[:, 0]
    period = len(set(turns.tolist()))
    if len(turns) % period:
        return None
    apart = [*shape[:axis], len(turns) // period, period, width]
    apart = places.reshape(*apart, *shape[axis + 1 :])
    pieces = np.split(apart, period, axis + 1)
    entries = [unchecked_entry(piece, numbers) for piece in pieces]
    if None in entries:
        return None
    return with_steps("concat", entries, axis=axis + 1, reshape=shape)


def laid_out(name, source, places):
    """An entry of one array, or None."""
    entry = plain(name, source, places)
    return entry or cut_up(name, source, places)


def plain(name, source, places):
    """An entry of one array in one piece, or None."""
    flat = places - source.flat[0]
    box, entry = cut_out(name, flat, source.shape)
    if box is None:
        return strided(name, flat, source.size)
    for axes in orders(box.ndim):
        turned = np.transpose(box, axes)
        if (turned.flat[:FEW] == flat.flat[:FEW]).all() and (
            turned.ravel() == flat.ravel()
        ).all():
            return with_steps(
                "from",
                entry,
                transpose=list(axes),
                reshape=reshape_to(flat.shape, turned.shape),
            )
    ranks = np.searchsorted(box.ravel(), flat)
    return strided(entry, ranks, box.size)


def cut_up(name, source, places):
    """Blocks of one array in another order, as gates are; or None."""
    for axis in range(places.ndim):
        rows = np.moveaxis(places, axis, 0)
        steps = np.diff(rows.reshape(len(rows), -1)[:, 0])
        cuts = np.flatnonzero(steps != np.median(steps)) + 1
        if not 0 < len(cuts) < MOST_PARTS:
            continue
        pieces = np.split(places, cuts, axis)
        entries = [plain(name, source, piece) for piece in pieces]
        if None not in entries:
            return with_steps("concat", entries, axis=axis)
    return None


def cut_out(name, flat, shape):
    """(the part of an array that is used, its entry): a box, or None."""
    at = np.unravel_index(flat.ravel(), shape) if shape else ()
    sides = [(int(i.min()), int(i.max()) + 1) for i in at]
    whole = np.arange(int(np.prod(shape))).reshape(shape)
    box = whole[tuple(slice(*side) for side in sides)]
    if box.size != flat.size:
        return None, name
    entry = name
    for axis, (start, stop) in enumerate(sides):
        if stop - start < shape[axis]:
            cut = [axis, start, stop]
            entry = with_steps("from", entry, slice=cut)
    return box, entry


def orders(rank):
    """Orders of the axes, the most usual first."""
    if rank > MOST_AXES:
        return [tuple(range(rank)), tuple(reversed(range(rank)))]
    return itertools.permutations(range(rank))


def strided(entry, flat, size):
    """Axes of its own: reshaped, turned and reshaped again; or None.

    Along each axis of the result the places grow by one stride. The
    strides, in order of size, are the axes of the source; what lies
    between two of them is an axis of which one index is used.
    """
    counts = digits(flat.ravel())
    if counts is None or 0 in [stride for _, stride in counts]:
        return None
    first = int(flat.flat[0])
    first += sum(min(0, s) * (n - 1) for n, s in counts)
    order = sorted(range(len(counts)), key=lambda i: -abs(counts[i][1]))
    axes, unit = [], 1  # (length, digit, or index that is kept)
    for i in reversed(order):
        length, stride = counts[i]
        gap, rest = divmod(abs(stride), unit)
        if rest:
            return None
        if gap > 1:
            axes.append((gap, None, first // unit % gap))
        axes.append((length, i, 0))
        unit = abs(stride) * length
    if size % unit:
        return None
    if size > unit:
        axes.append((size // unit, None, first // unit))
    return turned_entry(entry, axes[::-1], counts, flat.shape)


def turned_entry(entry, axes, counts, shape):
    entry = {"from": entry, "reshape": [length for length, *_ in axes]}
    for axis, (_, digit, kept) in enumerate(axes):
        if digit is None:
            cut = [axis, kept, kept + 1]
            entry = with_steps("from", entry, slice=cut)
    used = [digit for _, digit, _ in axes]
    flips = [
        axis
        for axis, digit in enumerate(used)
        if digit is not None and counts[digit][1] < 0
    ]
    alone = [axis for axis, digit in enumerate(used) if digit is None]
    turn = alone + [used.index(i) for i in range(len(counts))]
    entry = with_steps(
        "from", entry, flip=flips or None, transpose=turn
    )
    return {"from": entry, "reshape": list(shape)}


def digits(flat):
    """[(length, stride)], the outermost first, of places as counters do.

    None where the places are not those of nested loops
    """
    found = []
    while len(flat) > 1:
        steps = np.diff(flat)
        breaks = np.flatnonzero(steps != steps[0])
        length = int(breaks[0]) + 1 if breaks.size else len(flat)
        if len(flat) % length:
            return None
        rows = flat.reshape(-1, length)
        if (np.diff(rows, axis=1) != steps[0]).any():
            return None
        found.append((length, int(steps[0])))
        flat = rows[:, 0]
    return found[::-1]


def reshape_to(shape, now):
    return None if shape == now else [int(size) for size in shape]


def with_steps(word, inner, **steps):
    """An entry without the steps that do nothing."""
    turn = steps.get("transpose")
    if turn == list(range(len(turn or ()))):
        steps.pop("transpose", None)
    steps = {k: v for k, v in steps.items() if v is not None}
    if not steps and word == "from":
        return inner
    return {word: inner, **steps}

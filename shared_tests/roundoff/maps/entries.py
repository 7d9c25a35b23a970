"""One entry of a weights map: which numbers an array of the port holds.

    "fc.weight"                                 the same array
    {"from": entry, STEPS}                      one array, laid out anew
    {"concat": [entry, ...], "axis": 0, STEPS}  several, end to end
    {"add": [entry, ...], STEPS}                their sum: 1 bias for 2

STEPS, each of which may be left out, are done in this order:
    "split": [axis, i, n]         part i, from 0 on, of n equal parts
    "slice": [axis, start, stop]  a part of any size
    "flip": [axis, ...]           the last first
    "transpose": [axis, ...]      as np.transpose
    "reshape": [size, ...]        as np.reshape; one size may be -1
Another order of steps is an entry inside an entry.

NumPy only, and Python 3.8 on.
"""

import math

import numpy as np

ONE_OF = ("from", "concat", "add")
STEPS = ("split", "slice", "flip", "transpose", "reshape")


def renamed(entry, name):
    """The entry with name(n) for every name n of PyTorch's in it."""
    if isinstance(entry, str):
        return name(entry)
    return {
        key: [renamed(e, name) for e in value]
        if key in ("concat", "add")
        else renamed(value, name)
        if key == "from"
        else value
        for key, value in entry.items()
    }


def sources(entry):
    """PyTorch's names in an entry, each once, in order.

    Raises: ValueError for what is no entry
    """
    if isinstance(entry, str):
        return [entry]
    words = [
        w for w in ONE_OF if isinstance(entry, dict) and w in entry
    ]
    if len(words) != 1:
        want = 'a name or a dictionary with "from", "concat" or "add"'
        raise ValueError(
            f"weights map: an entry expected {want}, got {entry!r}"
        )
    axis = ["axis"] if words[0] == "concat" else []
    unknown = sorted(set(entry) - {words[0], *axis, *STEPS})
    if unknown:
        raise ValueError(
            f"weights map: steps expected some of {', '.join(STEPS)},"
            f" got {unknown}"
        )
    inner = entry[words[0]]
    if words[0] != "from" and not (isinstance(inner, list) and inner):
        raise ValueError(
            f"weights map: {words[0]!r} expected a list of entries,"
            f" got {inner!r}"
        )
    parts = [inner] if words[0] == "from" else inner
    found = [name for part in parts for name in sources(part)]
    return list(dict.fromkeys(found))


def total(entry, arrays):
    """The array of an entry."""
    first, *others = terms(entry, arrays)
    for other in others:
        first = first + other
    return np.array(first, order="C")


def terms(entry, arrays):
    """The summands of an entry, laid out; all are of one shape."""
    if isinstance(entry, str):
        return [np.asarray(arrays[entry])]
    if "from" in entry:
        found = terms(entry["from"], arrays)
    elif "add" in entry:
        found = [t for e in entry["add"] for t in terms(e, arrays)]
        expect_one_shape("add", found)
    else:
        parts = [terms(e, arrays) for e in entry["concat"]]
        found = concatenated(parts, entry.get("axis", 0))
    for step in STEPS:
        if step in entry:
            found = [apply(step, entry[step], a) for a in found]
    return found


def concatenated(parts, axis):
    """Parts end to end; one with fewer summands has zeros for them."""
    most = max(len(part) for part in parts)
    full = [p + [np.zeros_like(p[0])] * (most - len(p)) for p in parts]
    firsts = [part[0] for part in parts]
    ranks = {a.ndim for a in firsts}
    if len(ranks) == 1 and -max(ranks) <= axis < max(ranks):
        rests = [np.delete(a.shape, axis).tolist() for a in firsts]
        if all(rest == rests[0] for rest in rests):
            return [np.concatenate(both, axis) for both in zip(*full)]
    raise ValueError(
        f"concat on axis {axis} expected shapes that agree on the others,"
        f" got {[a.shape for a in firsts]}"
    )


def apply(step, what, array):
    """One step, on one array.

    Raises: ValueError with the step, what fits the array and what came
    """
    shape = array.shape
    if step == "flip":
        expect(step, what, shape, all(is_axis(a, shape) for a in what))
        return np.flip(array, tuple(what))
    if step == "transpose":
        axes = sorted(range(len(shape)))
        expect(step, what, shape, sorted(what) == axes)
        return np.transpose(array, what)
    if step == "reshape":
        known = math.prod(size for size in what if size != -1)
        free = list(what).count(-1)
        fits = known == array.size
        if free:
            fits = free == 1 and known and array.size % known == 0
        expect(step, what, shape, fits)
        return array.reshape(what)
    expect(
        step, what, shape, len(what) == 3 and is_axis(what[0], shape)
    )
    axis, start, stop = what
    if step == "split":
        i, n = start, stop
        fits = n > 0 and 0 <= i < n and shape[axis] % n == 0
        expect(step, what, shape, fits)
        size = shape[axis] // n
        start, stop = i * size, (i + 1) * size
    expect(step, what, shape, 0 <= start < stop <= shape[axis])
    return np.moveaxis(np.moveaxis(array, axis, 0)[start:stop], 0, axis)


def numbered(entry, arrays):
    """(its sources, where each number of the port's array comes from).

    The second has one array of places for each summand: places count
    from 1 through the sources, end to end; 0 is nowhere.
    """
    names, start, places = sources(entry), 1, {}
    for name in names:
        size, shape = size_of(arrays[name]), np.shape(arrays[name])
        places[name] = np.arange(start, start + size).reshape(shape)
        start += size
    return names, terms(entry, places)


def size_of(array):
    return math.prod(np.shape(array))


def is_axis(axis, shape):
    return isinstance(axis, int) and -len(shape) <= axis < len(shape)


def expect(step, what, shape, fits):
    if not fits:
        raise ValueError(
            f"{step} expected what fits shape {tuple(shape)}, got {what}"
        )


def expect_one_shape(word, arrays):
    if len({a.shape for a in arrays}) > 1:
        raise ValueError(
            f"{word} expected one shape, got {[a.shape for a in arrays]}"
        )

"""Weights of a PyTorch module in the names and layouts of its port.

A map is data, and can be a JSON file: {port's name: entry}; entries.py
says what an entry can be. A name may be a pattern. Each * stands for one
part of a name, without dot or slash, the same on both sides:
"encoder.*.query.kernel" with "layers.*.q.weight" gives layer 3 the weight
of layer 3. An exact name wins over a pattern.

NumPy only, and Python 3.8 on.
"""

import contextlib
import difflib
import re

import numpy as np

from .entries import ONE_OF, numbered, size_of, sources, total


def forward(mapping, arrays, shapes=None):
    """The port's arrays from those of the PyTorch module.

    arrays: {PyTorch's name: array}; shapes: {port's name: shape}, where
    given, must be those that come out
    Raises: ValueError that names the entry, what was expected and got
    """
    made = {}
    for port, entry in expand(mapping, arrays).items():
        with named(port):
            array = total(entry, arrays)
        want = tuple(shapes.get(port, array.shape)) if shapes else None
        if want not in (None, array.shape):
            raise ValueError(
                f"weights map: {port} expected shape {want},"
                f" got {array.shape}"
            )
        made[port] = array
    return made


def backward(mapping, grads, arrays):
    """The adjoint of `forward`: gradients in PyTorch's names and layouts.

    grads: {port's name: gradient}, an array for every name of the map;
    arrays: {PyTorch's name: array}, of which only the shapes are used.
    Where a number of the module has several uses, their gradients add up,
    in float64. Returns: {PyTorch's name: gradient} for the names that the
    map uses
    """
    sums, dtypes = {}, {}
    for port, entry in expand(mapping, arrays).items():
        grad = given(port, grads, "gradient")
        with named(port):
            names, places = numbered(entry, arrays)
        expect_shape(port, grad, places[0])
        size = 1 + sum(size_of(arrays[name]) for name in names)
        parts = np.zeros(size)
        for place in places:
            parts += np.bincount(
                place.ravel(), grad.astype("f8").ravel(), size
            )
        for name, part in cut(names, parts, arrays):
            sums[name] = sums.get(name, 0) + part
            dtypes[name] = grad.dtype
    return {
        name: part.astype(dtypes[name]) for name, part in sums.items()
    }


def inverse(mapping, values, arrays):
    """`forward` undone: the module's arrays from those of the port.

    values: {port's name: array}; arrays: {PyTorch's name: array}, of which
    only the shapes are used
    Raises: ValueError where the map adds arrays, leaves numbers out, or
        where two uses of one number differ
    """
    found = {}
    for port, entry in expand(mapping, arrays).items():
        value = given(port, values, "value")
        with named(port):
            names, places = numbered(entry, arrays)
        if len(places) > 1:
            raise ValueError(
                f"weights map: {port} is a sum, which has no inverse"
            )
        expect_shape(port, value, places[0])
        size = 1 + sum(size_of(arrays[name]) for name in names)
        parts = np.zeros(size, value.dtype)
        known = np.zeros(size, bool)
        parts[places[0].ravel()] = value.ravel()
        known[places[0].ravel()] = True
        if not np.array_equal(
            parts[places[0]], value, equal_nan=value.dtype.kind == "f"
        ):
            raise ValueError(
                f"weights map: {port} holds two values of one number"
            )
        both = zip(cut(names, parts, arrays), cut(names, known, arrays))
        for (name, part), (_, its) in both:
            found.setdefault(name, []).append((port, part, its))
    return {name: joined(name, uses) for name, uses in found.items()}


def joined(name, uses):
    """One array of the parts that each of its uses knows."""
    first, whole, known = (
        uses[0][0],
        uses[0][1].copy(),
        uses[0][2].copy(),
    )
    for port, part, its in uses[1:]:
        both = known & its
        if not (whole[both] == part[both]).all():
            raise ValueError(
                f"weights map: {first} and {port} hold different values"
                f" of {name}"
            )
        whole[its] = part[its]
        known |= its
    if not known.all():
        raise ValueError(
            f"weights map: {int((~known).sum())} of {known.size} numbers"
            f" of {name} have no place in the port"
        )
    return whole


def leftover(mapping, torch_names, port_names):
    """(PyTorch's names that no entry uses, the port's without an entry).

    Raises: ValueError for an entry whose name the port does not have
    """
    full = expand(mapping, torch_names)
    for port in full:
        if port not in port_names:
            raise ValueError(
                f"weights map: the port has no {port!r}"
                f"{nearest(port, port_names)}"
            )
    used = {name for entry in full.values() for name in sources(entry)}
    return (
        [name for name in torch_names if name not in used],
        [name for name in port_names if name not in full],
    )


def expand(mapping, torch_names):
    """The map without patterns, for a module with these names."""
    exact = {p: e for p, e in mapping.items() if "*" not in p}
    full, whose = {}, {}
    for port, entry in mapping.items():
        names = sources(entry)
        filled = (
            [()]
            if port in exact
            else fillings(port, names, torch_names)
        )
        for parts in filled:
            name = fill(port, parts)
            if name in exact and port not in exact:
                continue
            if name in full:
                raise ValueError(
                    f"weights map: {name} has two entries, of"
                    f" {whose[name]!r} and of {port!r}"
                )
            full[name], whose[name] = filled_entry(entry, parts), port
            for source in sources(full[name]):
                if source not in torch_names:
                    raise ValueError(
                        f"weights map: {name} takes {source!r}, which the"
                        " PyTorch module does not have"
                        f"{nearest(source, torch_names)}"
                    )
    return full


def fillings(port, names, torch_names):
    """What the stars of a pattern stand for, one tuple a parameter."""
    stars = port.count("*")
    patterns = [name for name in names if "*" in name]
    wrong = [name for name in patterns if name.count("*") != stars]
    if wrong or not patterns:
        raise ValueError(
            f"weights map: {port!r} has {stars} stars, so its sources"
            f" expected as many, got {wrong or names}"
        )
    parts = re.escape(patterns[0]).replace(r"\*", "([^./]+)")
    found = [re.fullmatch(parts, name) for name in torch_names]
    found = [match.groups() for match in found if match]
    if not found:
        raise ValueError(
            f"weights map: {port!r} takes {patterns[0]!r}, and no name of"
            f" the PyTorch module is like that{nearest('', torch_names)}"
        )
    return found


def fill(pattern, parts):
    """The pattern with its stars replaced, in order."""
    if "*" not in pattern:
        return pattern
    pieces = pattern.split("*")
    return pieces[0] + "".join(a + b for a, b in zip(parts, pieces[1:]))


def filled_entry(entry, parts):
    if isinstance(entry, str):
        return fill(entry, parts)
    filled = dict(entry)
    for word in ONE_OF:
        if isinstance(entry.get(word), list):
            filled[word] = [filled_entry(e, parts) for e in entry[word]]
        elif word in entry:
            filled[word] = filled_entry(entry[word], parts)
    return filled


def cut(names, parts, arrays):
    """What was put end to end, from place 1 on, as arrays again."""
    start = 1
    for name in names:
        size, shape = size_of(arrays[name]), np.shape(arrays[name])
        yield name, parts[start : start + size].reshape(shape)
        start += size


@contextlib.contextmanager
def named(port):
    """An error of shapes says whose entry it is."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"weights map: {port}: {error}") from None


def expect_shape(port, array, place):
    if array.shape != place.shape:
        raise ValueError(
            f"weights map: {port} expected shape {place.shape},"
            f" got {array.shape}"
        )


def given(port, arrays, what):
    if port not in arrays:
        raise ValueError(
            f"weights map: {port} has no {what}; there are {list(arrays)}"
        )
    return np.asarray(arrays[port])


def nearest(name, names):
    """What there is, the nearest first, for the end of a sentence."""
    near = (
        difflib.get_close_matches(name, names, 3, 0.0) if name else []
    )
    near = near or list(names)[:3]
    return f"; it has {', '.join(near)}" if near else "; it has none"

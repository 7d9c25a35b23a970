"""The first layer that is wrong: outputs of submodules on both sides.

A submodule's output is the array `layer.<path>`, or `layer.<path>.<path
in its nest>`; calls.py has the names of second calls (`#2`) and of what a
submodule is called with (`@`). A layer whose inputs are right and whose
output is wrong is the one to look at. Where that is none, the code of the
model between its layers is.
"""

import re
from typing import NamedTuple

import numpy as np

from ..maps.entries import renamed, sources, total
from ..maps.weights import expand, nearest
from .calls import by_hooks

PREFIX = "layer."
WRONG = ("bug", "missing")


def capture(module):
    """A context manager: {"layer.<path>": tensor} of the calls of all
    submodules of an nn.Module, in the order in which they end."""
    return by_hooks(module, PREFIX)


class Aligned(NamedTuple):
    """What two sides have in common, in the order of the first."""

    arrays: dict  # {PyTorch's name: the port's array}
    left_torch: list
    left_port: list
    turned: list  # whose channels were last in the port


def align(ours, theirs, mapping=None):
    """The port's outputs of layers under PyTorch's names: an Aligned.

    ours, theirs: {"layer.<path>": array}, of PyTorch and of the port;
    mapping: {PyTorch's path: entry of the port's paths}, entries and
        patterns as in a weights map, only that way round; what it does
        not say goes by name, whatever the case and the separators are
    An array with the channels last, where PyTorch's has them second, is
    turned if only that gives it the shape.
    Raises: ValueError for a mapping of paths that are not there
    """
    pairs = paired(ours, theirs, mapping)
    arrays, turned, used = {}, [], set()
    for name, entry in pairs.items():
        used |= set(sources(entry))
        array = total(entry, theirs)
        arrays[name], last = channels_second(array, ours[name].shape)
        turned += [name] if last else []
    return Aligned(
        arrays,
        [name for name in ours if name not in arrays],
        [name for name in theirs if name not in used],
        turned,
    )


def paired(ours, theirs, mapping=None):
    """{PyTorch's name: entry of the port's names}, in PyTorch's order."""
    given = by_map(ours, theirs, mapping or {})
    found = same_names(ours, theirs, given) | given
    return {name: found[name] for name in ours if name in found}


def channels_second(array, shape):
    """(array in this shape, whether its channels were last)."""
    shape = tuple(shape)
    if array.shape != shape and array.ndim > 2:
        first = np.moveaxis(array, -1, 1)
        if first.shape == shape:
            return first, True
    return array, False


def by_map(ours, theirs, mapping):
    """{PyTorch's name: entry of the port's names} that a map says."""
    full = expanded(
        mapping,
        [path for name in ours for path in heads(name)],
        [path for name in theirs for path in heads(name)],
    )
    found = {}
    for path, entry in full.items():
        for name in ours:
            if path in heads(name):
                rest = name[len(PREFIX + path) :]
                its = renamed(entry, lambda n, r=rest: PREFIX + n + r)
                if all(source in theirs for source in sources(its)):
                    found[name] = its
    return found


def expanded(mapping, our_paths, their_paths):
    """The map {PyTorch's path: entry of the port's} without patterns.

    Raises: ValueError for paths that are not there
    """
    try:
        full = expand(mapping, dict.fromkeys(their_paths))
    except ValueError as error:
        text = str(error).replace("weights map", "layers map")
        text = text.replace("PyTorch module", "port")
        raise ValueError(text) from None
    for path in full:
        if path not in our_paths:
            raise ValueError(
                f"layers map: the PyTorch module has no {path!r}"
                f"{nearest(path, list(dict.fromkeys(our_paths)))}"
            )
    return full


def heads(name):
    """Paths that "layer.a.b@0" can be of: a and a.b."""
    parts = re.split(r"([.@#])", name[len(PREFIX) :])
    stop = next(
        (i for i, x in enumerate(parts) if x in "@#"), len(parts)
    )
    stop = stop if stop else len(parts)
    return ["".join(parts[: i + 1]) for i in range(0, stop, 2)]


def same_names(ours, theirs, given):
    """{PyTorch's name: the port's name} of those with the same words."""
    taken = {
        name for entry in given.values() for name in sources(entry)
    }
    keys = {}
    for name in theirs:
        if name not in taken:
            keys.setdefault(words_of(name), []).append(name)
    rest = {}
    for name in ours:
        if name not in given:
            rest.setdefault(words_of(name), []).append(name)
    return {
        names[0]: keys[key][0]
        for key, names in rest.items()
        if len(names) == 1 and len(keys.get(key, ())) == 1
    }


def words_of(name):
    """Words, numbers and what marks calls and arguments."""
    return tuple(re.findall(r"[a-z]+|\d+|[@#]", name.lower()))


def calls_of(lines):
    """{name of an output's line: name of the call that returned it}.

    The call is known where what it was called with is; else it has the
    name of the output.
    """
    fed = {
        line.name.partition("@")[0]
        for line in lines
        if line.name.startswith(PREFIX) and "@" in line.name
    }
    calls = {}
    for line in lines:
        if line.name.startswith(PREFIX) and "@" not in line.name:
            known = [
                name
                for name in fed
                if line.name == name or line.name.startswith(f"{name}.")
            ]
            call = max(known, key=len, default=line.name)
            calls[line.name] = call[len(PREFIX) :]
    return calls


def first_wrong(lines):
    """The path of the first layer that is wrong, "" of the module itself
    where only the code between its layers is; None where none is, or
    where no layer was compared.

    lines: of a report, in order: name and word, such as "bug", of each.
    Of layers whose inputs nobody compared, the output alone tells.
    """
    wrong = [line.name for line in lines if line.word in WRONG]
    fed_wrong = {
        name[len(PREFIX) :].partition("@")[0]
        for name in wrong
        if "@" in name
    }
    calls = calls_of(lines)
    for name in wrong:
        if name in calls and calls[name] not in fed_wrong:
            return calls[name].partition("#")[0]
    for name in wrong:  # what a layer keeps, and shows to no other
        kind, _, path = name.rpartition(".")[0].partition(".")
        if kind == "buffer" and path not in fed_wrong:
            return path
    seen = [name for name in wrong if name.startswith((PREFIX, "out."))]
    return "" if seen and calls else None

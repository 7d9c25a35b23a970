"""What the parts of a port give for the inputs of PyTorch's parts.

The port is an object. It runs as a whole, once for each depth of its
tree, with the calls at this depth fed and those inside of them not: so a
module is right only if the code between its layers is.
"""

from typing import NamedTuple

import numpy as np
import torch

from .. import nest
from ..errors import CheckError
from ..foreign.asking import run_port, run_steps
from ..maps.entries import total
from .layers import PREFIX, channels_second, paired


class Call(NamedTuple):
    """One call of a submodule, and its inputs in float64."""

    name: str  # its path, with #2 for the second call
    path: str
    args: list
    kwargs: dict


def of_object(port, ours, calls, layers, asked):
    """({call: {its array: the port's}}, our paths without, theirs).

    ours: {name: array} of the calls of PyTorch's submodules
    """
    request, *where = asked
    answer = run_port(port, request, *where)["results"]
    theirs = {n: a for n, a in answer.items() if n.startswith(PREFIX)}
    if not theirs:
        raise CheckError(
            "single step: the port expected an object that has parts, or"
            " {name: function}; it shows no layers"
        )
    pairs = paired(ours, theirs, layers)
    feeds = {}  # {depth: {the port's name: array}}
    for call in calls:
        feed = feed_of(call, pairs, theirs)
        if feed:
            depth = call.path.count(".")
            feeds.setdefault(depth, {}).update(feed)
    steps = run_steps(port, request, list(feeds.values()), *where)
    steps = dict(zip(feeds, steps, strict=True))

    def finder(step):
        def find(name, shape):
            if name not in pairs:
                return None
            array = total(pairs[name], step)
            return channels_second(array, shape)[0]

        return find

    results, used = {}, set()
    for call in calls:
        feed = feed_of(call, pairs, theirs)
        if feed:
            used |= set(map(path_of, feed))
            results[call.name] = finder(steps[call.path.count(".")])
    parts = [path_of(n[len(PREFIX) :]) for n in theirs if "@" in n]
    left = [path for path in parts if path not in used]
    return results, without(calls, results), list(dict.fromkeys(left))


def path_of(place):
    """encoder.0.q of encoder.0.q#2@0"""
    return place.partition("@")[0].partition("#")[0]


def without(calls, results):
    """Paths of submodules of which no call has a result."""
    known = {call.path for call in calls if call.name in results}
    paths = dict.fromkeys(call.path for call in calls)
    return [path for path in paths if path not in known]


def arguments_of(call):
    """{"layer.<call>@<argument>": float64 tensor or another}."""
    given = {str(i): value for i, value in enumerate(call.args)}
    given.update(call.kwargs)
    flat = nest.flatten(
        {f"{PREFIX}{call.name}@{key}": x for key, x in given.items()}
    )
    return {n: x for n, x in flat.items() if torch.is_tensor(x)}


def as_given(leaf):
    """As the port gets it: NumPy, floats in float32."""
    if is_double(leaf):
        return leaf.float().numpy()
    return leaf.numpy().copy() if torch.is_tensor(leaf) else leaf


def feed_of(call, pairs, theirs):
    """{the port's place: what goes there}; {} where a tensor that the
    call has finds no place."""
    feed = {}
    for name, leaf in arguments_of(call).items():
        place = pairs.get(name)
        if not isinstance(place, str):
            return {}
        array = as_given(leaf)
        shape = theirs[place].shape
        if array.shape != shape:
            array = (
                np.moveaxis(array, 1, -1) if array.ndim > 2 else array
            )
        if array.shape != shape:
            return {}
        feed[place.removeprefix(PREFIX)] = array
    return feed


def is_double(leaf):
    return torch.is_tensor(leaf) and leaf.is_floating_point()

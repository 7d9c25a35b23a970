"""Read a weights map off the user's own converter.

The converter takes {PyTorch's name: array} and gives {port's name: array}.
It is run on weights that are numbers of places (`probes`), and where these
come out tells the map, whatever the shapes: a square matrix is no riddle.
A second run, on weights that are whole numbers by chance, checks the map
and finds the sums of two vectors, such as one bias for two.

NumPy only, and Python 3.8 on.
"""

import numpy as np

from .entries import sources, total
from .reading import number, read_entry
from .suggest import by_sums

BASE = 256  # whole numbers below it are exact in bfloat16 too


def probes(arrays):
    """Weights of the shapes of `arrays` for one run of the converter each.

    Digit by digit, the lowest first, to the base 256: a converter may
    round to bfloat16. Place 0 is no weight.
    """
    numbers = number(arrays)
    last = max(
        (int(n.max()) for n in numbers.values() if n.size), default=0
    )
    found, unit = [], 1
    while unit <= last:
        found.append(
            {
                name: (place // unit % BASE).astype(
                    dtype_of(arrays[name])
                )
                for name, place in numbers.items()
            }
        )
        unit *= BASE
    return found


def from_probes(converted, arrays):
    """{port's name: entry} of what came out of the converter, in order.

    converted: {port's name: array} for each of `probes`. What is not a
    layout of the weights is not in the answer.
    """
    numbers, found = number(arrays), {}
    for port in converted[0] if converted else ():
        places = sum(
            np.asarray(run[port]).astype("f8") * BASE**i
            for i, run in enumerate(converted)
        )
        whole = np.isfinite(places) & (places == np.round(places))
        if whole.all():
            entry = read_entry(places.astype("i8"), numbers)
            if entry is not None:
                found[port] = entry
    return found


def from_converter(convert, arrays):
    """(map, PyTorch's names left over, the port's names left over).

    convert: {PyTorch's name: array} to {port's name: array}
    An entry that does not give what the converter does is not kept.
    """
    rng = np.random.default_rng(0)
    drawn = {
        name: rng.integers(-100, 101, np.shape(a)).astype(dtype_of(a))
        for name, a in arrays.items()
    }
    values = {
        port: np.asarray(value)
        for port, value in convert(dict(drawn)).items()
    }
    runs = [convert(probe) for probe in probes(arrays)]
    found = from_probes(runs, arrays)
    mapping = {}
    for port, value in values.items():
        entry = found.get(port)
        if entry is None or not np.array_equal(
            total(entry, drawn), value
        ):
            (entry,) = by_sums(drawn, value) or [None]
        if entry is not None:
            mapping[port] = entry
    used = {name for e in mapping.values() for name in sources(e)}
    return (
        mapping,
        [name for name in arrays if name not in used],
        [port for port in values if port not in mapping],
    )


def dtype_of(array):
    kind = np.asarray(array).dtype
    return kind if kind.kind in "iuf" else np.dtype(np.float32)

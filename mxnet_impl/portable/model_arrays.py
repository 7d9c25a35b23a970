"""Model arrays: all the arrays of a model, by name, each of them once.

named_arrays(model, parts)  {name: parameter or state}: the arrays of
    parts (layer_parts.py); a shared one is there with each of its names
ties(named)      {name: first name} of what is there under another name
tie(model, parts, tied)  makes those the same
check_arrays(parts, tied, tensors)  the tensors of a file are the arrays
    that parts ask for, in shape and dtype, without those that are tied.
    All are of one dtype, but for integers and what quantizes; it is
    given back, or None where there are none

Raises: ValueError for what does not fit, and ties that are no weights
"""

# region imports
import functools

from mxnet_impl.portable.expect import expect
from mxnet_impl.portable.layer_arrays import (
    FLOATS,
    arrays_of,
    dtypes_of,
)
from mxnet_impl.portable.layer_parts import parts_of
from mxnet_impl.portable.model_layers import find_layers
from mxnet_impl.quantization.attached import share

# endregion


# region function
def named_arrays(model, parts):
    found, layers = {}, find_layers(model)
    for place, part in parts.items():
        for array in arrays_of(*part):
            path = array.split(".")
            variable = functools.reduce(getattr, path, layers[place])
            found[f"{place}.{array}".strip(".")] = variable
    return found


def ties(named):
    first = {id(v): n for n, v in reversed(named.items())}
    found = {n: first[id(v)] for n, v in named.items()}
    return {n: known for n, known in found.items() if known != n}


def tie(model, parts, tied):
    layers, named = find_layers(model), named_arrays(model, parts)
    for name, first in tied.items():
        place, _, array = name.rpartition(".")
        if named[name] is not named[first]:
            share(layers[place], **{array: named[first]})
    got = ties(named_arrays(model, parts))
    expect(got == tied, "tied", tied, got)


def wanted(parts):
    """{name: (shape, dtypes, layer)} of all arrays in parts."""
    found = {}
    for place, (layer, config) in parts.items():
        for array, shape in arrays_of(layer, config).items():
            known = tuple(shape), dtypes_of(layer, array), layer
            found[f"{place}.{array}".strip(".")] = known
    return found


def check_arrays(parts, tied, tensors):
    want = wanted(parts)
    for name, first in tied.items():
        _, _, array = name.rpartition(".")
        right = isinstance(first, str) and first not in tied
        right = right and {name, first} <= want.keys()
        right = right and array in ("weight", "bias")
        right = right and want[name][:2] == want[first][:2]
        right = right and want[name][1] == FLOATS
        expect(right, f"{name} tied to", "a weight like it", first)
    want = {n: w for n, w in want.items() if n not in tied}
    lacks = sorted(want.keys() - tensors.keys())
    expect(not lacks, "arrays", lacks, sorted(tensors))
    more = sorted(tensors.keys() - want.keys())
    expect(not more, "arrays", sorted(want), more)
    dtypes = {}
    for name, (shape, known, layer) in want.items():
        dtype, got, _ = tensors[name]
        expect(got == shape, f"{name}: shape", shape, got)
        expect(dtype in known, f"{name}: dtype", " ".join(known), dtype)
        if layer != "Int8Linear" and "_quantizer." not in name:
            dtypes[dtype] = name
    expect(len(dtypes) < 2, "arrays", "one dtype", dtypes)
    return next(iter(dtypes), None)


# endregion


# region try
if __name__ == "__main__":
    config = dict(input_size=3, hidden_size=5, output_size=2, scale=1.0)
    print(*wanted(parts_of("MLP", config)).items(), sep="\n")
# endregion

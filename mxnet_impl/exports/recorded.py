"""Recorded: what a Block computes, as a symbol with all its numbers.

MXNet 1.9.1 hybridizes hybrid_forward alone; but what autograd records
of a forward pass can be read as a symbol, whatever Block it was. What
it leaves out, or writes with the sizes of the example, is replaced
while the pass runs:
    detach    would be a value from nowhere    BlockGrad
    astype    a copy that forgets the dtype    Cast
    np.array, zeros, ...
              a constant without a name        kept, and numbered
    x[:, :h]  with a Reshape to fixed sizes    slice_axis
    reshape   to fixed sizes                   sizes that stay are copied
    Function  a node that no file can name     its forward
Not while other threads use this package: np itself is changed.

record(layer, inputs, parameters)  the graph of MXNet's JSON, and
    {name: array} of the parameters and constants in it
for_any(layer, inputs, parameters, dynamic)  the same, recorded a second
    time with twice the size of each dynamic axis: if that changes the
    graph or a constant, the file would hold for one size alone
Raises: NotImplementedError for that, and for what comes from nowhere
"""

# region imports
import contextlib
import json

import mxnet as mx
import numpy
from mxnet import np, npx

from mxnet_impl import fourier
from mxnet_impl.custom_function import Function

CREATE = "array", "arange", "empty", "full", "ones", "zeros"
GETITEM, RESHAPE = np.ndarray.__getitem__, np.reshape
# endregion


# region function
def legacy(operator, x, **options):
    """An operator that mx.np does not have, on its arrays."""
    return operator(x.as_nd_ndarray(), **options).as_np_ndarray()


def detach(x):
    return legacy(mx.nd.BlockGrad, x)


def astype(x, dtype, *options, **more):
    return legacy(mx.nd.cast, x, dtype=numpy.dtype(dtype).name)


def getitem(x, key):
    """Parts along axes and new axes, any other key as before."""
    keys = list(key) if isinstance(key, tuple) else [key]
    known = all(k is None or k is ... or plain(k) for k in keys)
    if not known or x.dtype == bool:  # slice_axis refuses booleans
        return GETITEM(x, key)
    if ... in keys:
        at, known = keys.index(...), sum(map(plain, keys))
        keys[at : at + 1] = [slice(None)] * (len(x.shape) - known)
    for axis, k in enumerate(keys):
        if k is None:
            x = np.expand_dims(x, axis)
        elif k.indices(x.shape[axis]) != (0, x.shape[axis], 1):
            begin, end, _ = k.indices(x.shape[axis])
            end = None if end == x.shape[axis] else end
            part = dict(axis=axis, begin=begin, end=end)
            x = legacy(mx.nd.slice_axis, x, **part)
    return x


def reshape(x, shape):
    """-2 copies the size of that axis; one more may be any, -1."""
    shape = [shape] if isinstance(shape, int) else list(shape)
    shape = [*RESHAPE(x, shape).shape]
    for axis, size in enumerate(shape):
        if axis == len(x.shape) or size != x.shape[axis]:
            shape[axis] = -1 if size else 0
            break
        shape[axis] = -2
    return npx.reshape(x, shape)


def plain(key):
    return isinstance(key, slice) and key.step is None


def forward(function, *inputs):
    function.recording = False
    return function.forward(*inputs)


@contextlib.contextmanager
def in_full():
    """The constants that np makes meanwhile."""
    made = []

    def kept(create):
        def array(*args, **options):
            made.append(create(*args, **options))
            made[-1].attach_grad()  # so that parts of it are recorded
            return made[-1]

        return array

    places = [
        (np.ndarray, "detach", detach),
        (np.ndarray, "astype", astype),
        (np.ndarray, "__getitem__", getitem),
        (Function, "__call__", forward),
        (np, "reshape", reshape),
        *((np, name, kept(getattr(np, name))) for name in CREATE),
    ]
    before = [getattr(place, name) for place, name, _ in places]
    fourier.basis.cache_clear()
    try:
        for place, name, value in places:
            setattr(place, name, value)
        yield made
    finally:
        for (place, name, _), value in zip(places, before):
            setattr(place, name, value)
        fourier.basis.cache_clear()


def record(layer, inputs, parameters):
    arrays = {n: p.data() for n, p in parameters.items()}
    for x in (*inputs.values(), *arrays.values()):
        x.attach_grad()
    with in_full() as made, mx.autograd.record(train_mode=False):
        y = layer(*inputs.values())
    constants = {f"constant{i}": x for i, x in enumerate(made)}
    names = {}
    for name, x in (inputs | arrays | constants).items():
        try:
            names[mx.autograd.get_symbol(x).name] = name
        except mx.MXNetError:  # nothing was computed with it
            continue
    graph = json.loads(mx.autograd.get_symbol(y).tojson())
    used = set()
    for number, node in enumerate(graph["nodes"]):
        if node["op"] != "null":
            node["name"] = f"{node['op']}_{number}"
            continue
        if node["name"] not in names:
            text = "MXNet 1.9.1 does not record how a value was made"
            raise NotImplementedError(f"{text}: {node['name']}")
        node["name"] = names[node["name"]]
        used.add(node["name"])
    graph["nodes"][graph["heads"][0][0]]["name"] = "y"
    numbers = arrays | constants
    return graph, {n: x for n, x in numbers.items() if n in used}


def longer(inputs, dynamic, name):
    """Copies, twice as long along the axes of that name."""
    made = {}
    for argument, x in inputs.items():
        named = dynamic.get(argument, {})
        for axis in (i for i in named if named[i] == name):
            x = np.concatenate([x, x], axis=axis)
        made[argument] = x.copy()
    return made


def for_any(layer, inputs, parameters, dynamic):
    def recorded(name):
        given = longer(inputs, dynamic, name)
        graph, numbers = record(layer, given, parameters)
        known = {n: x.asnumpy() for n, x in numbers.items()}
        known = {n: (x.shape, x.tobytes()) for n, x in known.items()}
        return graph, numbers, known

    graph, numbers, known = recorded(None)
    names = {n for named in dynamic.values() for n in named.values()}
    for name in sorted(names):
        other, _, other_known = recorded(name)
        if (graph, known) != (other, other_known):
            text = "what MXNet 1.9.1 records has the size of the axis"
            raise NotImplementedError(f"to_symbol: {text} {name!r}")
    return graph, numbers


# endregion

"""Export: a layer as a file that runs where this code is not.

FORMATS = {format: to_<format>}, each (layer, inputs, path, dynamic)
    symbol  MXNet's own graph, JSON, and beside it its numbers, .params
    onnx    operators of opset 21, for any engine of ONNX; what is
            quantized has QuantizeLinear and DequantizeLinear
layer    or a function; quantizers are frozen, and nothing trains
inputs   {argument: example}, in the order of the arguments
dynamic  {argument: {axis: name}}, axes of any size; None: the first,
         as "batch", of each input that has two or more
The file gets its name when it is whole; its one output is y

Raises: NotImplementedError for what a format cannot do, and who says so
"""

# region imports
import contextlib
import copy
import functools
import inspect
import json
import os
import pathlib
import tempfile

from mxnet import np, npx
from mxnet.gluon import nn

from mxnet_impl import onnx_layers
from mxnet_impl.onnx_graph import Graph
from mxnet_impl.quantization.prepare import set_mode
from mxnet_impl.recorded import record

# endregion


# region function
def ready(layer, inputs, dynamic):
    """A copy whose ranges do not move; inputs in order; axes."""
    if isinstance(layer, nn.Block):
        layer = set_mode(copy.deepcopy(layer), "frozen")
    own = inspect.signature(getattr(layer, "forward", layer)).parameters
    inputs = {n: inputs[n] for n in own if n in inputs}
    if dynamic is None:
        many = [n for n, x in inputs.items() if len(x.shape) > 1]
        dynamic = {name: {0: "batch"} for name in many}
    return layer, inputs, dynamic


def parameters_of(layer):
    """A shared one has the first of its names."""
    if not isinstance(layer, nn.Block):
        return {}
    named = {}
    for name, parameter in layer._collect_params_with_prefix().items():
        named.setdefault(parameter, name)
    return {name: parameter for parameter, name in named.items()}


@contextlib.contextmanager
def whole(path):
    """Where to write what gets its name when it is whole."""
    path = pathlib.Path(path).resolve()
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        part = pathlib.Path(folder) / path.name
        yield part
        if path.is_dir():
            os.replace(path, pathlib.Path(folder) / "before")
        os.replace(part, path)


def to_onnx(layer, inputs, path, dynamic=None):
    layer, inputs, dynamic = ready(layer, inputs, dynamic)
    y = layer(*inputs.values())  # its own errors, and what y is
    named = {p: name for name, p in parameters_of(layer).items()}
    g = Graph(inputs, dynamic, named)
    if isinstance(layer, nn.Block):
        result = onnx_layers.apply(g, layer, *inputs)
    else:
        bound, given = functools.partial(layer), zip(inputs, inputs)
        every = bound.func, bound.keywords, dict(given)
        result = onnx_layers.call(g, *every)
    with whole(path) as part:
        part.write_bytes(g.model(result, y.dtype, len(y.shape)))


def longer(inputs, dynamic, name):
    """Copies, twice as long along the axes of that name."""
    made = {}
    for argument, x in inputs.items():
        of = dynamic.get(argument, {})
        for axis in (i for i in of if of[i] == name):
            x = np.concatenate([x, x], axis=axis)
        made[argument] = x.copy()
    return made


def same(one, other):
    """No size is in a graph that does not change with it."""
    shapes = [
        {n: x.shape for n, x in m.items()} for _, m in (one, other)
    ]
    return one[0] == other[0] and shapes[0] == shapes[1]


def to_symbol(layer, inputs, path, dynamic=None):
    """A folder with y.json and y.params, for SymbolBlock.imports."""
    layer, inputs, dynamic = ready(layer, inputs, dynamic)
    named = parameters_of(layer)
    made = record(layer, longer(inputs, dynamic, None), named)
    for name in sorted(
        {n for of in dynamic.values() for n in of.values()}
    ):
        if not same(
            made, record(layer, longer(inputs, dynamic, name), named)
        ):
            text = "what MXNet 1.9.1 records has the size of an axis"
            raise NotImplementedError(f"to_symbol: {text}, {name}")
    graph, numbers = made
    for node in graph["nodes"]:
        if node["name"] in inputs:
            x, of = inputs[node["name"]], dynamic.get(node["name"], {})
            shape = [
                -1 if i in of else n for i, n in enumerate(x.shape)
            ]
            node["attrs"] = {"__shape__": str(tuple(shape))}
    with whole(path) as part:
        part.mkdir()
        (part / "y.json").write_text(json.dumps(graph))
        saved = {f"arg:{name}": x for name, x in numbers.items()}
        npx.save(str(part / "y.params"), saved)


FORMATS = {"symbol": to_symbol, "onnx": to_onnx}
# endregion


# region try
if __name__ == "__main__":
    from mxnet_impl.linear import Linear

    layer = Linear(3, 2)
    layer.initialize()
    with tempfile.TemporaryDirectory() as folder:
        for name, export in FORMATS.items():
            x = np.ones((4, 3))
            export(layer, {"x": x}, f"{folder}/linear.{name}")
        print(sorted(os.listdir(folder)))
# endregion

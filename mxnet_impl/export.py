"""Export: a layer as a file that runs where this code is not.

FORMATS = {format: to_<format>}, each (layer, inputs, path, dynamic)
    symbol  a folder, MXNet's graph and numbers for SymbolBlock.imports
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
import copy
import functools
import inspect
import json
import os
import tempfile

from mxnet import np, npx
from mxnet.gluon import nn

from mxnet_impl.exports import onnx_layers
from mxnet_impl.exports.folder import write_folder
from mxnet_impl.exports.onnx_graph import Graph
from mxnet_impl.exports.recorded import for_any
from mxnet_impl.quantization.prepare import set_mode
from mxnet_impl.whole_file import write_whole

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
    every = reversed(layer._collect_params_with_prefix().items())
    first = {parameter: name for name, parameter in every}
    return {name: parameter for parameter, name in first.items()}


def to_onnx(layer, inputs, path, dynamic=None):
    layer, inputs, dynamic = ready(layer, inputs, dynamic)
    y = layer(*inputs.values())  # its own errors, and what y is
    named = {p: name for name, p in parameters_of(layer).items()}
    g = Graph(inputs, dynamic, named)
    if isinstance(layer, nn.Block):
        result = onnx_layers.apply(g, layer, *inputs)
    else:
        bound = functools.partial(layer)
        own = inspect.signature(bound.func)
        own = own.bind_partial(*bound.args, **bound.keywords)
        every = own.arguments | dict(zip(inputs, inputs))
        result = onnx_layers.call(g, bound.func, every)
    data = g.model(result, y.dtype, len(y.shape))
    write_whole(path, lambda part: part.write_bytes(data))


def to_symbol(layer, inputs, path, dynamic=None):
    layer, inputs, dynamic = ready(layer, inputs, dynamic)
    named = parameters_of(layer)
    graph, numbers = for_any(layer, inputs, named, dynamic)
    saved = {f"arg:{name}": x for name, x in numbers.items()}

    def write(part):
        part.mkdir()
        (part / "y.json").write_text(json.dumps(graph))
        npx.save(str(part / "y.params"), saved)

    write_folder(path, write)


FORMATS = {"symbol": to_symbol, "onnx": to_onnx}
# endregion


# region try
if __name__ == "__main__":
    from mxnet_impl.linear import Linear

    layer, inputs = Linear(3, 2), {"x": np.ones((4, 3))}
    layer.initialize()
    with tempfile.TemporaryDirectory() as folder:
        for name, export in FORMATS.items():
            export(layer, inputs, f"{folder}/linear.{name}")
        print(os.listdir(folder))
# endregion


# region what differs here
# mxnet 1.9.1: SymbolBlock does not compare sizes with the example's: a
# file for 5 tokens given 10 computes other numbers, or writes past its
# memory. TransformerClassifier's tokens, the length of HalfSpectrum and
# all sizes of attention_tiled have to be those of the example
# endregion

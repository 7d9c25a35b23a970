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
import copy
import functools
import inspect

from mxnet.gluon import nn

import mxnet_impl
from mxnet_impl import onnx_layers
from mxnet_impl.onnx_graph import Graph
from mxnet_impl.quantization.prepare import set_mode

# endregion


# region function
def ready(layer):
    """A copy whose ranges do not move; a function as it is."""
    if not isinstance(layer, nn.Block):
        return layer
    return set_mode(copy.deepcopy(layer), "frozen")


def axes(inputs, dynamic):
    if dynamic is None:
        many = [n for n, x in inputs.items() if len(x.shape) > 1]
        dynamic = {name: {0: "batch"} for name in many}
    return dynamic


def in_order(layer, inputs):
    """The inputs in the order of the arguments."""
    own = inspect.signature(getattr(layer, "forward", layer)).parameters
    return {n: inputs[n] for n in own if n in inputs}


def to_onnx(layer, inputs, path, dynamic=None):
    layer = ready(layer)
    inputs = in_order(layer, inputs)
    y = layer(*inputs.values())  # its own errors, and what y is
    named = {}
    if isinstance(layer, nn.Block):
        every = layer._collect_params_with_prefix().items()
        named = {parameter: name for name, parameter in every}
    g = Graph(inputs, axes(inputs, dynamic), named)
    if isinstance(layer, nn.Block):
        result = onnx_layers.apply(g, layer, *inputs)
    else:
        bound = functools.partial(layer)
        given = dict(zip(inputs, inputs))
        result = onnx_layers.call(
            g, bound.func, bound.keywords, given
        )
    g.save(result, y.dtype, len(y.shape), path)


FORMATS = {"onnx": to_onnx}
# endregion

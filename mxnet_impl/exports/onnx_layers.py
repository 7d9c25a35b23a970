"""The layers, as nodes of ONNX: their parameters and a function.

apply(g, layer, *inputs)  the nodes of a layer, those inside it too
call(g, function, arguments)  those of a function

g is a Graph; a parameter has the name in the file that it has in a
checkpoint. What prepare and convert put in the place of a Linear is
applied there, as each layer inside is.

Raises: NotImplementedError for what is not of this folder
"""

# region imports

import numpy

from mxnet_impl.exports import onnx_functions as floats
from mxnet_impl.exports.onnx_fourier import half_spectrum
from mxnet_impl.exports.onnx_graph import onnx_type
from mxnet_impl.quantization import onnx_quantizers as quantizers
from mxnet_impl.quantization.onnx_int8 import (
    code_linear,
    int8_linear,
    qat_linear,
)

CONV = "weight", "bias", "stride", "padding", "eps"
# endregion


# region function
def apply(g, layer, *inputs):
    name = type(layer).__name__
    if name not in LAYERS:
        known = ", ".join(LAYERS)
        text = f"to_onnx: layer expected one of {known}, got {name}"
        raise NotImplementedError(text)
    return LAYERS[name](g, layer, *inputs)


def call(g, function, arguments):
    name = function.__name__
    alone = dict(half_spectrum=half_spectrum, code_linear=code_linear)
    known = alone | vars(quantizers) | vars(floats)
    if not function.__module__.startswith("mxnet_impl."):
        want = "one of mxnet_impl"
        text = f"to_onnx: function expected {want}, got {name}"
        raise NotImplementedError(text)
    return known[name](g, **arguments)


def mlp(g, layer, x):
    h = apply(g, layer.layer1, x)  # ... J
    a = apply(g, layer.relu, h)
    return apply(g, layer.layer2, a)  # ... O


def tied_mlp(g, layer, x):
    h = apply(g, layer.layer1, x)
    return apply(g, layer.layer2, floats.scaled_relu(g, h))


def multi_head_attention(g, layer, x, attn_mask=None):
    rows, columns = layer.qkv.weight.shape
    h, s = layer.num_heads, layer.num_kv_heads
    width = rows // (h + 2 * s)
    x = apply(g, layer.qkv, x)
    x = g.Reshape(x, [0, 0, h + 2 * s, width])  # B N H+2G D
    x = g.Transpose(x, perm=[0, 2, 1, 3])  # B H+2G N D
    q, k, v = g.Split(x, [h, s, s], axis=1, outputs=3)
    options = attn_mask, layer.causal, None, h, s, width
    y = floats.attend(g, q, k, v, *options)  # B H N D
    y = g.Transpose(y, perm=[0, 2, 1, 3])  # B N H D
    y = g.Reshape(y, [0, 0, columns])  # B N C
    return y if layer.out is None else apply(g, layer.out, y)


def position(g, h, width):
    """In float64, as the page has it, for as many tokens as come."""
    tokens = g.Squeeze(g.Shape(h, start=1, end=2))
    n = g.Cast(g.Range(0, tokens, 1), to=onnx_type("float64"))
    c = numpy.arange(width)
    divisors = [1e4 ** ((i - i % 2) / width) for i in range(width)]
    angle = g.Div(g.Unsqueeze(n, [1]), numpy.array(divisors))
    wave = g.Where(c % 2 == 1, g.Cos(angle), g.Sin(angle))  # N C
    return g.Cast(wave, to=onnx_type(g.dtype))


def add(g, x, y):
    return g.cast_like(g.Add(g.widen(x), g.widen(y)))


def block(g, layer, x):
    y = apply(g, layer.attention, apply(g, layer.norm1, x))
    x = add(g, x, y)
    y = apply(g, layer.mlp, apply(g, layer.norm2, x))
    return add(g, x, y)  # B N C


def transformer_classifier(g, layer, x):
    h = apply(g, layer.embed, x)  # B N C
    h = add(g, h, position(g, h, layer.embed.weight.shape[0]))
    for inside in layer.blocks:
        h = apply(g, inside, h)
    h = g.widen(apply(g, layer.norm, h))
    h = g.cast_like(g.ReduceMean(h, [1], keepdims=0))  # B C
    return apply(g, layer.head, h)  # B O


def text_classifier(g, layer, x, bag_mask=None):
    y = floats.embedding_bag(g, x, layer.bag.weight, bag_mask)
    return apply(g, layer.linear, y)  # B O


def lsq(g, layer, x):
    every = x, layer.step, *layer.options
    return quantizers.lsq(g, *every)


def lsq_plus(g, layer, x):
    every = x, layer.step, layer.offset, *layer.options
    return quantizers.lsq_plus(g, *every)


def pact(g, layer, x):
    return quantizers.pact(g, x, layer.alpha, layer.codes.bits)


def of(function, *names):
    """A layer that calls a function with what it has by these names."""

    def nodes(g, layer, x, *more):
        own = (getattr(layer, n) for n in names)
        return function(g, x, *own, *more)

    return nodes


LAYERS = {
    "CenteredLayer": of(floats.centered),
    "EmbeddingBag": of(floats.embedding_bag, "weight"),
    "HalfSpectrum": of(half_spectrum),
    "Linear": of(floats.linear, "weight", "bias"),
    "LinearReLU": of(floats.linear_relu, "weight", "bias"),
    "ManualLinear": of(floats.manual_linear, "weight", "bias"),
    "MLP": mlp,
    "MultiHeadAttention": multi_head_attention,
    "RMSNorm": of(floats.rms_norm, "weight", "eps"),
    "ScaledReLU": of(floats.scaled_relu, "scale"),
    "StandardizedConv2d": of(floats.standardized_conv2d, *CONV),
    "TensorReduction": of(floats.bilinear, "weight"),
    "TextClassifier": text_classifier,
    "TiedMLP": tied_mlp,
    "Block": block,
    "TransformerClassifier": transformer_classifier,
    "WeightedSum": of(floats.weighted_sum, "weight"),
    "Int8Linear": int8_linear,
    "QATLinear": qat_linear,
    "LSQ": lsq,
    "LSQPlus": lsq_plus,
    "PACT": pact,
}
# endregion

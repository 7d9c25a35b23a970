"""Linear layers on codes, as nodes of ONNX: the same sums, exact.

QATLinear is exported as what convert makes of it, an Int8Linear:
Mul(x, inv), Clip, QuantizeLinear   the codes: its own scale is 1, as
    onnx_quantizers says
MatMulInteger, Add                  the sums, exact in int32
DequantizeLinear                    times out_scale, rounded once
IsNaN, Where, MatMul, Add           NaN in the rows of x that have it
In float64 there is no QuantizeLinear and no DequantizeLinear: Round,
Add and Cast give the codes, Cast and Mul the result.

Raises: ValueError as convert: before the first batch, or too large sums
Ref:    ONNX operators QuantizeLinear 21, MatMulInteger 10
"""

# region imports
import numpy

from mxnet_impl.exports.onnx_graph import onnx_type
from mxnet_impl.quantization.codes import code_range
from mxnet_impl.quantization.convert import to_int8
from mxnet_impl.quantization.onnx_quantizers import rounded

# endregion


# region function
def code_linear(g, x, weight, bias, x_scale, w_scale):
    wide = onnx_type("float64")  # sums of whole numbers, exact
    steps = g.Unsqueeze(w_scale, [1])
    w = g.Transpose(rounded(g, weight, steps), perm=[1, 0])
    a = g.Cast(rounded(g, x, x_scale), to=wide)
    total = g.MatMul(a, g.Cast(w, to=wide))
    scale = g.Mul(x_scale, w_scale)
    if bias is not None:
        steps = g.Cast(rounded(g, bias, scale), to=wide)
        total = g.Add(total, steps)
    return g.Mul(g.Cast(total, to=onnx_type(g.wide)), scale)


def input_codes(g, layer, x):
    """int8: x in steps of scale, from the zero point."""
    bits, signed, _, narrow_range = layer.codes
    qmin, qmax = code_range(bits, signed, narrow_range)
    inv = 1 / layer.scale.data().asnumpy().astype(g.wide)
    zero_point = int(layer.zero_point.data())
    low, high = float(qmin - zero_point), float(qmax - zero_point)
    u = g.Clip(g.Mul(x, inv), low, high)
    start = numpy.int8(zero_point - layer.shift)
    if g.wide == "float32":
        return g.QuantizeLinear(u, 1.0, start), start
    code = g.Add(g.Round(u), float(start))
    return g.Cast(code, to=onnx_type("int8")), start


def int8_linear(g, layer, x):
    wide = g.widen(x)
    q, start = input_codes(g, layer, wide)
    factors = q, g.Transpose(layer.weight, perm=[1, 0])
    zeros = numpy.array(start), numpy.array(0, "int8")
    total = g.Add(g.MatMulInteger(*factors, *zeros), layer.bias)
    steps = layer.out_scale.data().asnumpy().astype(g.wide)
    if g.wide == "float32":
        y = g.DequantizeLinear(total, steps, axis=-1)
    else:
        y = g.Mul(g.Cast(total, to=onnx_type(g.wide)), steps)
    nothing = g.Where(g.IsNaN(wide), wide, 0.0)
    ones = numpy.ones((layer.weight.shape[1], 1), g.wide)
    # a product: ReduceSum of onnxruntime 1.31.1 has a row of no rows
    return g.cast_like(g.Add(y, g.MatMul(nothing, ones)))


def qat_linear(g, layer, x):
    return int8_linear(g, to_int8("to_onnx", layer), x)


# endregion

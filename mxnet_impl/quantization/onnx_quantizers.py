"""Quantizers as nodes of ONNX, with equal codes.

The functions have the names and arguments of the pages, after g, a
Graph; see there for the formulas. They multiply by inv = 1 / scale, as
the pages do: ONNX's QuantizeLinear divides, which gives other codes at
half steps. Round of ONNX takes ties to even numbers.

axis needs the rank of x, which is that of an input of the graph
"""

# region imports
from mxnet_impl.exports.onnx_graph import onnx_type
from mxnet_impl.quantization.codes import code_range

# endregion


# region function
def along(g, step, x, axis):
    """A step for each index along axis, to broadcast against x."""
    if axis is None:
        return step
    shape = [1] * len(g.shapes[x])
    shape[axis] = -1
    return g.Reshape(step, shape)


def wide_whole(g, value):
    return g.Cast(value, to=onnx_type(g.wide))


def as_x(g, y, x):
    """y, but NaN where x is NaN, whatever an engine's Clip does."""
    return g.cast_like(g.Where(g.IsNaN(x), x, y))


def rounded(g, x, scale):
    return g.Round(g.Mul(x, g.Div(1.0, scale)))


def quantize(
    g,
    x,
    scale,
    zero_point,
    bits=8,
    signed=True,
    axis=None,
    narrow_range=False,
):
    qmin, qmax = code_range(bits, signed, narrow_range)
    wide, scale = g.widen(x), along(g, g.widen(scale), x, axis)
    zero_point = along(g, wide_whole(g, zero_point), x, axis)
    known = g.Where(g.IsNaN(wide), 0.0, wide)  # NaN: as 0
    code = g.Add(rounded(g, known, scale), zero_point)
    code = g.Clip(code, float(qmin), float(qmax))
    return g.Cast(code, to=onnx_type("int32"))


def fake_quantize(
    g,
    x,
    scale,
    zero_point,
    bits=8,
    signed=True,
    axis=None,
    narrow_range=False,
):
    options = bits, signed, axis, narrow_range
    code = quantize(g, x, scale, zero_point, *options)
    wide, scale = g.widen(x), along(g, g.widen(scale), x, axis)
    code = g.Sub(code, along(g, zero_point, x, axis))
    return as_x(g, g.Mul(wide_whole(g, code), scale), wide)


def lsq(g, x, step, bits=4, signed=True, axis=None, num_elements=None):
    return lsq_plus(g, x, step, None, bits, signed, axis)


def lsq_plus(
    g,
    x,
    step,
    offset,
    bits=4,
    signed=True,
    axis=None,
    num_elements=None,
):
    qmin, qmax = code_range(bits, signed)
    wide, step = g.widen(x), along(g, g.widen(step), x, axis)
    moved = wide
    if offset is not None:
        offset = along(g, g.widen(offset), x, axis)
        moved = g.Sub(wide, offset)
    u = g.Mul(moved, g.Div(1.0, step))
    y = g.Mul(g.Round(g.Clip(u, float(qmin), float(qmax))), step)
    y = y if offset is None else g.Add(y, offset)
    return as_x(g, y, wide)


def pact(g, x, alpha, bits=4):
    _, levels = code_range(bits, signed=False)
    wide, alpha = g.widen(x), g.widen(alpha)
    step = g.Mul(alpha, 1 / levels)
    inside = g.Min(g.Max(wide, 0.0), alpha)
    code = g.Clip(rounded(g, inside, step), 0.0, float(levels))
    return as_x(g, g.Mul(code, step), wide)


# endregion

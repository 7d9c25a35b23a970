"""The functions of the float pages, as nodes of ONNX.

Each has the name and the arguments of the page's function, after g, the
Graph; see there for the formula. x is the name of a value, a parameter
may be one too. Where the page has a sum in float32, so has the graph.

heads of attention are known from the sizes of the example: its graph
takes any B, N and M; attention_tiled is the same formula, whose scores
are in memory at once
"""

# region imports
import math

import numpy

# endregion


# region function
def centered(g, x):
    wide = g.widen(x)
    return g.cast_like(g.Sub(wide, g.ReduceMean(wide, keepdims=0)))


def linear(g, x, weight, bias=None):
    turned = g.Transpose(g.widen(weight), perm=[1, 0])
    y = g.MatMul(g.widen(x), turned)  # ... O
    y = y if bias is None else g.Add(y, g.widen(bias))
    return g.cast_like(y)


def positive(g, condition_of, y):
    """y where condition_of is above 0; NaN is not below it."""
    return g.Where(g.LessOrEqual(condition_of, 0.0), 0.0, y)


def linear_relu(g, x, weight, bias=None):
    y = g.widen(linear(g, x, weight, bias))
    return g.cast_like(positive(g, y, y))


def scaled_relu(g, x, scale=1.0):
    wide = g.widen(x)
    y = positive(g, wide, g.Mul(wide, float(scale)))
    return g.cast_like(y)


def bilinear(g, x, weight):
    wide = g.widen(x)
    first = dict(equation="...i,ijk->...jk")
    wx = g.Einsum(wide, g.widen(weight), **first)  # ... J K
    y = g.Einsum(wx, wide, equation="...jk,...j->...k")
    return g.cast_like(y)


def weighted_sum(g, x, weight):
    terms = g.Mul(g.widen(x), g.widen(weight))
    return g.cast_like(g.ReduceSum(terms, keepdims=0))


def manual_linear(g, x, weight, bias):
    return linear(g, x, weight, bias)


def mean_of_squares(g, x, axes):
    return g.ReduceMean(g.Mul(x, x), axes, keepdims=1)


def rms_norm(g, x, weight, eps=1e-6):
    wide = g.widen(x)
    mean = mean_of_squares(g, wide, [-1])  # ... 1
    y = g.Div(wide, g.Sqrt(g.Add(mean, float(eps))))
    return g.cast_like(g.Mul(y, g.widen(weight)))


def standardized_conv2d(
    g, x, weight, bias, stride=1, padding=0, eps=1e-5
):
    w = g.widen(weight)
    shift = g.Sub(w, g.ReduceMean(w, [1, 2, 3], keepdims=1))
    var = mean_of_squares(g, shift, [1, 2, 3])  # O 1 1 1
    v = g.Div(shift, g.Sqrt(g.Add(var, float(eps))))
    v = g.widen(g.cast_like(v))
    sizes = dict(strides=[stride] * 2, pads=[padding] * 4)
    y = g.Conv(g.widen(x), v, **sizes)
    y = g.Add(y, g.Reshape(g.widen(bias), [-1, 1, 1]))
    return g.cast_like(y)


def embedding_bag(g, x, weight, bag_mask=None):
    """An id that names no row is for the engine to refuse."""
    if bag_mask is not None:
        x = g.Where(bag_mask, x, numpy.zeros((), g.dtypes["x"]))
    rows = g.Gather(g.widen(weight), x, axis=0)  # B L E
    if bag_mask is None:
        return g.cast_like(g.ReduceMean(rows, [1], keepdims=0))
    rows = g.Where(g.Unsqueeze(bag_mask, [2]), rows, 0.0)
    n = g.ReduceSum(g.Where(bag_mask, 1.0, 0.0), [1], keepdims=1)
    n = g.Where(g.Equal(n, 0.0), 1.0, n)  # B 1
    total = g.ReduceSum(rows, [1], keepdims=0)  # B E
    return g.cast_like(g.Div(total, n))


def attention(g, q, k, v, attn_mask=None, causal=False, scale=None):
    sizes = g.size(q, 1), g.size(k, 1), g.size(q, 3)
    return attend(g, q, k, v, attn_mask, causal, scale, *sizes)


def attention_tiled(
    g, q, k, v, attn_mask=None, causal=False, scale=None, block_size=128
):
    return attention(g, q, k, v, attn_mask, causal, scale)


def attend(g, q, k, v, attn_mask, causal, scale, heads, groups, width):
    """The scale has an entry for each channel: onnxruntime 1.31.1 would
    make one number a part of the product, in float32."""
    scale = 1 / math.sqrt(width) if scale is None else float(scale)
    scale = numpy.full(width, scale, g.wide)  # D
    shared = numpy.repeat(numpy.arange(groups), heads // groups)
    k = g.Gather(g.widen(k), shared, axis=1)  # B H M D
    v = g.Gather(g.widen(v), shared, axis=1)  # B H M E
    scaled_q = g.Mul(g.widen(q), scale)
    turned = g.Transpose(k, perm=[0, 1, 3, 2])
    scores = g.MatMul(scaled_q, turned)  # B H N M
    allowed = allow(g, scores, attn_mask, causal)
    if allowed is not None:
        lowest = float(numpy.finfo(g.wide).min)
        scores = g.Where(allowed, scores, lowest)
    row_max = g.ReduceMax(scores, [3], keepdims=1)  # B H N 1
    exps = g.Exp(g.Sub(scores, row_max))
    if allowed is not None:
        exps = g.Where(allowed, exps, 0.0)
    row_sum = g.ReduceSum(exps, [3], keepdims=1)  # B H N 1
    if allowed is not None:
        row_sum = g.Where(g.Equal(row_sum, 0.0), 1.0, row_sum)
    y = g.MatMul(g.Div(exps, row_sum), v)  # B H N E
    return g.cast_like(y)


def allow(g, scores, attn_mask, causal):
    """Which keys a query may attend to; None: all."""
    if not causal:
        return attn_mask
    size = g.Shape(scores, start=2)
    seen = g.Trilu(g.Expand(numpy.array(True), size), upper=0)  # N M
    return seen if attn_mask is None else g.And(attn_mask, seen)


# endregion

"""Every page with a hand-written gradient, once more in NumPy.

RULES: {function: Rule}, what the four frameworks' pages are compared
with: forward and backward in float64, and inputs away from the places
where the backward formula jumps.
second(rule, square) is the derivative of the backward formula as it is
written, straight through where the page goes straight through:
    G = backward(h'(f), inputs), the gradient of sum h(f)
    H = d backward / d inputs, at a constant h'(f), + J^T h''(f) J
J is what the rule says of f: its rows are backward of unit vectors. The
first term is a complex step, exact to the last digits: no subtraction.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Rule(NamedTuple):
    page: str
    forward: Callable
    backward: Callable  # dy, *inputs: a gradient for each input
    inputs: dict
    others: dict  # arguments that are no such inputs


def between(low, u, high):
    return (low < u.real) & (u.real < high)


def fake_quantize(x, scale):
    return (np.clip(np.round(x / scale), -8, 7)) * scale


def fake_quantize_backward(dy, x, scale):
    code = np.round((x / scale).real)
    inside = (code >= -8) & (code <= 7)
    return np.where(inside, dy, 0), 0 * scale


def lsq(x, step, qmin=-4, qmax=3):
    return np.round(np.clip(x * (1 / step), qmin, qmax)) * step


def lsq_backward(dy, x, step, axes=None, qmin=-4, qmax=3, add=0):
    u = (x - add) * (1 / step)
    inside = between(qmin, u, qmax)
    d = np.where(
        inside, np.round(u.real) - u, np.clip(u.real, qmin, qmax)
    )
    g = 1 / np.sqrt(x.size / step.size * qmax)
    dstep = np.sum(dy * d, axis=axes, keepdims=True) * g
    return np.where(inside, dy, 0), np.reshape(dstep, step.shape)


def lsq_plus(x, step, offset):
    step, offset = step[:, None], offset[:, None]
    return lsq(x - offset, step) + offset


def lsq_plus_backward(dy, x, step, offset):
    wide = step[:, None], 1, -4, 3, offset[:, None]
    dx, dstep = lsq_backward(dy, x, *wide)
    g = 1 / np.sqrt(x.shape[1] * 3)
    return dx, dstep[:, 0], np.sum(dy - dx, axis=1) * g


def pact(x, alpha):
    step = alpha / 15
    return np.round(np.clip(x, 0, alpha) / step) * step


def pact_backward(dy, x, alpha):
    inside = (x.real >= 0) & (x.real < alpha.real)
    above = x.real >= alpha.real
    return np.where(inside, dy, 0), np.sum(np.where(above, dy, 0))


def code_linear(x, weight, bias, x_scale, w_scale):
    scale = x_scale * w_scale
    codes = np.round(x / x_scale), np.round(weight / w_scale[:, None])
    return (codes[0] @ codes[1].T + np.round(bias / scale)) * scale


def code_linear_backward(dy, x, weight, bias, x_scale, w_scale):
    rest = 0 * bias + np.sum(dy, axis=0), 0 * x_scale, 0 * w_scale
    return dy @ weight, dy.T @ x, *rest


def manual_linear(x, weight, bias):
    return x @ weight.T + bias


def manual_linear_backward(dy, x, weight, bias):
    return dy @ weight, dy.T @ x, 0 * bias + np.sum(dy, axis=0)


def weighted_sum(x, weight):
    return np.sum(x @ weight)


def weighted_sum_backward(dy, x, weight):
    return dy * (0 * x + weight), dy * np.sum(x, axis=0)


# the last query sees no key: its row of y is 0
SEEN = np.arange(7) % 3 != np.arange(5)[:, None] % 2
SEEN[-1] = False


def weights(q, k):
    scores = np.where(SEEN, q @ np.swapaxes(k, 2, 3) / np.sqrt(3), 0)
    exps = np.where(SEEN, np.exp(scores), 0)
    total = np.sum(exps, axis=3, keepdims=True)
    return exps / np.where(total == 0, 1, total)


def attention_tiled(q, k, v):
    return weights(q, k) @ v


def attention_tiled_backward(dy, q, k, v):
    w = weights(q, k)
    dw = dy @ np.swapaxes(v, 2, 3)
    dscores = w * (dw - np.sum(w * dw, axis=3, keepdims=True))
    dscores = dscores / np.sqrt(3)
    dk = np.swapaxes(dscores, 2, 3) @ q
    return dscores @ k, dk, np.swapaxes(w, 2, 3) @ dy


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# 1.5 is at the bound of lsq, qmax = 3 of its steps
X = np.array([[0.3, 1.2, -0.7], [-9.3, 1.5, 4.4]])
LINEAR = dict(x=draw(4, 3), weight=draw(2, 3, seed=1), bias=draw(2))
ONES = np.array([0.5, 0.75])
ZERO_POINT = dict(zero_point=np.array(0, np.int32), bits=4)

RULES = {
    "fake_quantize": Rule(
        "quantization/fake_quantize.py",
        fake_quantize,
        fake_quantize_backward,
        dict(x=X, scale=np.array(0.5)),
        ZERO_POINT,
    ),
    "lsq": Rule(
        "quantization/lsq.py",
        lsq,
        lsq_backward,
        dict(x=X, step=np.array(0.5)),
        dict(bits=3),
    ),
    "lsq_plus": Rule(
        "quantization/lsq_plus.py",
        lsq_plus,
        lsq_plus_backward,
        dict(x=X, step=ONES, offset=np.array([0.1, -0.2])),
        dict(bits=3, axis=0),
    ),
    "pact": Rule(
        "quantization/pact.py",
        pact,
        pact_backward,
        dict(x=X, alpha=np.array(2.1)),
        {},
    ),
    "code_linear": Rule(
        "quantization/code_linear.py",
        code_linear,
        code_linear_backward,
        LINEAR | dict(x_scale=np.array(0.25), w_scale=ONES),
        {},
    ),
    "weighted_sum": Rule(
        "manual_gradient.py",
        weighted_sum,
        weighted_sum_backward,
        dict(x=draw(4, 3), weight=draw(3, seed=1)),
        {},
    ),
    "manual_linear": Rule(
        "manual_gradient.py",
        manual_linear,
        manual_linear_backward,
        LINEAR,
        {},
    ),
    "attention_tiled": Rule(
        "attention_tiled.py",
        attention_tiled,
        attention_tiled_backward,
        dict(
            q=draw(1, 2, 5, 3),
            k=draw(1, 2, 7, 3, seed=1),
            v=draw(1, 2, 7, 3, seed=2),
        ),
        dict(attn_mask=SEEN, block_size=3),
    ),
}


def given(rule, adapter):
    """(inputs, the other arguments by name), in float64."""
    tensors = {
        n: adapter.to_tensor(a, "float64")
        if isinstance(a, np.ndarray)
        else a
        for n, a in (rule.inputs | rule.others).items()
    }
    return (
        [tensors[n] for n in rule.inputs],
        {n: tensors[n] for n in rule.others},
    )


def flat(arrays):
    return np.concatenate([np.ravel(a) for a in arrays])


def parts(vector, like):
    """Cut into arrays of those shapes."""
    sizes = np.cumsum([np.size(a) for a in like])[:-1]
    cut = np.split(vector, sizes)
    return [np.reshape(c, np.shape(a)) for c, a in zip(cut, like)]


def first(rule, dy):
    return rule.backward(dy, *rule.inputs.values())


def second(rule, square: bool):
    """H of sum f^2, or of sum f, as one matrix."""
    inputs = list(rule.inputs.values())
    y = rule.forward(*inputs)
    dy = 2 * y if square else np.ones_like(y)
    units = np.eye(np.size(y)).reshape(-1, *np.shape(y))
    jacobian = np.stack([flat(first(rule, e)) for e in units])
    step, columns = 1e-30, []
    for e in np.eye(len(flat(inputs))):
        moved = parts(flat(inputs) + 1j * step * e, inputs)
        columns.append(flat(rule.backward(dy, *moved)).imag / step)
    curved = 2 * jacobian.T @ jacobian if square else 0
    return np.stack(columns, axis=1) + curved

"""Whole layers, forward and backward: PyTorch's float32 kernels and
plain NumPy by another formula are both within the budget."""

import numpy as np
import pytest
import torch

from shared_tests.roundoff.rules.tests.two_sided import (
    budgeted,
    gradients,
    in_numpy,
    in_pytorch,
    inputs,
    rms,
    worst,
)

ENVIRONMENTS = ("pytorch",)

functional = torch.nn.functional
KINDS = "random", "cancelling", "constant", "wide"
MEANS = 0.0, 10.0, 100.0
GENERATOR = np.random.default_rng(3)
WEIGHT = torch.tensor(GENERATOR.normal(1, 0.1, 12)).float().double()
BIAS = torch.tensor(GENERATOR.normal(0, 0.1, 12)).float().double()
IDS = torch.tensor(GENERATOR.integers(0, 7, (5, 9)))
LABELS = torch.tensor(GENERATOR.integers(0, 12, 25))


def weight_of(x):
    return WEIGHT.to(x.dtype), BIAS.to(x.dtype)


def layer_norm(x):
    return functional.layer_norm(x, (12,), *weight_of(x))


def group_norm(x):
    return functional.group_norm(x.reshape(5, 12, -1), 3, *weight_of(x))


def batch_norm(x):
    x = x.reshape(-1, 12)
    return functional.batch_norm(
        x, None, None, *weight_of(x), training=True
    )


def batch_norm_in_use(mean):
    """With running statistics, of which the mean is that of x."""

    def run(x):
        x = x.reshape(-1, 12)
        weight, bias = weight_of(x)
        return functional.batch_norm(
            x, bias + mean, weight**2, weight, bias
        )

    return run


def normal(x, axis):
    """Centred: the mean is subtracted first."""
    d = x - x.mean(axis, keepdims=True)
    var = (d * d).mean(axis, keepdims=True)
    return d / np.sqrt(var + x.dtype.type(1e-5))


def affine(y, shape=(12,)):
    weight, bias = (p.float().numpy() for p in (WEIGHT, BIAS))
    return y * weight.reshape(shape) + bias.reshape(shape)


def upstream(shape):
    return inputs("random", 99, *shape).float().numpy()


def centred_gradient(x, dy, axis, n):
    """dx of y = normal(x), by the centred formula, for dy at y."""
    d = x - x.mean(axis, keepdims=True)
    var = (d * d).mean(axis, keepdims=True)
    rstd = 1 / np.sqrt(var + x.dtype.type(1e-5))
    y = d * rstd
    along = (dy * y).mean(axis, keepdims=True)
    return (dy - dy.mean(axis, keepdims=True) - y * along) * rstd


def layer_norm_gradient(x):
    dy = upstream(x.shape) * WEIGHT.float().numpy()
    return centred_gradient(x, dy, -1, 12).ravel()


def group_norm_gradient(x):
    x = x.reshape(5, 3, -1)
    dy = upstream((5, 12, x.size // 60))
    dy = dy * WEIGHT.float().numpy()[:, None]
    return centred_gradient(x, dy.reshape(x.shape), -1, None).ravel()


def batch_norm_gradient(x):
    x = x.reshape(-1, 12)
    dy = upstream(x.shape) * WEIGHT.float().numpy()
    return centred_gradient(x, dy, 0, None).ravel()


NORMS = {
    "layer norm": (layer_norm, lambda x: affine(normal(x, -1))),
    "layer norm gradient": (gradients(layer_norm), layer_norm_gradient),
    "group norm": (
        group_norm,
        lambda x: affine(
            normal(x.reshape(5, 3, -1), -1).reshape(5, 12, -1), (12, 1)
        ),
    ),
    "group norm gradient": (gradients(group_norm), group_norm_gradient),
    "batch norm": (
        batch_norm,
        lambda x: affine(normal(x.reshape(-1, 12), 0)),
    ),
    "batch norm gradient": (gradients(batch_norm), batch_norm_gradient),
}


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("kind", ["random", "wide"])
@pytest.mark.parametrize("name", NORMS)
def test_both_formulas_of_a_norm_keep_the_budget(name, kind, mean):
    """At a mean of 100 the kernels' own gradient would be at 5.8
    budgets of the centred formula (layer norm)."""
    operation, other = NORMS[name]
    x = (inputs(kind, 1, 25, 12) + mean).float().double()
    reference, sigma = budgeted(operation, x)
    narrow = in_pytorch(operation, x)
    assert worst(narrow, reference, sigma) <= 1
    assert worst(in_numpy(other, x), reference, sigma) <= 1
    if kind == "random":
        assert 0.1 < rms(narrow, reference, sigma) < 1.1


@pytest.mark.parametrize("mean", MEANS)
def test_a_batch_norm_in_use_may_be_folded(mean):
    x = (inputs("random", 1, 25, 12) + mean).float().double()
    operation = batch_norm_in_use(mean)
    reference, sigma = budgeted(operation, x)
    assert worst(in_pytorch(operation, x), reference, sigma) <= 1
    weight, bias = (p.float().numpy() for p in (WEIGHT, BIAS))

    def centred(x):
        scale = 1 / np.sqrt(weight**2 + np.float32(1e-5))
        y = (x - (bias + np.float32(mean))) * scale
        return y * weight + bias

    assert worst(in_numpy(centred, x), reference, sigma) <= 1


@pytest.mark.parametrize("mean", [10.0, 100.0])
def test_a_variance_as_a_difference_is_no_rounding(mean):
    """E[x^2] - mean^2, which some libraries call fast."""
    x = (inputs("random", 1, 25, 12) + mean).float().double()
    reference, sigma = budgeted(layer_norm, x)

    def fast(x):
        m = x.mean(-1, keepdims=True)
        var = (x * x).mean(-1, keepdims=True) - m * m
        return affine((x - m) / np.sqrt(var + np.float32(1e-5)))

    assert worst(in_numpy(fast, x), reference, sigma) > 1


def softmax(s):
    e = np.exp(s - s.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def log_softmax(s):
    s = s - s.max(-1, keepdims=True)
    return s - np.log(np.exp(s).sum(-1, keepdims=True))


def attended(x):
    """x (5, 5, 12): queries, keys and values alike, causal."""
    x = x.reshape(5, 5, 12)
    s = x @ x.transpose(0, 2, 1) / np.sqrt(np.float32(12))
    s = np.where(np.tril(np.ones((5, 5), bool)), s, -np.inf)
    return softmax(s) @ x


def attention(x):
    x = x.reshape(5, 1, 5, 12)
    y = functional.scaled_dot_product_attention(x, x, x, is_causal=True)
    return y.reshape(5, 5, 12)


def cross_entropy(x):
    return functional.cross_entropy(x, LABELS, label_smoothing=0.1)


def cross_entropy_by_hand(x):
    p = log_softmax(x)
    own = p[np.arange(25), LABELS]
    smooth = p.mean(-1)
    f = x.dtype.type
    return -(f(0.9) * own + f(0.1) * smooth).mean(dtype=x.dtype)


def gelu_tanh(x):
    f = x.dtype.type
    inner = f(np.sqrt(2 / np.pi)) * (x + f(0.044715) * x * x * x)
    return f(0.5) * x * (1 + np.tanh(inner))


def softplus(x):
    return np.logaddexp(x, x.dtype.type(0))


def bags(x):
    return x[:7][IDS].mean(1)


def doubled(x):
    """Linear interpolation to twice the length, along the last axis."""
    f = x.dtype.type
    left = np.concatenate([x[:, :1], x[:, :-1]], 1)
    right = np.concatenate([x[:, 1:], x[:, -1:]], 1)
    even = f(0.25) * left + f(0.75) * x
    odd = f(0.75) * x + f(0.25) * right
    return np.stack([even, odd], -1).reshape(len(x), -1)


def rotated(x):
    """Rotary positions by complex numbers."""
    pairs = torch.view_as_complex(x.reshape(25, 6, 2))
    position = torch.arange(25, dtype=x.dtype)[:, None]
    angle = position / 10.0 ** torch.arange(6, dtype=x.dtype)
    turn = torch.polar(torch.ones_like(angle), angle)
    return torch.view_as_real(pairs * turn)


def rotated_by_hand(x):
    a, b = x.reshape(25, 6, 2).transpose(2, 0, 1)
    position = np.arange(25, dtype=x.dtype)[:, None]
    angle = position / x.dtype.type(10) ** np.arange(6, dtype=x.dtype)
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([a * c - b * s, a * s + b * c], -1)


LSTM = torch.nn.LSTM(12, 5)
WEIGHTS = [
    inputs("random", n, *p.shape)
    for n, p in enumerate(LSTM.parameters())
]


def lstm(x):
    """Five steps of nn.LSTM, with weights of another precision."""
    names = dict(LSTM.named_parameters())
    weights = {n: w.to(x.dtype) for n, w in zip(names, WEIGHTS)}
    return torch.func.functional_call(
        LSTM, weights, (x.reshape(5, 5, 12),)
    )[0]


def lstm_by_hand(x):
    w, u, b, c = (weight.float().numpy() for weight in WEIGHTS)
    h = s = np.zeros((5, 5), x.dtype)
    y = []
    for row in x.reshape(5, 5, 12):
        i, f, g, o = np.split(row @ w.T + b + h @ u.T + c, 4, -1)
        s = sigmoid(f) * s + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(s)
        y.append(h)
    return np.stack(y)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


LAYERS = {
    "softmax": (lambda x: torch.softmax(x, -1), softmax),
    "log softmax": (lambda x: torch.log_softmax(x, -1), log_softmax),
    "attention": (attention, attended),
    "attention gradient": (gradients(attention), None),
    "cross entropy": (cross_entropy, cross_entropy_by_hand),
    "cross entropy gradient": (gradients(cross_entropy), None),
    "gelu tanh": (
        lambda x: functional.gelu(x, approximate="tanh"),
        gelu_tanh,
    ),
    "gelu gradient": (gradients(functional.gelu), None),
    "softplus": (functional.softplus, softplus),
    "silu": (functional.silu, lambda x: x * sigmoid(x)),
    "mish": (functional.mish, lambda x: x * np.tanh(softplus(x))),
    "elu": (
        functional.elu,
        lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    ),
    "hardswish": (
        functional.hardswish,
        lambda x: x * np.clip(x + 3, 0, 6) / x.dtype.type(6),
    ),
    "embedding bag": (
        lambda x: functional.embedding_bag(IDS, x[:7], mode="mean"),
        bags,
    ),
    "embedding bag gradient": (
        gradients(
            lambda x: functional.embedding_bag(IDS, x[:7], mode="mean")
        ),
        None,
    ),
    "embedding gradient": (
        gradients(lambda x: functional.embedding(IDS, x[:7])),
        None,
    ),
    "interpolation": (
        lambda x: functional.interpolate(
            x[None], scale_factor=2, mode="linear"
        )[0],
        doubled,
    ),
    "interpolation gradient": (
        gradients(
            lambda x: functional.interpolate(
                x[None, None], size=(31, 17), mode="bicubic"
            )
        ),
        None,
    ),
    "rotary positions": (rotated, rotated_by_hand),
    "lstm": (lstm, lstm_by_hand),
    "lstm gradient": (gradients(lstm), None),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_keeps_the_budget(name, kind):
    operation, other = LAYERS[name]
    x = inputs(kind, 1, 25, 12)
    reference, sigma = budgeted(operation, x)
    narrow = in_pytorch(operation, x)
    assert worst(narrow, reference, sigma) <= 1
    if other is not None:
        assert worst(in_numpy(other, x), reference, sigma) <= 1
    if kind == "random":
        assert 0.05 < rms(narrow, reference, sigma) < 2

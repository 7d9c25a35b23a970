"""Sums, products, averages, transforms: two real float32s within the
budget of each, of numbers that cancel, are equal, or differ widely."""

import numpy as np
import pytest
import torch

from shared_tests.roundoff.rules.tests.two_sided import (
    KINDS,
    budgeted,
    gradients,
    in_numpy,
    in_pytorch,
    inputs,
    positive,
    rms,
    worst,
)

ENVIRONMENTS = ("pytorch",)

functional = torch.nn.functional
INDEX = torch.tensor(
    np.random.default_rng(5).integers(0, 7, (23, 61)), dtype=torch.long
)
ROW = INDEX[:, 0]


def x_of(kind):
    return [inputs(kind, 1, 23, 61)]


def positive_of(kind):
    return [positive(x) / 2 for x in x_of(kind)]


def two_of(kind):
    return [inputs(kind, 1, 23, 61), inputs(kind, 2, 61, 17)]


def rows_of(kind):
    return [inputs(kind, 1, 6, 13), inputs("random", 2, 5, 13)]


def image_of(kind):
    return [inputs(kind, 1, 2, 5, 12, 18)]


def filters_of(kind):
    return [
        inputs(kind, 1, 2, 4, 9, 11),
        inputs("random", 2, 6, 4, 3, 3),
    ]


def scattered(x):
    y = np.zeros((23, 7), x.dtype)
    for n, m in np.ndindex(x.shape):
        y[n, INDEX[n, m]] += x[n, m]
    return y


def added_rows(x):
    y = np.zeros((7, 61), x.dtype)
    np.add.at(y, ROW.numpy(), x)
    return y


def windows(x):
    return x.reshape(2, 5, 6, 2, 9, 2)


def correlated(x, weight):
    """Another order of the sum: channel by channel, tap by tap."""
    y = np.zeros((2, 6, 7, 9), x.dtype)
    for c in range(4):
        for i, j in np.ndindex(3, 3):
            part = x[:, None, c, i : i + 7, j : j + 9]
            y += part * weight[None, :, c, i, j, None, None]
    return y


def logsumexp(x):
    top = x.max(-1, keepdims=True)
    return np.log(np.exp(x - top).sum(-1)) + top[..., 0]


def running_logsumexp(x):
    return np.logaddexp.accumulate(x, -1)


def distances(a, b):
    return np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))


def norm(p):
    return lambda x: (np.abs(x) ** p).sum(-1) ** x.dtype.type(1 / p)


def adaptive_rows(x):
    """Windows of 12 elements in 5 parts, and of 18 in 7."""
    parts = []
    for i in range(5):
        rows = x[:, :, 12 * i // 5 : -(-12 * (i + 1) // 5)]
        for j in range(7):
            part = rows[..., 18 * j // 7 : -(-18 * (j + 1) // 7)]
            parts.append(part.mean((2, 3), dtype=x.dtype))
    return np.stack(parts, -1).reshape(2, 5, 5, 7)


# name: operation, the same in NumPy, where its arguments come from
ROWS = {
    "sum": (lambda x: x.sum(1), lambda x: x.sum(1), x_of),
    "mean": (lambda x: x.mean(1), lambda x: x.mean(1), x_of),
    "mm": (torch.mm, lambda a, b: a @ b, two_of),
    "einsum": (
        lambda a, b: torch.einsum("nc,cd->dn", a, b),
        lambda a, b: (b.T[..., None] * a.T[None]).sum(1),
        two_of,
    ),
    "cumsum": (
        lambda x: x.cumsum(1),
        lambda x: np.cumsum(x, 1),
        x_of,
    ),
    "prod": (lambda x: x.prod(1), lambda x: x.prod(1), positive_of),
    "cumprod": (
        lambda x: x.cumprod(1),
        lambda x: np.cumprod(x, 1),
        positive_of,
    ),
    "logsumexp": (lambda x: x.logsumexp(1), logsumexp, x_of),
    "logcumsumexp": (
        lambda x: x.logcumsumexp(1),
        running_logsumexp,
        x_of,
    ),
    "norm 2": (lambda x: x.norm(2, 1), norm(2), x_of),
    "norm 3": (lambda x: x.norm(3, 1), norm(3), x_of),
    "var": (lambda x: x.var(1), lambda x: x.var(1, ddof=1), x_of),
    "std": (lambda x: x.std(1), lambda x: x.std(1, ddof=1), x_of),
    "scatter_add": (
        lambda x: x.new_zeros(23, 7).scatter_add(1, INDEX, x),
        scattered,
        x_of,
    ),
    "index_add": (
        lambda x: x.new_zeros(7, 61).index_add(0, ROW, x),
        added_rows,
        x_of,
    ),
    "index_put": (
        lambda x: x.new_zeros(7, 61).index_put((ROW,), x, True),
        added_rows,
        x_of,
    ),
    "cdist": (torch.cdist, distances, rows_of),
    "cdist gradients": (gradients(torch.cdist), None, rows_of),
    "convolution": (torch.conv2d, correlated, filters_of),
    "convolution gradients": (
        gradients(torch.conv2d),
        None,
        filters_of,
    ),
    "transposed convolution": (
        lambda x, w: torch.conv_transpose2d(
            x, w.transpose(0, 1), stride=2
        ),
        None,
        filters_of,
    ),
    "average pooling": (
        lambda x: functional.avg_pool2d(x, 2),
        lambda x: windows(x).mean((3, 5)),
        image_of,
    ),
    "average pooling, overlapping": (
        lambda x: functional.avg_pool2d(x, 3, 1, 1, False, False),
        None,
        image_of,
    ),
    "average pooling gradients": (
        gradients(lambda x: functional.avg_pool2d(x, 3, 2, 1)),
        None,
        image_of,
    ),
    "adaptive pooling": (
        lambda x: functional.adaptive_avg_pool2d(x, (5, 7)),
        adaptive_rows,
        image_of,
    ),
    "adaptive pooling gradients": (
        gradients(lambda x: functional.adaptive_avg_pool2d(x, (5, 7))),
        None,
        image_of,
    ),
    "rfft": (torch.fft.rfft, np.fft.rfft, x_of),
    "irfft": (
        lambda x: torch.fft.irfft(torch.complex(x, x.flip(0))),
        lambda x: np.fft.irfft(x + np.complex64(1j) * np.flip(x, 0)),
        x_of,
    ),
    "fft2": (
        lambda x: torch.fft.fft2(x, norm="ortho"),
        lambda x: np.fft.fft2(x, norm="ortho"),
        x_of,
    ),
}


def another_order(operation, args):
    """PyTorch again, with batch, channels or columns turned round."""
    threads = torch.get_num_threads()
    with torch.backends.mkldnn.flags(enabled=False):
        torch.set_num_threads(1)
        try:
            return in_pytorch(operation, *args)
        finally:
            torch.set_num_threads(threads)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ROWS)
def test_float32_keeps_the_budget(name, kind):
    operation, other, source = ROWS[name]
    args = source(kind)
    reference, sigma = budgeted(operation, *args)
    assert worst(in_pytorch(operation, *args), reference, sigma) <= 1
    if other is None:
        again = another_order(operation, args)
    else:
        again = in_numpy(other, *args)
    assert worst(again, reference, sigma) <= 1


# kernels that sum in blocks, or in double, are better than one by one;
# some powers and logarithms are better than the ulps allowed to others
BETTER = {
    "cumsum": "adds in double",
    "norm 2": "adds in double",
    "norm 3": "pow within 1 ulp of the 8 allowed",
    "var": "adds in double",
    "std": "adds in double",
    "logcumsumexp": "its terms are within 1 ulp of the 4 allowed",
}


@pytest.mark.parametrize("name", ROWS)
def test_float32_uses_the_budget(name):
    operation, _, source = ROWS[name]
    args = source("random")
    reference, sigma = budgeted(operation, *args)
    used = rms(in_pytorch(operation, *args), reference, sigma)
    assert (0.02 if name in BETTER else 0.2) < used < 1.1

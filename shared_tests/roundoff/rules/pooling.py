"""Averages over windows: a sum, then one division."""

import torch

from .elementwise import uniform
from .sums import sum_noise

aten = torch.ops.aten


def averaged(y, n, divisor, mean_square):
    """Of y = sum of n terms / divisor, where mean_square is the sum of
    the squares / divisor."""
    n = torch.round(n)
    noise = sum_noise(n, y * divisor, mean_square * divisor) / divisor
    return torch.sqrt(noise**2 + uniform(y) ** 2)


def average(op, place):
    """op(x, ..., divisor_override): divisor_override counts if given."""

    def noise(y, x, *options):
        summing = (*options, *DEFAULTS[op][len(options) :])
        summing = (*summing[:place], 1)
        n = op(torch.ones_like(x), *summing)
        divisor = n / op(torch.ones_like(x), *options)
        return averaged(y, n, divisor, op(x * x, *options))

    return noise


DEFAULTS = {
    # kernel, stride, padding, ceil_mode, count_include_pad
    aten.avg_pool2d: (None, [], 0, False, True),
    aten.avg_pool3d: (None, [], 0, False, True),
}


def average_backward(op, forward):
    """Every output hands dy / divisor to each element of its window."""

    def noise(y, dy, x, *options):
        *options, _ = options
        summing = (*options, 1)
        ones = torch.ones_like(x)
        divisor = forward(ones, *summing) / forward(ones, *options)
        each = dy / divisor
        n = op(torch.ones_like(dy), x, *summing)
        squares = op(each * each, x, *summing)
        return torch.sqrt(sum_noise(n, y, squares) ** 2 + squares / 3)

    return noise


def windows(size, out):
    """How many elements each adaptive window along one axis has."""
    i = torch.arange(out)
    return (-((-(i + 1) * size) // out) - i * size // out).double()


def window_sizes(x, y, dims):
    n = torch.ones([1] * dims, dtype=x.dtype)
    for d in range(dims):
        size = windows(x.shape[d - dims], y.shape[d - dims])
        n = n * size.reshape([-1 if e == d else 1 for e in range(dims)])
    return n


def adaptive(op, dims):
    def noise(y, x, *options):
        n = window_sizes(x, y, dims)
        return averaged(y, n, n, op(x * x, *options))

    return noise


def adaptive_backward(op, dims):
    def noise(y, dy, x):
        size = window_sizes(x, dy, dims)
        n = op(size.expand(dy.shape).contiguous(), x)
        squares = op(dy * dy / size, x)
        summed = sum_noise(torch.round(n), y, squares)
        return torch.sqrt(summed**2 + squares / 3)

    return noise


RULES = {
    aten.avg_pool2d: average(aten.avg_pool2d, 5),
    aten.avg_pool3d: average(aten.avg_pool3d, 5),
    aten.avg_pool2d_backward: average_backward(
        aten.avg_pool2d_backward, aten.avg_pool2d
    ),
    aten.avg_pool3d_backward: average_backward(
        aten.avg_pool3d_backward, aten.avg_pool3d
    ),
    aten._adaptive_avg_pool2d: adaptive(aten._adaptive_avg_pool2d, 2),
    aten._adaptive_avg_pool3d: adaptive(aten._adaptive_avg_pool3d, 3),
    aten._adaptive_avg_pool2d_backward: adaptive_backward(
        aten._adaptive_avg_pool2d_backward, 2
    ),
    aten._adaptive_avg_pool3d_backward: adaptive_backward(
        aten._adaptive_avg_pool3d_backward, 3
    ),
}

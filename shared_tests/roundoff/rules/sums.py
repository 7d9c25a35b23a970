"""Rounding of sums: reductions, matrix products, convolutions, and all
that adds what an index or a window collects.

A sum of n terms p_i with result S and Q = sum p_i^2 errs by `sum_noise`.
n and Q come from the operation itself, applied to ones and to squares.
"""

import math

import torch

from .elementwise import HELD, integer, uniform, where_not

aten = torch.ops.aten


def sum_noise(n, total, squares):
    """Expected error of adding n terms one by one in random order."""
    serial = n * (total**2 / 3 + squares / 6) / 3 + squares / 3
    several = torch.as_tensor(n > 1)
    return torch.where(several, torch.sqrt(serial), 0)


def size_squared(x):
    return (x * x.conj()).real if x.is_complex() else x * x


def present(x):
    """1 where there is a term, 0 where adding it changes nothing."""
    return (x != 0).to(torch.float64)


def reduced(x, dim):
    """How many terms each sum over `dim` has; None or () is all axes."""
    if dim is None or dim == []:
        return x.numel()
    dims = [dim] if isinstance(dim, int) else dim
    return math.prod(x.shape[d] for d in dims)


def reduce_sum_noise(y, x, dim=None, keepdim=False, **_):
    axes = dim if dim else None
    if isinstance(dim, int):
        axes = dim
    squares = torch.sum(size_squared(x), dim=axes, keepdim=keepdim)
    noise = sum_noise(reduced(x, dim), y.abs(), squares)
    return exact_counts(noise, x, y)


def exact_counts(noise, x, y):
    """None where whole numbers are added up to one that is held."""
    if bool(integer(x).all()):
        return where_not(y.abs() <= HELD, noise)
    return noise


def reduce_mean_noise(y, x, dim=None, keepdim=False, **_):
    n = reduced(x, dim)
    if n == 0:
        return torch.zeros_like(y)
    noise = reduce_sum_noise(y * n, x, dim, keepdim) / n
    return torch.sqrt(noise**2 + uniform(y) ** 2)


def product_sum_noise(n, y, squares):
    """A sum of n products: one rounding where there is only one."""
    several = torch.as_tensor(n > 1)
    return torch.where(
        several, sum_noise(n, y.abs(), squares), uniform(y)
    )


def whole_products(a, b):
    """Sums of whole numbers that stay below 2^24 are exact everywhere."""
    if not (integer(a).all() and integer(b).all()):
        return False
    return bool(((a.abs() @ b.abs()) <= HELD).all())


def matmul_noise(y, a, b):
    if whole_products(a, b):
        return torch.zeros_like(y.abs())
    squares = size_squared(a) @ size_squared(b)
    return product_sum_noise(a.shape[-1], y, squares)


def biased_matmul_noise(y, bias, a, b, beta=1, alpha=1):
    """The bias is one more term: libraries start the sum with it.

    Then every partial sum is as large as the bias, and is rounded so:
    with 2048 products of 1e-4 and a bias of 1 float32 is off by 2.3 times
    (rms) what the product and the addition apart would make, and for the
    same reason float64 is not equal to them (torch 2.13.0, MKL).
    """
    bias = beta * bias
    if whole_products(a, alpha * b) and bool(integer(bias).all()):
        return torch.zeros_like(y.abs())
    squares = alpha**2 * (size_squared(a) @ size_squared(b))
    terms = squares + size_squared(bias)
    return product_sum_noise(a.shape[-1] + 1, y, terms)


def convolution_noise(y, x, weight, bias, *options):
    """Counting the terms, and adding their squares, are convolutions.

    The bias is one more term, as in `biased_matmul_noise`.
    """

    def alike(x, weight):
        return aten.convolution(x, weight, None, *options)

    n = alike(torch.ones_like(x), torch.ones_like(weight))
    squares = alike(x * x, weight * weight)
    if bias is not None:
        each = bias.reshape(-1, *[1] * (weight.ndim - 2))
        n, squares = n + 1, squares + each * each
    return product_sum_noise(n.round(), y, squares)


def convolution_backward_noise(y, dy, x, weight, _, *options):
    *options, wanted = options

    def alike(*arrays):
        return aten.convolution_backward(
            *arrays, None, *options, [*wanted[:2], False]
        )

    counts = alike(*(torch.ones_like(a) for a in (dy, x, weight)))
    squares = alike(dy * dy, x * x, weight * weight)
    return [
        None if part is None else product_sum_noise(*both)
        for part, *both in zip(y, counts, y, squares)
    ]


def collected(op, *places):
    """The rule of an `op` that adds up the tensors at these places of
    its arguments, each element with the factor 0 or 1."""

    def noise(y, *args, **options):
        def alike(change):
            changed = list(args)
            for place in places:
                changed[place] = change(args[place])
            return op(*changed, **options)

        n = alike(present)
        noise = sum_noise(n, y.abs(), alike(size_squared))
        if all(bool(integer(args[p]).all()) for p in places):
            return where_not(y.abs() <= HELD, noise)
        return noise

    return noise


def index_put_noise(y, x, where, values, accumulate=False, **_):
    """Only adding onto what is there rounds."""
    if not accumulate:
        return None

    def alike(x, values):
        return aten.index_put(x, where, values, True)

    n = alike(present(x), present(values))
    squares = alike(size_squared(x), size_squared(values))
    noise = sum_noise(n, y.abs(), squares)
    whole = integer(x).all() & integer(values).all()
    return where_not(y.abs() <= HELD, noise) if whole else noise


def product_of_many_noise(y, x, dim=None, **_):
    """n - 1 roundings, each relative to the product so far."""
    n = x.numel() if dim is None else x.shape[dim]
    return math.sqrt(max(n - 1, 0)) * uniform(y)


def running_product_noise(y, x, dim, **_):
    count = torch.arange(x.shape[dim] if x.ndim else 1, dtype=y.dtype)
    shape = [1] * x.ndim
    if x.ndim:
        shape[dim] = -1
    return torch.sqrt(count.reshape(shape)) * uniform(y)


def running_logsumexp_noise(y, x, dim):
    """log of sums of p = exp(x - y), which themselves add up to 1.

    Each p is within 4 ulps and one of its argument, the log of 1 as well.
    """
    squares = torch.exp(aten.logcumsumexp(2 * x, dim) - 2 * y)
    n = torch.cumsum(torch.ones_like(x), dim)
    added = sum_noise(n, torch.ones_like(y), squares)
    terms = 16 * squares / 3
    return torch.sqrt(added**2 + terms + uniform(y) ** 2 + 1 / 3)


RULES = {
    aten.sum: reduce_sum_noise,
    aten.mean: reduce_mean_noise,
    aten.mm: matmul_noise,
    aten.bmm: matmul_noise,
    aten.addmm: biased_matmul_noise,
    aten.baddbmm: biased_matmul_noise,
    aten.convolution: convolution_noise,
    aten.convolution_backward: convolution_backward_noise,
    aten.prod: product_of_many_noise,
    aten.cumprod: running_product_noise,
    aten.logcumsumexp: running_logsumexp_noise,
    aten.index_put: index_put_noise,
    aten._unsafe_index_put: index_put_noise,
    aten._index_put_impl_: index_put_noise,
}
COLLECTED = {
    aten.cumsum: (0,),
    aten.scatter_add: (0, 3),
    aten.index_add: (0, 3),
    aten.unfold_backward: (0,),
    aten.col2im: (0,),
    aten.max_pool2d_with_indices_backward: (0,),
    aten.max_pool3d_with_indices_backward: (0,),
    aten.adaptive_max_pool2d_backward: (0,),
    aten.adaptive_max_pool3d_backward: (0,),
    aten.fractional_max_pool2d_backward: (0,),
    aten.fractional_max_pool3d_backward: (0,),
    aten.upsample_nearest1d_backward: (0,),
    aten.upsample_nearest2d_backward: (0,),
    aten.upsample_nearest3d_backward: (0,),
    aten._upsample_nearest_exact1d_backward: (0,),
    aten._upsample_nearest_exact2d_backward: (0,),
    aten._upsample_nearest_exact3d_backward: (0,),
    aten.reflection_pad1d_backward: (0,),
    aten.reflection_pad2d_backward: (0,),
    aten.reflection_pad3d_backward: (0,),
    aten.replication_pad1d_backward: (0,),
    aten.replication_pad2d_backward: (0,),
    aten.replication_pad3d_backward: (0,),
    aten.trace: (0,),
}
RULES |= {op: collected(op, *at) for op, at in COLLECTED.items()}

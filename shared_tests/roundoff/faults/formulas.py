"""Formulas that are right and round more; families as in changes.py."""

import math

import torch

from .changes import BATCH_NORMS, named

aten = torch.ops.aten


def fast_variance(func, args, kwargs):
    """E[x^2] - E[x]^2, in one pass over x."""
    packet = func.overloadpacket
    if packet is aten.native_layer_norm:
        return lambda: layer_norm(*args)
    if packet is aten.var and func._overloadname == "correction":
        return lambda: variance(*args, **kwargs)
    if packet in BATCH_NORMS:
        given = named(func, args, kwargs)
        if given["training"]:
            return lambda: batch_norm(func, args, given)
    return None


def mean_and_variance(x, axes, keepdim=True):
    mean = torch.mean(x, axes, keepdim)
    square = torch.mean(x * x, axes, keepdim)
    return mean, square - mean * mean


def layer_norm(x, shape, weight, bias, eps):
    axes = list(range(x.ndim - len(shape), x.ndim))
    mean, var = mean_and_variance(x, axes)
    rstd = torch.rsqrt(var + eps)
    y = (x - mean) * rstd
    y = y if weight is None else y * weight
    return (y if bias is None else y + bias), mean, rstd


def variance(x, dim=None, *, correction=1, keepdim=False):
    axes = list(range(x.ndim)) if not dim else list(dim)
    n = math.prod(x.shape[a] for a in axes)
    _, var = mean_and_variance(x, axes, keepdim)
    return var * (n / (n - (1 if correction is None else correction)))


def batch_norm(func, args, given):
    """y with the fast variance; statistics kept as the operation does."""
    _, mean, rstd = func(*args)
    x = given["input"]
    axes = [0, *range(2, x.ndim)]
    shape = [1, -1, *[1] * (x.ndim - 2)]
    mean, var = mean_and_variance(x, axes)
    rstd = torch.rsqrt(var + given["eps"])
    y = (x - mean) * rstd
    for name, combine in (("weight", torch.mul), ("bias", torch.add)):
        if given[name] is not None:
            y = combine(y, given[name].reshape(shape))
    return y, mean.reshape(-1), rstd.reshape(-1)


def naive_logarithms(func, args, kwargs):
    """log softmax as the logarithm of a softmax, log(1 + x), exp x - 1."""
    packet = func.overloadpacket
    if packet is aten._log_softmax:
        return lambda: torch.log(torch.softmax(args[0], args[1]))
    if packet is aten.log1p:
        return lambda: torch.log(1 + args[0])
    if packet is aten.expm1:
        return lambda: torch.exp(args[0]) - 1
    if packet is aten.softplus:
        return lambda: torch.log(1 + torch.exp(args[0]))
    return None

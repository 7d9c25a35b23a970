"""Norms of vectors, and distances between rows."""

import math

import torch

from .norms import axes

aten = torch.ops.aten


def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    """(sum |x|^p)^(1/p); the extremes are exact."""
    dim = axes(x, dim)
    if x.is_complex():
        x = torch.abs(x)
    if math.isinf(ord):
        extreme = torch.amax if ord > 0 else torch.amin
        return extreme(torch.abs(x), dim, keepdim)
    if ord == 0:
        return torch.sum((x != 0).to(x.dtype), dim, keepdim)
    if ord == 1:
        return torch.sum(torch.abs(x), dim, keepdim)
    if ord == 2:
        return torch.sqrt(torch.sum(x * x, dim, keepdim))
    total = torch.sum(torch.abs(x) ** ord, dim, keepdim)
    return total ** (1 / ord)


def differences(x1, x2):
    return x1.unsqueeze(-2) - x2.unsqueeze(-3)


def cdist(x1, x2, p, compute_mode):
    """Distances of all rows: of their differences, as the kernel does."""
    return vector_norm(differences(x1, x2), p, -1)


def cdist_backward(dy, x1, x2, p, y):
    d = differences(x1, x2)
    dx = distance_slope(d, y.unsqueeze(-1), p) * dy.unsqueeze(-1)
    return torch.sum(dx, -2)


def distance_slope(d, y, p):
    """dy / dd of y = (sum |d|^p)^(1/p); 0 where y is."""
    if p == 0:
        return torch.zeros_like(d)
    if p == 1:
        return torch.sign(d)
    if math.isinf(p):
        return torch.sign(d) * (torch.abs(d) == y).to(d.dtype)
    part = (
        d / y
        if p == 2
        else torch.sign(d) * torch.pow(torch.abs(d) / y, p - 1)
    )
    return torch.where(y == 0, 0.0, part)


def pairs(x):
    return torch.triu_indices(len(x), len(x), 1)


def pdist(x, p=2.0):
    i, j = pairs(x)
    return vector_norm(x[i] - x[j], p, -1)


def pdist_backward(dy, x, p, y):
    i, j = pairs(x)
    slope = distance_slope(x[i] - x[j], y.unsqueeze(-1), p)
    each = slope * dy.unsqueeze(-1)
    dx = torch.index_add(torch.zeros_like(x), 0, i, each)
    return torch.index_add(dx, 0, j, -each)


DECOMPOSITIONS = {
    aten.linalg_vector_norm: vector_norm,
    aten._cdist_forward: cdist,
    aten._cdist_backward: cdist_backward,
    aten._pdist_forward: pdist,
    aten._pdist_backward: pdist_backward,
}

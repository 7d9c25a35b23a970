"""Normalisations, by the formula of the kernels in use.

There are two formulas for each: a centred one, which subtracts the mean
first, and a folded one, which keeps x and corrects the result. They
agree until the mean is large beside the spread; then the folded one
rounds numbers as large as the mean. Kernels and ports use both, so the
folded one, whose error is the larger, is the one that is sampled.
A variance is the mean of the squares of what is centred: E[x^2] - mean^2
is not among the formulas, for it fails at large means (see check.md).
"""

import math

import torch

aten = torch.ops.aten


def axes(x, dim):
    """dim as a list of axes that are not negative; None or [] is all."""
    if dim is None or dim == []:
        return list(range(x.ndim))
    return [
        d % x.ndim for d in ([dim] if isinstance(dim, int) else dim)
    ]


def moments(x, dim, keepdim=True):
    """Mean, and the sum of squares about it, over the axes `dim`.

    About the running means, as kernels go that read x once (Welford):
    at a large mean it errs by more than a second pass would.
    Ref: Chan, Golub, LeVeque 1983, American Statistician 37, 242
    """
    mean = torch.mean(x, dim, True)
    rows = torch.movedim(x, dim, list(range(-len(dim), 0)))
    rows = rows.flatten(-len(dim))
    total = squares_about(rows)
    if not keepdim:
        return torch.squeeze(mean, dim), total
    return mean, total.reshape(mean.shape)


def squares_about(rows):
    """sum_k (x_k - m_(k-1))^2 (k - 1) / k, m_k the mean up to k."""
    if rows.is_complex():
        parts = torch.real(rows), torch.imag(rows)
        return sum(squares_about(part) for part in parts)
    count = torch.arange(1, rows.shape[-1] + 1, dtype=rows.dtype)
    running = torch.cumsum(rows, -1) / count
    before = torch.cat([rows[..., :1], running[..., :-1]], -1)
    away = rows - before
    return torch.sum(away * away * ((count - 1) / count), -1)


def variance(x, dim=None, *, correction=1, keepdim=False):
    return variance_and_mean(x, dim, correction, keepdim)[0]


def variance_and_mean(x, dim, correction, keepdim):
    dim = axes(x, dim)
    n = math.prod(x.shape[d] for d in dim)
    mean, total = moments(x, dim, keepdim)
    left = n - (1 if correction is None else correction)
    return total / max(left, 0) if left > 0 else total / 0.0, mean


def var_mean(x, dim=None, *, correction=1, keepdim=False):
    return variance_and_mean(x, dim, correction, keepdim)


def std_mean(x, dim=None, *, correction=1, keepdim=False):
    v, mean = variance_and_mean(x, dim, correction, keepdim)
    return torch.sqrt(v), mean


def std(x, dim=None, *, correction=1, keepdim=False):
    return torch.sqrt(
        variance(x, dim, correction=correction, keepdim=keepdim)
    )


def times_plus(y, weight, bias):
    if weight is not None:
        y = y * weight
    return y if bias is None else y + bias


def layer_norm(x, shape, weight, bias, eps):
    """y, mean, 1 / sqrt(variance + eps), the last two with axes kept."""
    dim = list(range(x.ndim - len(shape), x.ndim))
    n = math.prod(shape)
    mean, total = moments(x, dim)
    rstd = torch.rsqrt(total / n + eps)
    return times_plus((x - mean) * rstd, weight, bias), mean, rstd


def layer_norm_backward(dy, x, shape, mean, rstd, weight, bias, wanted):
    """Folded: dx = rstd w dy + b x + c, where b x + c is centred."""
    inner = list(range(x.ndim - len(shape), x.ndim))
    outer = list(range(x.ndim - len(shape)))
    n = math.prod(shape)
    dx = dweight = dbias = None
    if wanted[0]:
        scaled = dy if weight is None else dy * weight
        ds = torch.sum(scaled * x, inner, True)
        db = torch.sum(scaled, inner, True)
        b = (db * mean - ds) * rstd * rstd * rstd / n
        c = -b * mean - db * rstd / n
        dx = rstd * scaled + b * x + c
    if wanted[1] and weight is not None:
        normal = rstd * x + -rstd * mean
        dweight = over(dy * normal, outer)
    if wanted[2] and bias is not None:
        dbias = over(dy, outer)
    return dx, dweight, dbias


def over(x, dim):
    """The sum over these axes, of which there may be none."""
    return torch.sum(x, dim) if dim else x.clone()


def group_norm(x, weight, bias, batch, channels, inner, groups, eps):
    """Folded into a factor and an offset for each channel."""
    rows = x.reshape(batch, groups, -1)
    mean, total = moments(rows, [2])
    rstd = torch.rsqrt(total / rows.shape[-1] + eps)
    y = (rows - mean) * rstd
    if weight is not None or bias is not None:
        y = y.reshape(batch, channels, inner)
        y = times_plus(y, column(weight), column(bias))
    return y.reshape(x.shape), mean[..., 0], rstd[..., 0]


def column(x):
    return None if x is None else x.reshape(-1, 1)


def group_norm_backward(
    dy, x, mean, rstd, weight, batch, channels, inner, groups, wanted
):
    """Folded, as layer_norm_backward: ds and db are sums by channel."""
    shape = batch, groups, channels // groups, inner
    x4, dy4 = x.reshape(shape), dy.reshape(shape)
    mean, rstd = mean[..., None, None], rstd[..., None, None]
    ds = torch.sum(dy4 * x4, 3, True)
    db = torch.sum(dy4, 3, True)
    dx = dweight = dbias = None
    if wanted[0]:
        gamma = None if weight is None else weight.reshape(shape[1:3])
        gamma = 1 if gamma is None else gamma[..., None]
        ds_all = torch.sum(ds * gamma, 2, True)
        db_all = torch.sum(db * gamma, 2, True)
        n = inner * shape[2]
        b = (db_all * mean - ds_all) * rstd * rstd * rstd / n
        c = -b * mean - db_all * rstd / n
        dx = (rstd * gamma * dy4 + b * x4 + c).reshape(x.shape)
    if wanted[1] and weight is not None:
        each = (ds - db * mean) * rstd
        dweight = torch.sum(each, 0).reshape(channels)
    if wanted[2]:
        dbias = torch.sum(db, 0).reshape(channels)
    return dx, dweight, dbias


def batch_norm(x, weight, bias, mean, rstd):
    """Folded: x times a factor, plus an offset, for each channel."""
    scale = rstd if weight is None else rstd * weight
    offset = -mean * scale
    if bias is not None:
        offset = offset + bias
    return x * channel(scale, x) + channel(offset, x)


def channel(x, like):
    return x.reshape(-1, *[1] * (like.ndim - 2))


def batch_norm_training(x, weight, bias, eps):
    """y, mean, rstd and the sum of squares, of the batch itself."""
    dim = [0, *range(2, x.ndim)]
    n = x.numel() // max(x.shape[1], 1)
    mean, total = moments(x, dim, keepdim=False)
    rstd = torch.rsqrt(total / n + eps)
    return batch_norm(x, weight, bias, mean, rstd), mean, rstd, total


def native_batch_norm(
    x, weight, bias, mean, var, training, momentum, eps
):
    """Also moves mean and var, the running statistics, where training."""
    if not training:
        rstd = torch.rsqrt(var + eps)
        y = batch_norm(x, weight, bias, mean, rstd)
        return y, x.new_zeros(0), x.new_zeros(0)
    y, now, rstd, total = batch_norm_training(x, weight, bias, eps)
    n = x.numel() // max(x.shape[1], 1)
    move(mean, now, momentum)
    move(var, total / (n - 1) if n > 1 else total / 0.0, momentum)
    return y, now, rstd


def move(running, now, momentum):
    if running is not None:
        running.copy_(running * (1 - momentum) + now * momentum)


def legit_no_stats(x, weight, bias, training, momentum, eps):
    return native_batch_norm(
        x, weight, bias, None, None, True, momentum, eps
    )


def native_batch_norm_legit(x, weight, bias, *rest):
    """Overloads without running statistics have three arguments left."""
    if len(rest) == 3:
        return legit_no_stats(x, weight, bias, *rest)
    return native_batch_norm(x, weight, bias, *rest)


def no_training(x, weight, bias, mean, var, momentum, eps):
    return native_batch_norm(
        x, weight, bias, mean, var, False, momentum, eps
    )


def functional(x, weight, bias, mean, var, training, momentum, eps):
    mean, var = mean.clone(), var.clone()
    y = native_batch_norm(
        x, weight, bias, mean, var, training, momentum, eps
    )
    return (*y, mean, var)


def with_update(x, weight, bias, mean, var, momentum, eps):
    y = native_batch_norm(
        x, weight, bias, mean, var, True, momentum, eps
    )
    return (*y, x.new_zeros(0, dtype=torch.uint8))


def no_update(x, weight, bias, mean, var, momentum, eps):
    y = native_batch_norm(
        x, weight, bias, mean, var, False, momentum, eps
    )
    return (*y, x.new_zeros(0, dtype=torch.uint8))


def native_batch_norm_backward(
    dy,
    x,
    weight,
    mean,
    var,
    save_mean,
    save_rstd,
    training,
    eps,
    wanted,
):
    """Centred, as every kernel met so far; dy alone where not training."""
    dim = [0, *range(2, x.ndim)]
    if training:
        mean, rstd = save_mean, save_rstd
    else:
        rstd = torch.rsqrt(var + eps)
    centred = x - channel(mean, x)
    total = torch.sum(dy, dim)
    product = torch.sum(centred * dy, dim)
    dx = dweight = dbias = None
    if wanted[0]:
        scale = rstd if weight is None else rstd * weight
        dx = dy
        if training:
            n = x.numel() // max(x.shape[1], 1)
            k = product * rstd * rstd / n
            dx = dy - channel(total / n, x) - centred * channel(k, x)
        dx = dx * channel(scale, x)
    if wanted[1] and weight is not None:
        dweight = product * rstd
    if wanted[2]:
        dbias = total
    return dx, dweight, dbias


def batch_norm_backward(
    dy,
    x,
    weight,
    mean,
    var,
    save_mean,
    save_var,
    update,
    eps,
    wanted,
    _,
):
    return native_batch_norm_backward(
        dy,
        x,
        weight,
        mean,
        var,
        save_mean,
        save_var,
        update,
        eps,
        wanted,
    )


def weight_norm(v, g, dim=0):
    """v g / |v|, the norm over every axis but `dim`."""
    others = [d for d in range(v.ndim) if d != dim % v.ndim]
    norm = torch.sqrt(torch.sum(v * v, others, True))
    return v * (g / norm), norm


def weight_norm_backward(dw, v, g, norm, dim):
    others = [d for d in range(v.ndim) if d != dim % v.ndim]
    along = torch.sum(dw * v, others, True)
    dv = (g / norm) * (dw - v * (along / (norm * norm)))
    return dv, along / norm


DECOMPOSITIONS = {
    aten.native_layer_norm: layer_norm,
    aten.native_layer_norm_backward: layer_norm_backward,
    aten.native_group_norm: group_norm,
    aten.native_group_norm_backward: group_norm_backward,
    aten.native_batch_norm: native_batch_norm,
    aten.native_batch_norm_backward: native_batch_norm_backward,
    aten._native_batch_norm_legit: native_batch_norm_legit,
    aten._native_batch_norm_legit_no_training: no_training,
    aten._native_batch_norm_legit_functional: functional,
    aten._batch_norm_with_update: with_update,
    aten._batch_norm_no_update: no_update,
    aten.batch_norm_backward: batch_norm_backward,
    aten._weight_norm_interface: weight_norm,
    aten._weight_norm_interface_backward: weight_norm_backward,
}
# overloads, since the others of these names are composed of them
DECOMPOSITIONS |= {
    aten.var.correction: variance,
    aten.var_mean.correction: var_mean,
    aten.std.correction: std,
    aten.std_mean.correction: std_mean,
}

"""Operations taken apart into those that have a rule.

Each function has the arguments and results of the operation that it
stands for, and runs under the noise. PyTorch's own decompositions serve
for what has no row here and in the other tables.
"""

import math

import torch
from torch._decomp import (
    core_aten_decompositions,
    decomposition_table,
    get_decompositions,
)

from . import attention, fourier, interpolation, norms, optimizers

aten = torch.ops.aten

# built-in layers that PyTorch does not count as composed of others
COMPOUND = [
    getattr(aten, name)
    for name in """
    gelu gelu_backward silu silu_backward
    _softmax _softmax_backward_data
    _log_softmax _log_softmax_backward_data
    """.split()
]
PYTORCH = core_aten_decompositions()
PYTORCH.update(get_decompositions(COMPOUND))
EVERY_OTHER = decomposition_table


def power(x, exponent):
    """Small whole powers, and roots, as they are computed: x x, sqrt."""
    if torch.is_tensor(exponent) or not torch.is_tensor(x):
        return NotImplemented
    ways = {
        1: lambda: x.clone(),
        2: lambda: x * x,
        3: lambda: x * x * x,
        0.5: lambda: torch.sqrt(x),
        -0.5: lambda: torch.rsqrt(x),
        -1: lambda: torch.reciprocal(x),
    }
    if exponent not in ways or not x.is_floating_point():
        return NotImplemented
    return ways[exponent]()


def absolute(x):
    """Of a complex number it is a root; else nothing is rounded."""
    if not x.is_complex():
        return NotImplemented
    return torch.hypot(torch.real(x), torch.imag(x))


def put(x, index, source, accumulate=False):
    """Indices count through all of x as if it were one row."""
    if not accumulate:
        return NotImplemented
    y = x.reshape(-1).index_add(
        0, index.reshape(-1), source.reshape(-1)
    )
    return y.reshape(x.shape)


def bincount(x, weights=None, minlength=0):
    if weights is None:
        return NotImplemented
    n = max(minlength, int(x.max()) + 1 if len(x) else 0)
    y = torch.zeros(n, dtype=weights.dtype)
    return torch.index_add(y, 0, x, weights)


def added(x, other, alpha=1):
    """x + alpha other, where the product is rounded as well."""
    return with_factor(torch.add, x, other, alpha)


def subtracted(x, other, alpha=1):
    return with_factor(torch.sub, x, other, alpha)


def subtracted_from(x, other, alpha=1):
    if abs(alpha) == 1:
        return NotImplemented
    return other - x * alpha


def with_factor(op, x, other, alpha):
    if abs(alpha) == 1 or not floats(x, other):
        return NotImplemented
    return op(x, other * alpha)


def floats(*values):
    return any(
        torch.is_tensor(v) and v.is_floating_point() for v in values
    )


def logsumexp(x, dim, keepdim=False):
    largest = torch.amax(x, dim, True)
    largest = torch.where(torch.isinf(largest), 0.0, largest)
    total = torch.sum(torch.exp(x - largest), dim, True)
    y = torch.log(total) + largest
    return y if keepdim else torch.squeeze(y, dim)


def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    """(sum |x|^p)^(1/p); the extremes are exact."""
    dim = norms.axes(x, dim)
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


def fused_rms_norm(x, shape, weight, eps):
    dim = list(range(x.ndim - len(shape), x.ndim))
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    rstd = torch.rsqrt(torch.mean(x * x, dim, True) + eps)
    y = x * rstd
    return (y if weight is None else y * weight), rstd


def fused_rms_norm_backward(dy, x, shape, rstd, weight, wanted):
    inner = list(range(x.ndim - len(shape), x.ndim))
    outer = list(range(x.ndim - len(shape)))
    scaled = dy if weight is None else dy * weight
    normal = x * rstd
    dx = dweight = None
    if wanted[0]:
        along = torch.mean(scaled * normal, inner, True)
        dx = (scaled - normal * along) * rstd
    if wanted[1] and weight is not None:
        dweight = norms.over(dy * normal, outer)
    return dx, dweight


def trilinear(a, b, c, expand1, expand2, expand3, sumdim, unroll_dim=1):
    """nn.Bilinear: the product of three, summed over `sumdim`."""
    for dims, place in ((expand1, 0), (expand2, 1), (expand3, 2)):
        for d in dims:
            a, b, c = (
                t.unsqueeze(d) if i == place else t
                for i, t in enumerate((a, b, c))
            )
    return torch.sum(a * b * c, sumdim) if sumdim else a * b * c


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


def scatter_reduce(x, dim, index, src, reduce, *, include_self=True):
    """sum, mean or prod of what `index` brings together; else exact."""
    if reduce in ("amax", "amin"):
        return NotImplemented
    if not include_self:
        neutral = 1.0 if reduce == "prod" else 0.0
        x = torch.scatter(x, dim, index, neutral)
    if reduce == "prod":
        return scattered_product(x, dim, index, src)
    total = torch.scatter_add(x, dim, index, src)
    if reduce == "sum":
        return total
    ones = torch.ones_like(x)
    if not include_self:
        ones = torch.scatter(ones, dim, index, 0.0)
    n = torch.scatter_add(ones, dim, index, torch.ones_like(src))
    return total / torch.clamp(n, min=1)


def scattered_product(x, dim, index, src):
    """One factor after the other, along `dim`."""
    y = x.clone()
    for k in range(index.shape[dim]):
        at = torch.narrow(index, dim, k, 1)
        factor = torch.narrow(src, dim, k, 1)
        factor = factor[tuple(slice(n) for n in at.shape)]
        old = torch.gather(y, dim, at)
        y = torch.scatter(y, dim, at, old * factor)
    return y


def renorm_rows(weight, indices, max_norm, norm_type):
    """Rows that are looked up are made no longer than max_norm."""
    rows = torch.unique(indices)
    chosen = torch.index_select(weight, 0, rows)
    norm = vector_norm(chosen, norm_type, -1, True)
    factor = torch.where(norm > max_norm, max_norm / (norm + 1e-7), 1.0)
    weight.index_copy_(0, rows, chosen * factor)
    return weight


def index_add(x, dim, index, source, *, alpha=1):
    if alpha == 1:
        return NotImplemented
    return torch.index_add(x, dim, index, source * alpha)


SUM, MEAN, MAX = 0, 1, 2


def embedding_bag(
    weight, indices, offsets, scale_grad_by_freq=False, mode=SUM,
    sparse=False, per_sample_weights=None, include_last_offset=False,
    padding_idx=-1,
):  # fmt: skip
    """Sums or means of the rows of each bag; the largest are exact."""
    if mode == MAX:
        return NotImplemented
    bags = len(offsets) - include_last_offset
    bag_of = bags_of(indices, offsets, include_last_offset)
    kept = indices != padding_idx
    bag = bag_of[kept]
    size = torch.bincount(bag, minlength=bags)
    rows = torch.index_select(weight, 0, indices[kept])
    if per_sample_weights is not None:
        rows = rows * per_sample_weights[kept].unsqueeze(-1)
    y = torch.zeros(bags, weight.shape[1], dtype=weight.dtype)
    y = torch.index_add(y, 0, bag, rows)
    if mode == MEAN:
        y = y / torch.clamp(size, min=1).to(y.dtype).unsqueeze(-1)
    return y, bag_of, size, size


def bags_of(indices, offsets, include_last_offset):
    """Which bag each index is in."""
    starts = offsets[:-1] if include_last_offset else offsets
    position = torch.arange(len(indices))
    return torch.searchsorted(starts, position, right=True) - 1


def embedding_bag_backward(
    dy, indices, bag_of, size, largest, num_weights, scale_grad_by_freq,
    mode, per_sample_weights, padding_idx=-1,
):  # fmt: skip
    shape = num_weights, dy.shape[1]
    if mode == MAX:
        dw = torch.zeros(shape, dtype=dy.dtype)
        empty = (size == 0).unsqueeze(-1) | (largest < 0)
        index = torch.where(empty, 0, largest)
        each = torch.where(empty, 0.0, dy)
        return torch.scatter_add(dw, 0, index, each)
    kept = indices != padding_idx
    bag, row = bag_of[kept], indices[kept]
    each = torch.index_select(dy, 0, bag)
    if mode == MEAN:
        n = torch.bincount(bag, minlength=len(dy)).to(dy.dtype)
        each = each / torch.index_select(n, 0, bag).unsqueeze(-1)
    if per_sample_weights is not None:
        each = each * per_sample_weights[kept].unsqueeze(-1)
    if scale_grad_by_freq:
        n = torch.bincount(row, minlength=num_weights).to(dy.dtype)
        each = each / torch.index_select(n, 0, row).unsqueeze(-1)
    dw = torch.zeros(shape, dtype=dy.dtype)
    return torch.index_add(dw, 0, row, each)


def bag_backward(
    dy, indices, offsets, bag_of, size, largest, num_weights,
    scale_grad_by_freq, mode, sparse, per_sample_weights, padding_idx=-1,
):  # fmt: skip
    """A dense gradient, also where PyTorch's is sparse."""
    return embedding_bag_backward(
        dy, indices, bag_of, size, largest, num_weights,
        scale_grad_by_freq, mode, per_sample_weights, padding_idx,
    )  # fmt: skip


def bag_frequencies(dy, indices, offsets, *rest):
    """PyTorch 2.13 divides by how often another row was looked up."""
    scale_grad_by_freq = rest[4]
    if not scale_grad_by_freq:
        return NotImplemented
    return bag_backward(dy, indices, offsets, *rest)


def sample_weights_backward(
    dy, weight, indices, offsets, bag_of, mode, padding_idx=-1
):
    rows = torch.index_select(weight, 0, indices)
    each = torch.index_select(dy, 0, bag_of)
    d = torch.sum(rows * each, -1)
    return torch.where(indices == padding_idx, 0.0, d)


def hardsigmoid_backward(dy, x):
    """PyTorch 2.13 multiplies by a float32 1/6 in float64 too."""
    return torch.where((x > -3) & (x < 3), dy * (1 / 6), 0.0)


def logit_backward(dy, x, eps=None):
    low = 0.0 if eps is None else eps
    inside = (x >= low) & (x <= 1 - low)
    outside = math.nan if eps is None else 0.0
    return torch.where(inside, dy / (x * (1 - x)), outside)


def prelu_backward(dy, x, weight):
    """Gradients of x and of the slope, one element each."""
    slope = torch.where(x > 0, 1.0, weight)
    return dy * slope, torch.where(x > 0, 0.0, x * dy)


def rrelu(x, noise, lower=0.125, upper=1 / 3, training=False, _=None):
    if training:
        return NotImplemented
    return torch.where(x <= 0, x * ((lower + upper) / 2), x)


def multi_margin_backward(
    dy, x, target, p, margin, weight=None, reduction=1
):
    rows = x.reshape(-1, x.shape[-1])
    target = target.reshape(-1, 1)
    away = margin - torch.gather(rows, 1, target) + rows
    slope = (away > 0).to(x.dtype)
    if p == 2:
        slope = slope * away * 2
    slope = torch.scatter(slope, 1, target, 0.0)
    if weight is not None:
        slope = slope * weight[target]
    slope = slope / rows.shape[1]
    own = -torch.sum(slope, 1, True)
    slope = torch.scatter(slope, 1, target, own)
    if reduction == 1:
        slope = slope / len(rows)
    dy = dy.reshape(-1, 1) if dy.ndim else dy
    return (slope * dy).reshape(x.shape)


def labels(x, target):
    """Rows of x, labels before the first -1, and a mask of them."""
    rows = x.reshape(-1, x.shape[-1])
    target = target.reshape(rows.shape)
    label = (torch.cumsum((target < 0).long(), 1) == 0).to(x.dtype)
    return rows, torch.clamp(target, min=0), label


def margins(rows, index, label, other):
    """1 - x[label] + x[class] of each label and class that is none."""
    own = torch.gather(rows, 1, index)
    away = 1 - own.unsqueeze(2) + rows.unsqueeze(1)
    pairs = label.unsqueeze(2) * other.unsqueeze(1)
    return torch.relu(away) * pairs, (away > 0).to(rows.dtype) * pairs


def multilabel_margin(x, target, reduction):
    rows, index, label = labels(x, target)
    named = torch.zeros_like(rows)
    named = torch.scatter_add(named, 1, index, label) > 0
    away, _ = margins(rows, index, label, 1 - named.to(x.dtype))
    y = torch.sum(away, [1, 2]) / rows.shape[1]
    y = (y if x.ndim > 1 else y[0], torch.mean(y), torch.sum(y))
    return y[reduction], named.to(x.dtype).reshape(x.shape)


def multilabel_margin_backward(dy, x, target, reduction, is_target):
    """Every label of a row pushes away every class that is none."""
    rows, index, label = labels(x, target)
    other = 1 - is_target.reshape(rows.shape).to(x.dtype)
    _, push = margins(rows, index, label, other)
    dx = torch.sum(push, 1)
    dx = torch.scatter_add(dx, 1, index, -torch.sum(push, 2) * label)
    dx = dx / rows.shape[1]
    if reduction == 1:
        dx = dx / len(rows)
    dy = dy.reshape(-1, 1) if dy.ndim else dy
    return (dx * dy).reshape(x.shape)


def convolution_backward(dy, x, weight, sizes, *options):
    *options, wanted = options
    if not wanted[2]:
        return NotImplemented
    dx = dweight = None
    if wanted[0] or wanted[1]:
        dx, dweight, _ = aten.convolution_backward(
            dy, x, weight, None, *options, [*wanted[:2], False]
        )
    return dx, dweight, torch.sum(dy, [0, *range(2, dy.ndim)])


OWN = {
    aten.abs: absolute,
    aten.put: put,
    aten.bincount: bincount,
    aten.add: added,
    aten.sub: subtracted,
    aten.rsub: subtracted_from,
    aten.pow: power,
    aten.logsumexp: logsumexp,
    aten.linalg_vector_norm: vector_norm,
    aten._fused_rms_norm: fused_rms_norm,
    aten._fused_rms_norm_backward: fused_rms_norm_backward,
    aten._trilinear: trilinear,
    aten._cdist_forward: cdist,
    aten._cdist_backward: cdist_backward,
    aten._pdist_forward: pdist,
    aten._pdist_backward: pdist_backward,
    aten.scatter_reduce: scatter_reduce,
    aten.index_add: index_add,
    aten.embedding_renorm_: renorm_rows,
    aten._embedding_bag: embedding_bag,
    aten._embedding_bag_forward_only: embedding_bag,
    aten._embedding_bag_backward: bag_backward,
    aten._embedding_bag_dense_backward: embedding_bag_backward,
    aten._embedding_bag_per_sample_weights_backward: (
        sample_weights_backward
    ),
    aten.hardsigmoid_backward: hardsigmoid_backward,
    aten.logit_backward: logit_backward,
    aten._prelu_kernel_backward: prelu_backward,
    aten.rrelu_with_noise: rrelu,
    aten.multi_margin_loss_backward: multi_margin_backward,
    aten.multilabel_margin_loss_forward: multilabel_margin,
    aten.multilabel_margin_loss_backward: multilabel_margin_backward,
    aten.convolution_backward: convolution_backward,
    **attention.DECOMPOSITIONS,
    **fourier.DECOMPOSITIONS,
    **interpolation.DECOMPOSITIONS,
    **norms.DECOMPOSITIONS,
    **optimizers.DECOMPOSITIONS,
}

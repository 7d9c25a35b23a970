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

from . import (
    attention,
    bags,
    distances,
    fourier,
    interpolation,
    losses,
    norms,
    optimizers,
)

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


def index_add(x, dim, index, source, *, alpha=1):
    if alpha == 1:
        return NotImplemented
    return torch.index_add(x, dim, index, source * alpha)


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
    aten._fused_rms_norm: fused_rms_norm,
    aten._fused_rms_norm_backward: fused_rms_norm_backward,
    aten._trilinear: trilinear,
    aten.scatter_reduce: scatter_reduce,
    aten.index_add: index_add,
    aten.hardsigmoid_backward: hardsigmoid_backward,
    aten.logit_backward: logit_backward,
    aten._prelu_kernel_backward: prelu_backward,
    aten.rrelu_with_noise: rrelu,
    aten.convolution_backward: convolution_backward,
    **attention.DECOMPOSITIONS,
    **bags.DECOMPOSITIONS,
    **distances.DECOMPOSITIONS,
    **fourier.DECOMPOSITIONS,
    **interpolation.DECOMPOSITIONS,
    **losses.DECOMPOSITIONS,
    **norms.DECOMPOSITIONS,
    **optimizers.DECOMPOSITIONS,
}

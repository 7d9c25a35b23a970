"""Rounding of functions of single elements, in units of u.

ulps |y| / sqrt 3: the error of a result within `ulps` units in its last
place, uniform as rounding errors are. A function that PyTorch composes
of others (silu, mish, lerp, ...) has no row: it is decomposed.
"""

import math

import torch

STEP = 2.0**-24  # the u of the sampling; small enough to stay linear
HELD = 1 / STEP  # every integer up to it is a float32
MASK = 2.0**127  # the largest float32s are masks that hide others

aten = torch.ops.aten

# ulps that good vector libraries allow
ULPS = {
    aten.add: 1,
    aten.sub: 1,
    aten.rsub: 1,
    aten.mul: 1,
    aten.div: 1,
    aten.reciprocal: 1,
    aten.sqrt: 1,
    aten.exp: 4,
    aten.log: 4,
    aten.sin: 4,
    aten.cos: 4,
    aten.tanh: 6,
    aten.sigmoid: 6,
    aten.erf: 6,
    aten.rsqrt: 2,
    aten.square: 1,
    aten.exp2: 4,
    aten.expm1: 6,
    aten.log1p: 4,
    aten.log2: 4,
    aten.log10: 4,
    aten.tan: 6,
    aten.asin: 6,
    aten.acos: 6,
    aten.atan: 6,
    aten.atan2: 6,
    aten.sinh: 6,
    aten.cosh: 6,
    aten.asinh: 6,
    aten.acosh: 6,
    aten.atanh: 6,
    aten.erfc: 8,
    aten.erfinv: 8,
    aten.hypot: 4,
    aten.angle: 6,
    aten.sgn: 4,
    aten.polar: 6,
    aten.pow: 8,
    aten.lgamma: 8,
    aten.digamma: 8,
    aten.polygamma: 16,
    aten.special_erfcx: 8,
    aten.special_ndtri: 8,
    aten.special_i0e: 8,
    aten.special_i1: 8,
    aten.special_i1e: 8,
    aten.i0: 8,
    aten.special_entr: 6,
}
ADDITIONS = (aten.add, aten.sub, aten.rsub)


def uniform(y, ulps=1):
    """Of one result that is rounded once, or within `ulps` of it."""
    return ulps * y.abs() / math.sqrt(3)


def power_of_two(value):
    """Where a factor is +-2^k, so that multiplying by it is exact."""
    if isinstance(value, torch.Tensor):
        if value.is_complex():
            return torch.zeros_like(value, dtype=torch.bool)
        return torch.frexp(value.abs()).mantissa == 0.5
    if isinstance(value, complex):
        return False
    return math.frexp(abs(value))[0] == 0.5


def integer(value):
    if isinstance(value, torch.Tensor):
        if value.is_complex():
            return torch.zeros_like(value, dtype=torch.bool)
        return value == torch.round(value)
    real = not isinstance(value, complex) and math.isfinite(value)
    return torch.as_tensor(real and value == round(value))


def where_not(exact, noise):
    return torch.where(exact, torch.zeros_like(noise), noise)


def sum_of_two_noise(y, a, b, alpha=1, **_):
    """One rounding; none of integers that the precision holds.

    A rounded sum is no further from a + b than a or b is, so that a
    mask (-3e38) that swallows a number errs by that number only.
    """
    noise = uniform(y)
    exact = integer(a) & integer(b) & (y.abs() <= HELD)
    noise = where_not(exact, noise)
    mask = (y.abs() >= MASK) & (y.abs() < 2 * MASK)
    if not bool(mask.any()):
        return noise
    smaller = torch.minimum(magnitude(a, y), magnitude(b, y)) / STEP
    return torch.where(mask, torch.minimum(noise, smaller), noise)


def magnitude(value, like):
    return torch.as_tensor(value, dtype=like.dtype).abs()


def scaling_noise(y, a, b, rounding_mode=None, **_):
    """Of a / b, and of a b where only b may be a power of two."""
    if rounding_mode is not None:
        return None  # an integer
    inexact = uniform(y)
    free = power_of_two(b)
    if torch.is_tensor(free):
        return torch.where(free, torch.zeros_like(inexact), inexact)
    return torch.zeros_like(inexact) if free else inexact


def reciprocal_noise(y, a, **_):
    return scaling_noise(y, y, a)


def product_noise(y, a, b, **_):
    noise = scaling_noise(y, a, b)
    if not torch.is_tensor(b) and rounded(b):
        return noise  # a constant that is rounded itself, such as 1/255
    return torch.minimum(noise, scaling_noise(y, b, a))


def rounded(constant):
    """Whether a Python number is none of float32's."""
    if isinstance(constant, complex):
        return True
    return math.frexp(constant)[0] / STEP % 1 != 0


def square_noise(y, a, **_):
    return product_noise(y, a, a)


def gamma_noise(y, a, **_):
    """Near its zeros lgamma or digamma is a difference of numbers of 1."""
    return uniform(torch.clamp(y.abs(), min=1), 8)


def polygamma_noise(y, n, a, **_):
    return uniform(torch.clamp(y.abs(), min=1), 16)


RULES = {
    aten.add: sum_of_two_noise,
    aten.sub: sum_of_two_noise,
    aten.rsub: sum_of_two_noise,
    aten.mul: product_noise,
    aten.div: scaling_noise,
    aten.reciprocal: reciprocal_noise,
    aten.square: square_noise,
    aten.lgamma: gamma_noise,
    aten.digamma: gamma_noise,
    aten.polygamma: polygamma_noise,
}

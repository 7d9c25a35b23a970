"""rfft: the discrete Fourier transform that MXNet lacks on the CPU.

rfft(x) -> re, im of X_f = sum_n x_n exp(-2 pi i f n / N), f <= N/2
in float32 or float64; x (..., N), results (..., F). Differentiable.

N = p m is split as Cooley and Tukey do: p transforms of length m, a
turn, m transforms of length p. Matrix products with one basis of N
angles, the plain way, pass through sums far above the result: 68 sigma
at N = 1000 where x has a mean of 17. The angles are reduced as
integers, (f n) mod N, and their cosines taken in extended precision: in
float32 they would cost 7e-5 at N = 1000 (mxnet 1.9.1).

Ref: Cooley, Tukey 1965, Math. Comput. 19, 297
"""

# region imports
import functools

import numpy
from mxnet import np

# endregion

RADIX = 8  # the largest p, unless N has no factor as small
BLOCK = 64


# region function
def rfft(x):
    length, half = x.shape[-1], x.shape[-1] // 2 + 1
    if factor(length) == length:
        re, im = (product(x, w) for w in basis(length, half, x.dtype))
    else:
        re, im = fft(x, np.zeros_like(x))
    zero = np.zeros_like(x[..., :1])  # im X_0 and im X_N/2, NaN or not
    inner = [im[..., 1 : (length + 1) // 2]] if length > 2 else []
    last = [zero] if length % 2 == 0 else []
    im = np.concatenate([zero, *inner, *last], axis=-1)
    return re[..., :half], im  # ... F


def fft(re, im):
    """All N coefficients of a complex x, over the last axis."""
    length = re.shape[-1]
    p = factor(length)
    if p == length:
        return turned(re, im, product, basis(p, p, re.dtype))
    parts = *re.shape[:-1], length // p, p

    def split(x):
        return np.swapaxes(np.reshape(x, parts), -1, -2)  # ... p m

    re, im = fft(split(re), split(im))
    turn = basis(p, length // p, re.dtype, length)
    re, im = turned(re, im, np.multiply, turn)
    re, im = np.swapaxes(re, -1, -2), np.swapaxes(im, -1, -2)
    re, im = turned(re, im, product, basis(p, p, re.dtype))
    whole = *re.shape[:-2], length
    re, im = np.swapaxes(re, -1, -2), np.swapaxes(im, -1, -2)
    return np.reshape(re, whole), np.reshape(im, whole)


def turned(re, im, times, wave):
    """(re + i im) times (cos + i sin)"""
    c, s = wave
    return (
        times(re, c) - times(im, s),
        times(re, s) + times(im, c),
    )


def product(x, w):
    """x @ w, block by block, both ways: no sum is one long chain."""
    n, f = (range(0, size, BLOCK) for size in w.shape)
    flat = np.reshape(x, (-1, len(w)))
    columns = [
        sum(
            np.matmul(
                flat[:, i : i + BLOCK], w[i : i + BLOCK, j : j + BLOCK]
            )
            for i in n
        )
        for j in f
    ]
    y = np.concatenate(columns, axis=-1)
    return np.reshape(y, (*x.shape[:-1], w.shape[1]))


def factor(length: int):
    """The largest p <= RADIX that divides it, or its smallest prime."""
    few = [p for p in range(2, RADIX + 1) if length % p == 0]
    more = (p for p in range(2, length) if length % p == 0)
    return few[-1] if few else next(more, length)


@functools.lru_cache(maxsize=64)
def basis(rows: int, columns: int, dtype, length: int = 0):
    """cos and -sin of 2 pi n f / length, n < rows, which length is."""
    turn = 8 * numpy.arctan(numpy.longdouble(1))  # 2 pi
    length = length or rows
    angles = turn * numpy.arange(length) / length
    k = numpy.arange(rows)[:, None] * numpy.arange(columns) % length
    waves = numpy.cos(angles)[k], -numpy.sin(angles)[k]
    return [np.array(wave, numpy.dtype(dtype).name) for wave in waves]


# endregion

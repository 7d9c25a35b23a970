"""rfft: the discrete Fourier transform that MXNet lacks on the CPU.

rfft(x) -> re, im of X_f = sum_n x_n exp(-2 pi i f n / N), f <= N/2
by matrix products with a cosine and a sine basis; x (..., N) in
float32 or float64, results (..., F). Differentiable, O(N F).

The angles are reduced as integers, (f n) mod N, and their cosines taken
in extended precision: in float32 they would cost 7e-5 at N = 1000 (mxnet
1.9.1). The products go in blocks both ways, so that neither the sum over
n nor that over f in the backward pass is one long chain of roundings.
"""

# region imports
import functools

import numpy
from mxnet import np

# endregion

BLOCK = 64


# region function
def rfft(x):
    length = x.shape[-1]
    re, im = basis(length, numpy.dtype(x.dtype).name)
    zero = np.zeros_like(x[..., :1])  # im X_0 and im X_N/2, NaN or not
    parts = [zero] if length < 3 else [zero, product(x, im)]
    parts += [zero] if length % 2 == 0 else []
    return product(x, re), np.concatenate(parts, axis=-1)  # ... F


@functools.lru_cache(maxsize=4)
def basis(length: int, precision: str):
    turn = 8 * numpy.arctan(numpy.longdouble(1))  # 2 pi
    angles = turn * numpy.arange(length) / length
    n = numpy.arange(length)[:, None]
    f = numpy.arange(length // 2 + 1)
    k = n * f % length  # N F
    inner = k[:, 1 : (length + 1) // 2]
    waves = numpy.cos(angles)[k], -numpy.sin(angles)[inner]
    return [np.array(wave, precision) for wave in waves]


def product(x, w):
    """x @ w, block by block."""
    rows = [slice(i, i + BLOCK) for i in range(0, w.shape[0], BLOCK)]
    columns = [slice(i, i + BLOCK) for i in range(0, w.shape[1], BLOCK)]
    blocks = [
        sum(np.matmul(x[..., n], w[n, f]) for n in rows)
        for f in columns
    ]
    return np.concatenate(blocks, axis=-1)


# endregion

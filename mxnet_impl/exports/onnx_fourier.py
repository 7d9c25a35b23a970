"""half_spectrum as nodes of ONNX: the transform of fourier.py again.

ONNX has an operator DFT. onnxruntime 1.31.1 computes it in float32 with
an error that grows with the length unless that is a power of two: at
N = 1000 it is 3.6e-4 of the size of the result, where this has 1e-7. So
the graph has the short matrix products of fourier.py, which see; the
length N is that of the example, all leading axes may be dynamic.
"""

# region imports
import numpy

from mxnet_impl.fourier import basis, factor

# endregion


# region function
def half_spectrum(g, x):
    *lead, _ = g.shapes[x]
    length = g.size(x, len(lead))
    flat = g.Reshape(x, numpy.array([-1, length]))
    zeros = g.Mul(flat, 0.0)
    re, im = fft(g, flat, zeros, length)
    half = numpy.arange(length // 2 + 1)
    # of a real signal im X_0 and im X_N/2 are 0
    inner = (half > 0) & (2 * half < length)
    re, im = (g.Gather(part, half, axis=1) for part in (re, im))
    im = g.Where(inner, im, 0.0)
    pairs = [g.Unsqueeze(part, [2]) for part in (re, im)]
    y = g.Concat(*pairs, axis=2)
    ends = [len(half), 2]
    if not lead:
        return g.Reshape(y, ends)
    start = g.Shape(x, end=len(lead))
    return g.Reshape(y, g.Concat(start, ends, axis=0))  # ... F 2


def fft(g, re, im, length):
    """(-1, length), all coefficients of a complex x."""
    p = factor(length)
    if p == length:
        return turned(g, re, im, g.MatMul, basis(p, p, g.dtype))
    m = length // p

    def rows(x, n, k):
        """(-1, n k) or (-1, k), read as n x k, its columns as rows."""
        x = g.Transpose(g.Reshape(x, [-1, n, k]), perm=[0, 2, 1])
        return g.Reshape(x, [-1, n])

    re, im = fft(g, rows(re, m, p), rows(im, m, p), m)
    turn = basis(p, m, g.dtype, length)
    re, im = (g.Reshape(x, [-1, p, m]) for x in (re, im))
    re, im = turned(g, re, im, g.Mul, turn)
    re, im = rows(re, p, m), rows(im, p, m)
    re, im = turned(g, re, im, g.MatMul, basis(p, p, g.dtype))

    re, im = rows(re, m, p), rows(im, m, p)
    return tuple(g.Reshape(x, [-1, length]) for x in (re, im))


def turned(g, re, im, times, wave):
    """(re + i im) times (cos + i sin)"""
    c, s = wave
    return (
        g.Sub(times(re, c), times(im, s)),
        g.Add(times(re, s), times(im, c)),
    )


# endregion

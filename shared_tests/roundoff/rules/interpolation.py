"""Interpolation and sampling of grids: weights and positions round too.

Along one axis an output is a sum of taps: w_t x[i_t]. The weights are
computed under the noise, from the source position (i + 1/2) size / out -
1/2, so that a position far from 0 errs by more, as in every framework.
The gradient adds w_t dy at i_t. Axes come one after the other.
"""

import torch

aten = torch.ops.aten


def ratio(size, out, align_corners, scale):
    if align_corners:
        return (size - 1) / (out - 1) if out > 1 else 0.0
    return 1 / scale if scale is not None and scale > 0 else size / out


def positions(size, out, align_corners, scale, cubic=False):
    """Where each output lies among the inputs, a float64 tensor."""
    i = torch.arange(out, dtype=torch.float64)
    r = ratio(size, out, align_corners, scale)
    if align_corners:
        return i * r
    at = (i + 0.5) * r - 0.5
    return at if cubic else torch.clamp(at, min=0)


def linear_taps(size, out, align_corners, scale):
    """[(index, weight)], each of length `out`."""
    at = positions(size, out, align_corners, scale)
    low = torch.clamp(torch.floor(at), max=size - 1)
    high = torch.clamp(low + 1, max=size - 1)
    part = torch.clamp(at - low, 0, 1)
    return [(low.long(), 1 - part), (high.long(), part)]


def cubic_weights(t):
    """Of the taps at -1, 0, 1, 2 for a position t in [0, 1).

    Ref: Keys 1981, Cubic convolution interpolation, with a = -0.75
    """
    a = -0.75

    def near(d):  # |d| <= 1
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d):  # 1 < |d| < 2
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def cubic_taps(size, out, align_corners, scale):
    at = positions(size, out, align_corners, scale, cubic=True)
    low = torch.floor(at)
    weights = cubic_weights(at - low)
    return [
        (torch.clamp(low.long() + shift, 0, size - 1), weight)
        for shift, weight in zip((-1, 0, 1, 2), weights)
    ]


def along(weight, axis, ndim):
    return weight.reshape([-1 if d == axis else 1 for d in range(ndim)])


def resample(x, taps, axis):
    total = None
    for index, weight in taps:
        part = torch.index_select(x, axis, index)
        part = part * along(weight.to(x.dtype), axis, x.ndim)
        total = part if total is None else total + part
    return total


def resample_backward(dy, taps, axis, size):
    shape = list(dy.shape)
    shape[axis] = size
    index = torch.cat([index for index, _ in taps])
    parts = [dy * along(w, axis, dy.ndim) for _, w in taps]
    dx = torch.zeros(shape, dtype=dy.dtype)
    return torch.index_add(dx, axis, index, torch.cat(parts, axis))


def upsample(taps_of, dims):
    def forward(x, size, align_corners, *scales):
        # an overload with the name vec is composed of this one
        y = x
        for axis, out, scale in axes(x, size, scales, dims):
            if out != x.shape[axis] or not align_corners:
                taps = taps_of(x.shape[axis], out, align_corners, scale)
                y = resample(y, taps, axis)
        return y

    return forward


def axes(x, size, scales, dims):
    scales = [*scales, *[None] * (dims - len(scales))]
    return [
        (x.ndim - dims + d, size[d], scales[d]) for d in range(dims)
    ]


def upsample_backward(taps_of, dims):
    def backward(dy, size, shape, align_corners, *scales):
        dx = dy
        for axis, out, scale in axes(dy, size, scales, dims):
            taps = taps_of(shape[axis], out, align_corners, scale)
            dx = resample_backward(dx, taps, axis, shape[axis])
        return dx

    return backward


DECOMPOSITIONS = {
    aten.upsample_linear1d.default: upsample(linear_taps, 1),
    aten.upsample_bilinear2d.default: upsample(linear_taps, 2),
    aten.upsample_trilinear3d.default: upsample(linear_taps, 3),
    aten.upsample_bicubic2d.default: upsample(cubic_taps, 2),
    aten.upsample_linear1d_backward.default: upsample_backward(
        linear_taps, 1
    ),
    aten.upsample_bilinear2d_backward.default: upsample_backward(
        linear_taps, 2
    ),
    aten.upsample_trilinear3d_backward.default: upsample_backward(
        linear_taps, 3
    ),
    aten.upsample_bicubic2d_backward.default: upsample_backward(
        cubic_taps, 2
    ),
}

"""The kernels of lsq_triton: see there, and rounding.py.

u = x inv; a step that is not positive gives NaN
lsq_kernel            y = step round(clip(u))
lsq_backward_kernel   dx = dy where qmin < u < qmax, else 0
                      partial = sum dy d, d = round(u) - u where
                      qmin < u < qmax, else clip(u): one sum for each
                      row, or column, of a tile

_ptr is in HBM, other names are in registers.
"""

# region imports
import triton
import triton.language as tl

from pytorch_impl.kernels.rounding import (
    channel,
    clipped,
    nearest,
    numbers,
    scaled,
    tile,
)

# endregion


# region function
@triton.jit
def lsq_kernel(
    x_ptr,
    step_ptr,
    y_ptr,
    M,
    K,
    stride,
    channels,
    inner,
    QMIN: tl.constexpr,
    QMAX: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    down, across = tile(K, BLOCK_K)
    m, k, there = numbers(down, across, M, K, BLOCK_M, BLOCK_K)
    step = tl.load(step_ptr + channel(m, k, channels, inner, ROWS))
    step = tl.where(step > 0, step, float("nan"))
    x = tl.load(x_ptr + m * stride + k, there, 0).to(tl.float32)
    u = clipped(scaled(x, step), QMIN, QMAX)
    tl.store(y_ptr + m * stride + k, nearest(u) * step, there)


@triton.jit
def lsq_backward_kernel(
    dy_ptr,
    x_ptr,
    step_ptr,
    dx_ptr,
    partial_ptr,
    M,
    K,
    stride,
    channels,
    inner,
    QMIN: tl.constexpr,
    QMAX: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    down, across = tile(K, BLOCK_K)
    m, k, there = numbers(down, across, M, K, BLOCK_M, BLOCK_K)
    step = tl.load(step_ptr + channel(m, k, channels, inner, ROWS))
    step = tl.where(step > 0, step, float("nan"))
    x = tl.load(x_ptr + m * stride + k, there, 0).to(tl.float32)
    dy = tl.load(dy_ptr + m * stride + k, there, 0)
    u = scaled(x, step)
    inside = (u > QMIN) & (u < QMAX)
    dx = tl.where(inside, dy, 0.0)
    tl.store(dx_ptr + m * stride + k, dx, there)
    d = tl.where(inside, nearest(u) - u, clipped(u, QMIN, QMAX))
    terms = dy.to(tl.float32) * d
    if ROWS:
        partial = tl.sum(terms, axis=1, keep_dims=True)
        tl.store(partial_ptr + across * M + m, partial, m < M)
    else:
        partial = tl.sum(terms, axis=0, keep_dims=True)
        tl.store(partial_ptr + down * K + k, partial, k < K)


# endregion

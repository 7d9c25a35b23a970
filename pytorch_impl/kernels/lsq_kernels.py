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
    offset,
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
    across,
    channels,
    inner,
    QMIN: tl.constexpr,
    QMAX: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_K: tl.constexpr,
    WIDE: tl.constexpr,
):
    i, j = tile(across, WIDE)
    m, k, there = numbers(i, j, M, K, BLOCK_M, BLOCK_K)
    at = offset(m, k, K)
    step = tl.load(step_ptr + channel(m, k, channels, inner, ROWS))
    step = tl.where(step > 0, step, float("nan"))
    x = tl.load(x_ptr + at, there, 0).to(tl.float32)
    u = clipped(scaled(x, step), QMIN, QMAX)
    tl.store(y_ptr + at, nearest(u) * step, there)


@triton.jit
def lsq_backward_kernel(
    dy_ptr,
    x_ptr,
    step_ptr,
    dx_ptr,
    partial_ptr,
    M,
    K,
    across,
    channels,
    inner,
    QMIN: tl.constexpr,
    QMAX: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_K: tl.constexpr,
    WIDE: tl.constexpr,
):
    i, j = tile(across, WIDE)
    m, k, there = numbers(i, j, M, K, BLOCK_M, BLOCK_K)
    at = offset(m, k, K)
    step = tl.load(step_ptr + channel(m, k, channels, inner, ROWS))
    step = tl.where(step > 0, step, float("nan"))
    x = tl.load(x_ptr + at, there, 0).to(tl.float32)
    dy = tl.load(dy_ptr + at, there, 0)
    u = scaled(x, step)
    inside = (u > QMIN) & (u < QMAX)
    dx = tl.where(inside, dy, 0.0)
    tl.store(dx_ptr + at, dx, there)
    d = tl.where(inside, nearest(u) - u, clipped(u, QMIN, QMAX))
    terms = dy.to(tl.float32) * d
    if ROWS:
        partial = tl.sum(terms, axis=1, keep_dims=True)
        tl.store(partial_ptr + offset(j, m, M), partial, m < M)
    else:
        partial = tl.sum(terms, axis=0, keep_dims=True)
        tl.store(partial_ptr + offset(i, k, K), partial, k < K)


# endregion

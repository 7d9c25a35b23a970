"""The kernels of fake_quantize_triton: see there, and rounding.py.

code = round(x inv) + zero_point
fake_quantize_kernel            y = (clip(code) - zero_point) scale
                                and mask: is qmin <= code <= qmax?
fake_quantize_backward_kernel   dx = dy where mask, else 0

_ptr is in HBM, other names are in registers. A row of K bits of the
mask fills row_bytes, the first in the lowest bit.
"""

# region imports
import triton
import triton.language as tl

from pytorch_impl.kernels.rounding import (
    channel,
    clipped,
    numbers,
    offset,
    tile,
    unclipped_code,
)

# endregion


# region function
@triton.jit
def fake_quantize_kernel(
    x_ptr,
    scale_ptr,
    zero_point_ptr,
    y_ptr,
    mask_ptr,
    M,
    K,
    across,
    row_bytes,
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
    c = channel(m, k, channels, inner, ROWS)
    scale = tl.load(scale_ptr + c)
    zero_point = tl.load(zero_point_ptr + c).to(tl.float32)
    x = tl.load(x_ptr + at, there, 0).to(tl.float32)
    code = unclipped_code(x, scale, zero_point)
    y = (clipped(code, QMIN, QMAX) - zero_point) * scale
    tl.store(y_ptr + at, y, there)
    inside = (code >= QMIN) & (code <= QMAX) & there
    bits = tl.reshape(inside.to(tl.int32), (BLOCK_M, BLOCK_K // 8, 8))
    byte = tl.sum(bits << tl.arange(0, 8)[None, None, :], axis=2)
    m, k, there = numbers(i, j, M, row_bytes, BLOCK_M, BLOCK_K // 8)
    at = offset(m, k, row_bytes)
    tl.store(mask_ptr + at, byte.to(tl.uint8), there)


@triton.jit
def fake_quantize_backward_kernel(
    dy_ptr,
    mask_ptr,
    dx_ptr,
    M,
    K,
    across,
    row_bytes,
    BLOCK_M: tl.constexpr,
    BLOCK_K: tl.constexpr,
    WIDE: tl.constexpr,
):
    i, j = tile(across, WIDE)
    m, k, there = numbers(i, j, M, K, BLOCK_M, BLOCK_K)
    at = offset(m, k, K)
    byte = tl.load(mask_ptr + offset(m, k // 8, row_bytes), there, 0)
    inside = (byte.to(tl.int32) >> (k % 8).to(tl.int32)) & 1
    dy = tl.load(dy_ptr + at, there, 0)
    dx = tl.where(inside == 1, dy, 0.0)
    tl.store(dx_ptr + at, dx, there)


# endregion

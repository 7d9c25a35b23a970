"""quantize, on the GPU: x is read once, its codes written once.

Ladder: fake_quantize -> kernels/quantize_triton
u_i = x_i inv, inv = 1 / scale rounded once; ties go to the even one
code_i = clip(round(u_i) + zero_point, qmin, qmax)

Axes:   as fake_quantize; x of float16 or bfloat16 is widened to float32,
        where its codes are defined
Raises: as fake_quantize, but TypeError if x is not of float32, float16
        or bfloat16, or scale not of float32
Ref:    Jacob et al. 2018, CVPR, eq. 12
"""

# region imports
import torch
import triton
import triton.language as tl

from pytorch_impl.checks import check_input
from pytorch_impl.kernels.fake_quantize_plain import plain_codes
from pytorch_impl.kernels.operators import on_device, operator
from pytorch_impl.kernels.rounding import (
    channel,
    clipped,
    numbers,
    offset,
    tile,
    unclipped_code,
)
from pytorch_impl.kernels.tiles import (
    check_tiled,
    readable,
    start,
    tiles_of,
)
from pytorch_impl.quantization.codes import code_range

# endregion


# region function
GIVEN = (
    "Tensor x, Tensor scale, Tensor zero_point, int qmin, int qmax, "
    "int? axis"
)


@triton.jit
def quantize_kernel(
    x_ptr,
    scale_ptr,
    zero_point_ptr,
    code_ptr,
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
    c = channel(m, k, channels, inner, ROWS)
    scale = tl.load(scale_ptr + c)
    zero_point = tl.load(zero_point_ptr + c).to(tl.float32)
    x = tl.load(x_ptr + at, there, 0).to(tl.float32)
    x = tl.where(x == x, x, 0.0)  # NaN: as 0
    code = unclipped_code(x, scale, zero_point)
    code = clipped(code, QMIN, QMAX).to(tl.int32)
    tl.store(code_ptr + at, code, there)


@operator(
    "pytorch_impl::quantize",
    f"({GIVEN}) -> Tensor",
    lambda x, *_: x.new_empty(x.shape, dtype=torch.int32),
)
def codes(x, scale, zero_point, qmin, qmax, axis):
    if not on_device(x):
        return plain_codes(x, scale, zero_point, qmin, qmax, axis)
    x, tiles = readable(x), tiles_of(x, axis)
    y = x.new_empty(x.shape, dtype=torch.int32)
    qparams = scale.contiguous(), zero_point.contiguous()
    rest = tiles.steps | dict(QMIN=qmin, QMAX=qmax)
    start(quantize_kernel, tiles, x, *qparams, y, **rest)
    return y


def prepared(caller, x, scale, zero_point, axis):
    check_tiled(caller, x, scale, axis, "scale")
    check_input(caller, zero_point, "...", ["int32"], "zero_point")
    if zero_point.shape != scale.shape:
        want, got = tuple(scale.shape), tuple(zero_point.shape)
        raise ValueError(
            f"{caller}: zero_point expected shape {want}, got {got}"
        )
    return x, scale, zero_point


def quantize_triton(
    x,
    scale,
    zero_point,
    bits: int = 8,
    signed: bool = True,
    axis=None,
    narrow_range: bool = False,
):
    bounds = code_range(bits, signed, narrow_range)
    given = prepared("quantize_triton", x, scale, zero_point, axis)
    return codes(*given, *bounds, axis)


# endregion

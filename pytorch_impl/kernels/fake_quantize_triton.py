"""fake_quantize, on the GPU: x is read once, y written once.

Ladder: fake_quantize -> kernels/fake_quantize_triton
u_i = x_i inv, inv = 1 / scale rounded once; ties go to the even one
code_i = clip(round(u_i) + zero_point, qmin, qmax)
y_i = (code_i - zero_point) scale

Axes:   as fake_quantize; x of float16 or bfloat16 is widened to float32,
        where its codes are defined, and y is rounded once
Grads:  as fake_quantize, by a mask of one bit a number, made with y
Raises: as fake_quantize, but TypeError if x is not of float32, float16
        or bfloat16, or scale not of float32
Ref:    Jacob et al. 2018, CVPR, eq. 1 and 12; Bengio et al. 2013, 4
"""

# region imports
import torch

from pytorch_impl.kernels.fake_quantize_kernels import (
    fake_quantize_backward_kernel,
    fake_quantize_kernel,
)
from pytorch_impl.kernels.fake_quantize_plain import (
    plain_backward,
    plain_forward,
)
from pytorch_impl.kernels.operators import on_device, operator
from pytorch_impl.kernels.quantize_triton import GIVEN, prepared
from pytorch_impl.kernels.tiles import (
    cdiv,
    readable,
    start,
    tiles_of,
)
from pytorch_impl.quantization.codes import code_range

# endregion


# region gradient rule
def like_forward(x, scale, zero_point, qmin, qmax, axis):
    tiles = tiles_of(x, axis)
    mask = tiles.M, cdiv(tiles.K, 8)
    return x.new_empty(x.shape), x.new_empty(mask, dtype=torch.uint8)


@operator(
    "pytorch_impl::fake_quantize",
    f"({GIVEN}) -> (Tensor y, Tensor mask)",
    like_forward,
)
def forward(x, scale, zero_point, qmin, qmax, axis):
    dtype, given = x.dtype, (scale, zero_point, qmin, qmax, axis)
    if not on_device(x):
        return plain_forward(x, *given)
    x, tiles = readable(x), tiles_of(x, axis)
    y, mask = like_forward(x, *given)
    pair = scale.contiguous(), zero_point.contiguous()
    rest = tiles.steps | dict(QMIN=qmin, QMAX=qmax)
    rest |= dict(row_bytes=mask.shape[1])
    start(fake_quantize_kernel, tiles, x, *pair, y, mask, **rest)
    return y.to(dtype), mask


@operator(
    "pytorch_impl::fake_quantize_backward",
    "(Tensor dy, Tensor mask, int? axis) -> Tensor",
    lambda dy, mask, axis: dy.new_empty(dy.shape),
)
def backward(dy, mask, axis):
    dtype, tiles = dy.dtype, tiles_of(dy, axis)
    if not on_device(dy):
        return plain_backward(dy, mask, axis)
    dy = readable(dy)
    dx = torch.empty_like(dy)
    rest = dict(row_bytes=mask.shape[1])
    start(fake_quantize_backward_kernel, tiles, dy, mask, dx, **rest)
    return dx.to(dtype)


def save(ctx, inputs, output):
    *_, ctx.axis = inputs
    ctx.save_for_backward(inputs[1], output[1])
    ctx.mark_non_differentiable(output[1])


def rule(ctx, dy, _):
    scale, mask = ctx.saved_tensors
    moving = ctx.needs_input_grad[1]
    dscale = torch.zeros_like(scale) if moving else None
    dx = backward(dy, mask, ctx.axis)
    return dx, dscale, None, None, None, None


forward.register_autograd(rule, setup_context=save)


# endregion


# region function
def fake_quantize_triton(
    x,
    scale,
    zero_point,
    bits: int = 8,
    signed: bool = True,
    axis=None,
    narrow_range: bool = False,
):
    bounds = code_range(bits, signed, narrow_range)
    given = prepared("fake_quantize_triton", x, scale, zero_point, axis)
    return forward(*given, *bounds, axis)[0]


# endregion

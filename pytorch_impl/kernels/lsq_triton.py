"""LSQ, on the GPU: the step's gradient is summed in two stages.

Ladder: lsq -> kernels/lsq_triton
u_i = x_i inv, inv = 1 / step rounded once
y_i = step round(clip(u_i, qmin, qmax))

Axes:   as lsq; x of float16 or bfloat16 is widened
        to float32, y is rounded once
Grads:  as lsq; each tile sums its dy d in float32, in an order that
        never changes, then g sum of these: two runs give equal bits
Raises: as lsq, but TypeError if x is not of float32, float16 or
        bfloat16, or step not of float32
Ref:    Esser et al. 2020, ICLR, eq. 1 to 5
"""

# region imports
import torch

from pytorch_impl.kernels.lsq_kernels import (
    lsq_backward_kernel,
    lsq_kernel,
)
from pytorch_impl.kernels.operators import on_device, operator
from pytorch_impl.kernels.tiles import (
    check_tiled,
    readable,
    start,
    tiles_of,
)
from pytorch_impl.quantization.codes import along, code_range, rows
from pytorch_impl.quantization.lsq import lsq_backward, lsq_forward

GIVEN = "Tensor x, Tensor step, int qmin, int qmax, int? axis, float g"
# endregion


# region gradient rule
@operator(
    "pytorch_impl::lsq",
    f"({GIVEN}) -> Tensor",
    lambda x, *_: x.new_empty(x.shape),
)
def forward(x, step, qmin, qmax, axis, g):
    dtype, tiles = x.dtype, tiles_of(x, axis)
    if not on_device(x):
        wide, step = x.contiguous().float(), along(step, x, axis)
        return lsq_forward(wide, step, qmin, qmax).to(dtype)
    x = readable(x)
    y, step = torch.empty_like(x), step.contiguous()
    rest = tiles.steps | dict(QMIN=qmin, QMAX=qmax)
    start(lsq_kernel, tiles, x, step, y, **rest)
    return y.to(dtype)


@operator(
    "pytorch_impl::lsq_backward",
    f"(Tensor dy, {GIVEN}) -> (Tensor dx, Tensor dstep)",
    lambda dy, x, step, *_: (
        x.new_empty(x.shape),
        step.new_empty(step.shape),
    ),
)
def backward(dy, x, step, qmin, qmax, axis, g):
    dtype, tiles = x.dtype, tiles_of(x, axis)
    if not on_device(x):
        wide = dy.contiguous().float(), x.contiguous().float()
        step = along(step, x, axis)
        dx, terms = lsq_backward(*wide, step, qmin, qmax)
        return dx.to(dtype), torch.sum(rows(terms, axis), -1) * g
    dy, x = readable(dy), readable(x)
    dx, (down, across) = torch.empty_like(x), tiles.grid
    each = (across, tiles.M) if tiles.rows else (down, tiles.K)
    partial = step.new_empty(each)
    rest = tiles.steps | dict(QMIN=qmin, QMAX=qmax)
    pointers = dy, x, step.contiguous(), dx, partial
    start(lsq_backward_kernel, tiles, *pointers, **rest)
    shape = (across, tiles.outer, tiles.channels)
    if not tiles.rows:
        shape = (down, tiles.channels, tiles.inner)
    over = (0, 1) if tiles.rows else (0, 2)
    dstep = torch.sum(torch.reshape(partial, shape), over) * g
    return dx.to(dtype), torch.reshape(dstep, step.shape)


def save(ctx, inputs, output):
    x, step, *ctx.rest = inputs
    ctx.save_for_backward(x, step)


def rule(ctx, dy):
    pair = backward(dy, *ctx.saved_tensors, *ctx.rest)
    return *pair, None, None, None, None


forward.register_autograd(rule, setup_context=save)


# endregion


# region function
def lsq_triton(
    x, step, bits=4, signed=True, axis=None, num_elements=None
):
    qmin, qmax = code_range(bits, signed)
    check_tiled("lsq_triton", x, step, axis, "step")
    tiles = tiles_of(x, axis)
    n = num_elements or max(tiles.outer * tiles.inner, 1)
    g = (n * qmax) ** -0.5
    return forward(x, step, qmin, qmax, axis, g)


# endregion

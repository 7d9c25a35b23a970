"""Attention in Triton, as two operators: forward and backward.

attention_triton_forward     y, and t_n, l_n of every query
attention_triton_backward    dq, dk, dv, from what the forward gave

tiles: three rows of Tiles, as attention_tiles gives them, in one list
Where no kernel runs both compute the page attention_tiled instead; t_n
is then in natural units.
"""

# region imports
import torch

from pytorch_impl.attention import wide_heads
from pytorch_impl.attention_tiled import (
    attention_tiled_backward,
    attention_tiled_forward,
)
from pytorch_impl.kernels.attention_dot import attention_dot
from pytorch_impl.kernels.attention_forward import attention_forward
from pytorch_impl.kernels.attention_keys import attention_keys
from pytorch_impl.kernels.attention_launch import (
    arguments,
    options,
    start,
)
from pytorch_impl.kernels.attention_queries import attention_queries
from pytorch_impl.kernels.operators import on_device, operator

# endregion


# region operators
TENSORS = "Tensor q, Tensor k, Tensor v, Tensor? attn_mask, "
OPTIONS = "bool causal, float scale, int[] tiles"


def forward_fake(q, k, v, attn_mask, *options):
    rows = q.new_empty(q.shape[:3], dtype=torch.float32)
    return q.new_empty(q.shape), rows, torch.empty_like(rows)


@operator(
    "custom_layers::attention_triton_forward",
    f"({TENSORS}{OPTIONS}) -> (Tensor, Tensor, Tensor)",
    forward_fake,
)
def attention_triton_forward(q, k, v, attn_mask, causal, scale, tiles):
    if not on_device(q):
        wide = wide_heads(q, k, v, scale)
        y, top, total = attention_tiled_forward(
            *wide, attn_mask, causal, 128
        )
        return y.to(q.dtype), top[..., 0], total[..., 0]
    y, top, total = forward_fake(q, k, v, attn_mask)
    tensors, base2, numbers, constants = arguments(
        q, k, v, attn_mask, causal, scale
    )
    constants |= options(tiles) | dict(SPECIALIZED=tiles[5])
    inputs = *tensors, y, top, total, base2, *numbers
    start(attention_forward, q, tiles[0], *inputs, **constants)
    return y, top, total


def backward_fake(dy, q, k, v, *options):
    return tuple(x.new_empty(x.shape) for x in (q, k, v))


@operator(
    "custom_layers::attention_triton_backward",
    f"(Tensor dy, {TENSORS}Tensor y, Tensor top, Tensor total, {OPTIONS})"
    " -> (Tensor, Tensor, Tensor)",
    backward_fake,
)
def attention_triton_backward(
    dy, q, k, v, attn_mask, y, top, total, causal, scale, tiles
):
    if not on_device(q):
        wide = wide_heads(q, k, v, scale)
        saved = *wide, attn_mask, top[..., None], total[..., None]
        dq, *both = attention_tiled_backward(
            dy.to(wide[0].dtype), saved, causal, 128
        )
        groups = (k.shape[0], k.shape[1], -1, *k.shape[2:])
        dk, dv = (torch.reshape(d, groups).sum(2) for d in both)
        return (dq * scale).to(q.dtype), dk.to(q.dtype), dv.to(q.dtype)
    dq, dk, dv = backward_fake(dy, q, k, v)
    dot = torch.empty_like(top)
    tensors, base2, numbers, constants = arguments(
        q, k, v, attn_mask, causal, scale
    )
    _, keys, queries = tiles[:6], tiles[6:12], tiles[12:]
    exact = dict(EXACT=q.dtype == torch.float32)
    inputs = *tensors, y, dy, top, total, dot, base2, *numbers
    every = constants | options(queries[:4])
    start(attention_dot, q, queries[0], *inputs, **every, **exact)
    kept = *tensors, dy, top, total, dot
    inputs = *kept, dk, dv, base2, scale, *numbers
    every = constants | options(keys)
    start(attention_keys, k, keys[1], *inputs, **every)
    inputs = *kept, dq, base2, scale, *numbers
    every = constants | options(queries)
    start(attention_queries, q, queries[0], *inputs, **every)
    return dq, dk, dv


def keep(ctx, inputs, output):
    q, k, v, attn_mask, *options = inputs
    ctx.save_for_backward(q, k, v, attn_mask, *output)
    ctx.options = options


def backward(ctx, dy, *_):
    grads = attention_triton_backward(
        dy.contiguous(), *ctx.saved_tensors, *ctx.options
    )
    return *grads, None, None, None, None


attention_triton_forward.register_autograd(backward, setup_context=keep)
# endregion

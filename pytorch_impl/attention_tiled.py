"""Attention, tiled: the same result without the N x M matrix of scores.

Keys and values are read block by block, so the memory grows with N, not
with N x M. Three things are kept for each query: the largest score so
far (row_max), the sum of exp(score - row_max) so far (row_sum), and the
sum of exp(score - row_max) times the value so far. Where a block has a
larger score, both sums are multiplied by exp(old - new row_max). The
result is the last sum divided by row_sum.

Axes:   as in attention; J keys in a block, at most block_size
Grads:  q, k and v, by hand: see attention_tiled_gradient
Raises: as attention; ValueError if block_size is not 1 or more
Ref:    Milakov, Gimelshein 2018, arXiv 1805.02867, alg. 3
"""

# region imports
import torch

from pytorch_impl.arguments import whole
from pytorch_impl.attention import wide_heads
from pytorch_impl.attention_blocks import scan_blocks
from pytorch_impl.attention_checks import check_attention
from pytorch_impl.attention_tiled_gradient import (
    attention_tiled_backward,
)
from pytorch_impl.precision import cast_like, lowest_like
from pytorch_impl.transforms import Function, apply

# endregion


# region gradient rule
def attention_tiled_forward(q, k, v, attn_mask, causal, size):
    def step(state, k_block, v_block, scores, allowed):
        y, row_max, row_sum = state
        block_max = torch.amax(scores, axis=3, keepdims=True)
        new_max = torch.maximum(row_max, block_max)
        exps = torch.exp(scores - new_max)
        exps = torch.where(allowed, exps, torch.zeros_like(scores))
        rescale = torch.exp(row_max - new_max)
        block_sum = torch.sum(exps, axis=3, keepdims=True)
        row_sum = row_sum * rescale + block_sum
        y = y * rescale + torch.einsum("bhnj,bhje->bhne", exps, v_block)
        return (y, new_max, row_sum), ()

    y = q.new_zeros((*q.shape[:3], v.shape[3]))  # B H N E
    row_sum = torch.zeros_like(q[..., :1])
    row_max = lowest_like(row_sum)  # B H N 1
    inputs = (q, k, v, attn_mask, causal, size)
    state, _ = scan_blocks(step, (y, row_max, row_sum), *inputs)
    y, row_max, row_sum = state
    ones = torch.ones_like(row_sum)
    row_sum = torch.where(row_sum == 0, ones, row_sum)
    return y / row_sum, row_max, row_sum


class AttentionTiledRule(Function):
    forward = staticmethod(attention_tiled_forward)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs[:4], *output[1:])
        ctx.options = inputs[4:]

    @staticmethod
    def backward(ctx, dy, *_):
        saved = ctx.saved_tensors
        grads = apply(OnceDifferentiable, dy, *saved, *ctx.options)
        return *grads, None, None, None


class OnceDifferentiable(Function):
    @staticmethod
    def forward(dy, q, k, v, attn_mask, row_max, row_sum, causal, size):
        saved = (q, k, v, attn_mask, row_max, row_sum)
        return attention_tiled_backward(dy, saved, causal, size)

    @staticmethod
    def backward(ctx, *_):
        raise NotImplementedError("attention_tiled: first order only")


# endregion


# region function
def attention_tiled(
    q, k, v, attn_mask=None, causal=False, scale=None, block_size=128
):
    check_attention("attention_tiled", q, k, v, attn_mask)
    block_size = whole("attention_tiled: block_size", block_size, 1)
    expanded = wide_heads(q, k, v, scale)
    options = (attn_mask, causal, block_size)
    y, *_ = apply(AttentionTiledRule, *expanded, *options)
    return cast_like(y, q)


# endregion


# region try
if __name__ == "__main__":
    q = k = v = torch.ones((1, 2, 1000, 16))  # B H N D
    print(attention_tiled(q, k, v, causal=True).shape)
# endregion

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
from mxnet import np

from mxnet_impl.arguments import whole
from mxnet_impl.attention import wide_heads
from mxnet_impl.attention_blocks import scan_blocks
from mxnet_impl.attention_checks import check_attention
from mxnet_impl.attention_tiled_gradient import (
    attention_tiled_backward,
)
from mxnet_impl.custom_function import Function, empty_result
from mxnet_impl.precision import cast_like, lowest_like

# endregion


# region gradient rule
def attention_tiled_forward(q, k, v, attn_mask, causal, size):
    def step(state, k_block, v_block, scores, allowed):
        y, row_max, row_sum = state
        block_max = np.amax(scores, axis=3, keepdims=True)
        new_max = np.maximum(row_max, block_max)
        exps = np.exp(scores - new_max)
        exps = np.where(allowed, exps, np.zeros_like(scores))
        rescale = np.exp(row_max - new_max)
        block_sum = np.sum(exps, axis=3, keepdims=True)
        row_sum = row_sum * rescale + block_sum
        y = y * rescale + np.matmul(exps, v_block)
        return (y, new_max, row_sum), ()

    y = np.zeros((*q.shape[:3], v.shape[3]), q.dtype)  # B H N E
    row_sum = np.zeros_like(q[..., :1])
    row_max = lowest_like(row_sum)  # B H N 1
    inputs = (q, k, v, attn_mask, causal, size)
    state, _ = scan_blocks(step, (y, row_max, row_sum), *inputs)
    y, row_max, row_sum = state
    ones = np.ones_like(row_sum)
    row_sum = np.where(row_sum == 0, ones, row_sum)
    return y / row_sum, row_max, row_sum


class AttentionTiledRule(Function):
    def forward(self, q, k, v):
        inputs = (q, k, v, self.options[0])
        y, *kept = attention_tiled_forward(*inputs, *self.options[1:])
        self.save_for_backward(*inputs, *kept)
        return y

    def backward(self, dy):
        saved = self.saved_tensors
        return attention_tiled_backward(dy, saved, *self.options[1:])


# endregion


# region function
def attention_tiled(
    q, k, v, attn_mask=None, causal=False, scale=None, block_size=128
):
    check_attention("attention_tiled", q, k, v, attn_mask)
    block_size = whole("attention_tiled: block_size", block_size, 1)
    if 0 in q.shape:
        return empty_result((*q.shape[:3], v.shape[3]), q, k, v)
    expanded = wide_heads(q, k, v, scale)
    options = (attn_mask, causal, block_size)
    y = AttentionTiledRule(*options)(*expanded)
    return cast_like(y, q)


# endregion


# region try
if __name__ == "__main__":
    q = k = v = np.ones((1, 2, 1000, 16))  # B H N D
    print(attention_tiled(q, k, v, causal=True).shape)
# endregion


# region what differs here
# mxnet 1.9.1: matmul instead of einsum, see attention_blocks
# endregion

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
import tensorflow as tf

from tf_impl.arguments import whole
from tf_impl.attention import wide_heads
from tf_impl.attention_blocks import scan_blocks
from tf_impl.attention_checks import check_attention
from tf_impl.attention_tiled_gradient import (
    attention_tiled_backward,
)
from tf_impl.custom_gradient import custom_gradient
from tf_impl.precision import cast_like, lowest_like

# endregion


# region gradient rule
def attention_tiled_forward(q, k, v, attn_mask, causal, size):
    def step(state, k_block, v_block, scores, allowed):
        y, row_max, row_sum = state
        block_max = tf.reduce_max(scores, axis=3, keepdims=True)
        new_max = tf.maximum(row_max, block_max)
        exps = tf.exp(scores - new_max)
        exps = tf.where(allowed, exps, tf.zeros_like(scores))
        rescale = tf.exp(row_max - new_max)
        block_sum = tf.reduce_sum(exps, axis=3, keepdims=True)
        row_sum = row_sum * rescale + block_sum
        y = y * rescale + tf.einsum("bhnj,bhje->bhne", exps, v_block)
        return (y, new_max, row_sum), ()

    shape = tf.concat([tf.shape(q)[:3], tf.shape(v)[3:]], 0)
    y = tf.zeros(shape, q.dtype)  # B H N E
    row_sum = tf.zeros_like(q[..., :1])
    row_max = lowest_like(row_sum)  # B H N 1
    inputs = (q, k, v, attn_mask, causal, size)
    state, _ = scan_blocks(step, (y, row_max, row_sum), *inputs)
    y, row_max, row_sum = state
    ones = tf.ones_like(row_sum)
    row_sum = tf.where(row_sum == 0, ones, row_sum)
    return y / row_sum, row_max, row_sum


def once_differentiable(*_):
    raise NotImplementedError("attention_tiled: first order only")


def attention_tiled_rule(q, k, v, attn_mask, *options):
    @custom_gradient
    def rule(*inputs):
        q, k, v = map(tf.stop_gradient, inputs)
        y, *kept = attention_tiled_forward(q, k, v, attn_mask, *options)
        saved = (q, k, v, attn_mask, *kept)

        @custom_gradient
        def backward(dy, *_):
            dy = tf.stop_gradient(dy)
            grads = attention_tiled_backward(dy, saved, *options)
            return grads, once_differentiable

        return y, lambda dy: backward(dy, *inputs)

    return rule(q, k, v)


# endregion


# region function
def attention_tiled(
    q, k, v, attn_mask=None, causal=False, scale=None, block_size=128
):
    check_attention("attention_tiled", q, k, v, attn_mask)
    block_size = whole("attention_tiled: block_size", block_size, 1)
    expanded = wide_heads(q, k, v, scale)
    options = (attn_mask, causal, block_size)
    y = attention_tiled_rule(*expanded, *options)
    return cast_like(y, q)


# endregion


# region try
if __name__ == "__main__":
    q = k = v = tf.ones((1, 2, 1000, 16))  # B H N D
    print(attention_tiled(q, k, v, causal=True).shape)
# endregion

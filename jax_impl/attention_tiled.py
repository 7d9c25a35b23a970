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
import jax
import jax.numpy as jnp

from jax_impl.arguments import whole
from jax_impl.attention import wide_heads
from jax_impl.attention_blocks import scan_blocks
from jax_impl.attention_checks import check_attention
from jax_impl.attention_tiled_gradient import (
    attention_tiled_backward,
)
from jax_impl.precision import cast_like, lowest_like

# endregion


# region gradient rule
def attention_tiled_forward(q, k, v, attn_mask, causal, size):
    def step(state, k_block, v_block, scores, allowed):
        y, row_max, row_sum = state
        block_max = jnp.amax(scores, axis=3, keepdims=True)
        new_max = jnp.maximum(row_max, block_max)
        exps = jnp.exp(scores - new_max)
        exps = jnp.where(allowed, exps, jnp.zeros_like(scores))
        rescale = jnp.exp(row_max - new_max)
        block_sum = jnp.sum(exps, axis=3, keepdims=True)
        row_sum = row_sum * rescale + block_sum
        y = y * rescale + jnp.einsum("bhnj,bhje->bhne", exps, v_block)
        return (y, new_max, row_sum), ()

    y = jnp.zeros((*q.shape[:3], v.shape[3]), q.dtype)  # B H N E
    row_sum = jnp.zeros_like(q[..., :1])
    row_max = lowest_like(row_sum)  # B H N 1
    inputs = (q, k, v, attn_mask, causal, size)
    state, _ = scan_blocks(step, (y, row_max, row_sum), *inputs)
    y, row_max, row_sum = state
    ones = jnp.ones_like(row_sum)
    row_sum = jnp.where(row_sum == 0, ones, row_sum)
    return y / row_sum, row_max, row_sum


def attention_tiled_primal(*inputs):
    return attention_tiled_forward(*inputs)[0]


def attention_tiled_fwd(q, k, v, attn_mask, *options):
    y, *kept = attention_tiled_forward(q, k, v, attn_mask, *options)
    return y, (q, k, v, attn_mask, *kept)


def attention_tiled_bwd(causal, size, saved, dy):
    grads = attention_tiled_backward(dy, saved, causal, size)
    return *grads, None


attention_tiled_rule = jax.custom_vjp(
    attention_tiled_primal, nondiff_argnums=(4, 5)
)
attention_tiled_rule.defvjp(attention_tiled_fwd, attention_tiled_bwd)
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
    q = k = v = jnp.ones((1, 2, 1000, 16))  # B H N D
    print(attention_tiled(q, k, v, causal=True).shape)
# endregion


# region what differs here
# jax 0.10.2: the second derivative works too, but stores every block
# endregion

"""Attention: each query gets a weighted mean of the values.

The softmax of its scores with all keys weighs the values. H / G query
heads in a row share one key/value head (grouped-query attention).

score_bhnm = scale * sum_d q_bhnd k_bgmd, g the head that h shares
w_bhnm = softmax over m of score_bhnm; 0 where attention is not allowed
y_bhne = sum_m w_bhnm v_bgme; 0 for a query without any allowed key

Axes:   B batch, N queries, M keys, H heads, G key/value heads, D width
        of q and k, E of v; attn_mask broadcast to (B, H, N, M), True =
        may attend; NaN and inf in v, or in k backward, pass a mask
        causal: query n sees keys m <= n; scale: 1 / sqrt(D) if None
Raises: TypeError, ValueError as attention_checks
Ladder: attention, attention_tiled (the same in less memory)
Ref:    Vaswani et al. 2017, NeurIPS, eq. 1; Ainslie et al. 2023, EMNLP
"""

# region imports
import math

import jax
import jax.numpy as jnp

from jax_impl.arguments import real
from jax_impl.attention_checks import check_attention
from jax_impl.precision import cast_like, lowest_like, widen

# endregion


# region function
def wide_heads(q, k, v, scale=None):
    scale = 1 / math.sqrt(q.shape[3]) if scale is None else scale
    scale = real("scale", scale)
    repeats = q.shape[1] // k.shape[1]
    k = jnp.repeat(widen(k), repeats, axis=1)  # B H M D
    v = jnp.repeat(widen(v), repeats, axis=1)  # B H M E
    return widen(q) * scale, k, v


def attention(q, k, v, attn_mask=None, causal=False, scale=None):
    check_attention("attention", q, k, v, attn_mask)
    scaled_q, k, v = wide_heads(q, k, v, scale)
    scores = jnp.einsum("bhnd,bhmd->bhnm", scaled_q, k)  # B H N M
    all_true = jnp.ones_like(scores, dtype=bool)
    allowed = all_true if attn_mask is None else attn_mask
    if causal:
        allowed = allowed & jnp.tril(all_true)
    scores = jnp.where(allowed, scores, lowest_like(scores))
    detached = jax.lax.stop_gradient(scores)
    row_max = jnp.amax(detached, axis=3, keepdims=True)  # B H N 1
    exps = jnp.exp(scores - row_max)
    exps = jnp.where(allowed, exps, jnp.zeros_like(scores))
    row_sum = jnp.sum(exps, axis=3, keepdims=True)  # B H N 1
    ones = jnp.ones_like(row_sum)
    weights = exps / jnp.where(row_sum == 0, ones, row_sum)
    y = jnp.einsum("bhnm,bhme->bhne", weights, v)  # B H N E
    return cast_like(y, q)


# endregion


# region try
if __name__ == "__main__":
    q = k = v = jnp.ones((1, 2, 5, 4))  # B H N D
    print(attention(q, k, v, causal=True).shape)
# endregion

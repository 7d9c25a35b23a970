"""Attention, tiled: the same numbers without the N x M matrix.

By blocks of keys, with the running maximum t_n of the scores, the sum
l_n of exp(s_nm - t_n) and the unscaled result; when t_n grows both are
scaled by exp(old t_n - new t_n). t_n and l_n are kept; the gradient
computes s twice again, as f_n = sum_d dy_nd y_nd and t_n + log l_n,
which would save a pass and a vector, lose digits where w_nm is near 1.

Axes:   as in attention; J keys in a block, block_size or what is left
Grads:  s_nm = sum_d q_nd k_md;  w_nm = exp(s_nm - t_n) / l_n
        g_nm = sum_d dy_nd v_md;  ds_nm = w_nm (g_nm - sum_m w_nm g_nm)
        dq_nd = sum_m ds_nm k_md;  dk_md = sum_n ds_nm q_nd
        dv_md = sum_n w_nm dy_nd;  first order only
Raises: as attention; ValueError if block_size is not 1 or more
Ref:    Milakov, Gimelshein 2018, arXiv 1805.02867, alg. 3
"""

# region imports
import functools

import jax
import jax.numpy as jnp

from jax_impl.attention import wide_heads
from jax_impl.attention_blocks import scan_blocks
from jax_impl.checks import check_attention, check_least
from jax_impl.precision import cast_like, lowest_like

# endregion


# region gradient rule
def attention_tiled_forward(q, k, v, attn_mask, causal, size):
    def step(state, kj, vj, s, seen):
        y, top, total = state
        most = jnp.amax(s, axis=3, keepdims=True)
        high = jnp.maximum(top, most)
        w = jnp.where(seen, jnp.exp(s - high), jnp.zeros_like(s))
        shrink = jnp.exp(top - high)
        total = total * shrink + jnp.sum(w, axis=3, keepdims=True)
        y = y * shrink + jnp.einsum("bhnj,bhjd->bhnd", w, vj)
        return (y, high, total), ()

    y, total = jnp.zeros_like(q), jnp.zeros_like(q[..., :1])
    top = lowest_like(total)  # B H N 1
    every = q, k, v, attn_mask, causal, size
    (y, top, total), _ = scan_blocks(step, (y, top, total), *every)
    total = jnp.where(total == 0, jnp.ones_like(total), total)
    return y / total, top, total


def attention_tiled_backward(dy, saved, causal, size):
    q, k, v, attn_mask, top, total = saved

    def weights(vj, s, seen):
        zeros = jnp.zeros_like(s)
        w = jnp.where(seen, jnp.exp(s - top) / total, zeros)
        return w, jnp.einsum("bhnd,bhjd->bhnj", dy, vj)

    def first(state, kj, vj, s, seen):
        w, g = weights(vj, s, seen)
        part = jnp.sum(w * g, axis=3, keepdims=True)
        return (state[0] + part,), ()

    def second(state, kj, vj, s, seen):
        w, g = weights(vj, s, seen)
        ds = w * (g - dot)
        dq = state[0] + jnp.einsum("bhnj,bhjd->bhnd", ds, kj)
        dk = jnp.einsum("bhnj,bhnd->bhjd", ds, q)
        return (dq,), (dk, jnp.einsum("bhnj,bhnd->bhjd", w, dy))

    every, zero = (q, k, v, attn_mask, causal, size), jnp.zeros_like
    (dot,), _ = scan_blocks(first, (zero(top),), *every)
    (dq,), found = scan_blocks(second, (zero(q),), *every, parts=2)
    return dq, *found


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def attention_tiled_rule(q, k, v, attn_mask, *options):
    return attention_tiled_forward(q, k, v, attn_mask, *options)[0]


def keep(q, k, v, attn_mask, *options):
    y, *kept = attention_tiled_forward(q, k, v, attn_mask, *options)
    return y, (q, k, v, attn_mask, *kept)


def pull(causal, size, saved, dy):
    return *attention_tiled_backward(dy, saved, causal, size), None


attention_tiled_rule.defvjp(keep, pull)
# endregion


# region function
def attention_tiled(
    q, k, v, attn_mask=None, causal=False, scale=None, block_size=128
):
    check_attention("attention_tiled", q, k, v, attn_mask)
    check_least("attention_tiled: block_size", block_size, 1)
    wide = wide_heads(q, k, v, scale)
    y = attention_tiled_rule(*wide, attn_mask, causal, block_size)
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

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
import tensorflow as tf

from tf_impl.attention import wide_heads
from tf_impl.attention_blocks import scan_blocks
from tf_impl.checks import check_attention, check_least
from tf_impl.precision import cast_like, lowest_like

# endregion


# region gradient rule
def attention_tiled_forward(q, k, v, attn_mask, causal, size):
    def step(state, kj, vj, s, seen):
        y, top, total = state
        most = tf.reduce_max(s, axis=3, keepdims=True)
        high = tf.maximum(top, most)
        w = tf.where(seen, tf.exp(s - high), tf.zeros_like(s))
        shrink = tf.exp(top - high)
        total = total * shrink + tf.reduce_sum(w, axis=3, keepdims=True)
        y = y * shrink + tf.einsum("bhnj,bhjd->bhnd", w, vj)
        return (y, high, total), ()

    y, total = tf.zeros_like(q), tf.zeros_like(q[..., :1])
    top = lowest_like(total)  # B H N 1
    every = q, k, v, attn_mask, causal, size
    (y, top, total), _ = scan_blocks(step, (y, top, total), *every)
    total = tf.where(total == 0, tf.ones_like(total), total)
    return y / total, top, total


def attention_tiled_backward(dy, saved, causal, size):
    q, k, v, attn_mask, top, total = saved

    def weights(vj, s, seen):
        zeros = tf.zeros_like(s)
        w = tf.where(seen, tf.exp(s - top) / total, zeros)
        return w, tf.einsum("bhnd,bhjd->bhnj", dy, vj)

    def first(state, kj, vj, s, seen):
        w, g = weights(vj, s, seen)
        part = tf.reduce_sum(w * g, axis=3, keepdims=True)
        return (state[0] + part,), ()

    def second(state, kj, vj, s, seen):
        w, g = weights(vj, s, seen)
        ds = w * (g - dot)
        dq = state[0] + tf.einsum("bhnj,bhjd->bhnd", ds, kj)
        dk = tf.einsum("bhnj,bhnd->bhjd", ds, q)
        return (dq,), (dk, tf.einsum("bhnj,bhnd->bhjd", w, dy))

    every, zero = (q, k, v, attn_mask, causal, size), tf.zeros_like
    (dot,), _ = scan_blocks(first, (zero(top),), *every)
    (dq,), found = scan_blocks(second, (zero(q),), *every, parts=2)
    return dq, *found


def once_differentiable(*_):
    raise NotImplementedError("attention_tiled: first order only")


def attention_tiled_rule(q, k, v, attn_mask, *options):
    @tf.custom_gradient
    def rule(*wide):
        q, k, v = map(tf.stop_gradient, wide)
        y, *kept = attention_tiled_forward(q, k, v, attn_mask, *options)
        saved = q, k, v, attn_mask, *kept

        @tf.custom_gradient
        def backward(dy, *_):
            dy = tf.stop_gradient(dy)
            grads = attention_tiled_backward(dy, saved, *options)
            return grads, once_differentiable

        return y, lambda dy: backward(dy, *wide)

    return rule(q, k, v)


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
    q = k = v = tf.ones((1, 2, 1000, 16))  # B H N D
    print(attention_tiled(q, k, v, causal=True).shape)
# endregion

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
from tf_impl.checks import check_attention, check_least

# endregion


# region gradient rule
def blocks(q, k, v, attn_mask, causal, size, step, state):
    keys, extra = k.shape[2], -k.shape[2] % size
    count, heads = (keys + extra) // size, k.shape[1]
    shape = (-1, heads, count, size, k.shape[3])
    around = [[0, 0], [0, 0], [0, extra], [0, 0]]
    k, v = (tf.reshape(tf.pad(x, around), shape) for x in (k, v))
    m = tf.reshape(tf.range(keys + extra), (count, size))
    n = tf.range(tf.shape(q)[2])[:, None]
    if attn_mask is not None:
        shape = (*tf.unstack(tf.shape(attn_mask))[:-1], keys)
        attn_mask = tf.broadcast_to(attn_mask, shape)  # ... M
        around = [[0, 0]] * (len(shape) - 1) + [[0, extra]]
        shape = (*shape[:-1], count, size)
        attn_mask = tf.reshape(tf.pad(attn_mask, around), shape)

    def block(j, *state):
        kj, vj = tf.gather(k, j, axis=2), tf.gather(v, j, axis=2)
        s = tf.einsum("bhnd,bhjd->bhnj", q, kj)  # B H N J
        mj = tf.gather(m, j)
        seen = mj < keys
        if attn_mask is not None:
            seen = tf.gather(attn_mask, j, axis=-2)
        seen = seen & (mj <= n) if causal else seen
        s = tf.where(seen, s, s.dtype.min)
        return j + 1, *step(j, kj, vj, s, seen, *state)

    state = (tf.constant(0), *state)
    return tf.while_loop(lambda j, *_: j < count, block, state)[1:]


def attention_tiled_forward(q, k, v, attn_mask, causal, size):
    def step(j, kj, vj, s, seen, y, top, total):
        higher = tf.maximum(
            top, tf.reduce_max(s, axis=3, keepdims=True)
        )
        w = tf.where(seen, tf.exp(s - higher), tf.zeros_like(s))
        shrink = tf.exp(top - higher)
        total = total * shrink + tf.reduce_sum(w, axis=3, keepdims=True)
        y = y * shrink + tf.einsum("bhnj,bhjd->bhnd", w, vj)
        return y, higher, total

    y, total = tf.zeros_like(q), tf.zeros_like(q[..., :1])
    top = total + q.dtype.min  # B H N 1
    every = q, k, v, attn_mask, causal, size
    y, top, total = blocks(*every, step, (y, top, total))
    total = tf.where(total == 0, tf.ones_like(total), total)
    return y / total, top, total


def attention_tiled_backward(dy, saved, causal, size):
    q, k, v, attn_mask, top, total = saved

    def weights(vj, s, seen):
        w = tf.where(seen, tf.exp(s - top) / total, tf.zeros_like(s))
        return w, tf.einsum("bhnd,bhjd->bhnj", dy, vj)

    def first(j, kj, vj, s, seen, dot):
        w, g = weights(vj, s, seen)
        return (dot + tf.reduce_sum(w * g, axis=3, keepdims=True),)

    def second(j, kj, vj, s, seen, dq, dk, dv):
        w, g = weights(vj, s, seen)
        ds = w * (g - dot)
        dq = dq + tf.einsum("bhnj,bhjd->bhnd", ds, kj)
        dk = dk.write(j, tf.einsum("bhnj,bhnd->bhjd", ds, q))
        return dq, dk, dv.write(j, tf.einsum("bhnj,bhnd->bhjd", w, dy))

    def join(x):
        x = tf.transpose(x.stack(), (1, 2, 0, 3, 4))
        shape = (-1, k.shape[1], x.shape[2] * size, k.shape[3])
        return tf.reshape(x, shape)[:, :, : k.shape[2]]

    every, count = (
        (q, k, v, attn_mask, causal, size),
        -(-k.shape[2] // size),
    )
    (dot,) = blocks(*every, first, (tf.zeros_like(top),))
    dk, dv = (tf.TensorArray(q.dtype, count) for _ in "kv")
    dq, dk, dv = blocks(*every, second, (tf.zeros_like(q), dk, dv))
    return dq, join(dk), join(dv)


# endregion


# region function
def attention_tiled(
    q, k, v, attn_mask=None, causal=False, scale=None, block_size=128
):
    check_attention("attention_tiled", q, k, v, attn_mask)
    check_least("attention_tiled: block_size", block_size, 1)

    @tf.custom_gradient
    def attention_tiled_rule(q, k, v):
        options = causal, block_size
        y, *kept = attention_tiled_forward(q, k, v, attn_mask, *options)

        def backward(dy):
            saved = q, k, v, attn_mask, *kept
            return attention_tiled_backward(dy, saved, *options)

        return y, backward

    y = attention_tiled_rule(*wide_heads(q, k, v, scale))
    return tf.cast(y, q.dtype)


# endregion


# region try
if __name__ == "__main__":
    q, k, v = tf.random.normal((3, 1, 2, 1000, 16))
    print(attention_tiled(q, k, v, causal=True).shape)
# endregion

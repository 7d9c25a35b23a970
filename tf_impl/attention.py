"""Attention: every query gets a weighted mean of the values.

y_bhnd = sum_m w_bhnm v_bgmd,  g the group of h, H / G heads to each
w_bhnm = softmax over m of scale * sum_d q_bhnd k_bgmd
a key that is not allowed has w = 0; a query without any has y = 0

Axes:   B batch, N queries, M keys, H heads, G key/value heads, D width
        attn_mask (B, H, N, M) or broadcast to it, True = may attend
        causal: query n sees keys m <= n; scale: 1 / sqrt(D) if None
Raises: TypeError, ValueError for dtypes and shapes that do not fit
Ladder: attention, attention_tiled
Ref:    Vaswani et al. 2017, NeurIPS, eq. 1; Ainslie et al. 2023, EMNLP
"""

# region imports
import math

import tensorflow as tf

from tf_impl.checks import check_attention

# endregion


# region function
def wide_heads(q, k, v, scale=None):
    scale = 1 / math.sqrt(q.shape[3]) if scale is None else scale
    wide = tf.float64 if q.dtype == tf.float64 else tf.float32
    repeats = q.shape[1] // k.shape[1]
    k = tf.repeat(tf.cast(k, wide), repeats, axis=1)  # B H M D
    v = tf.repeat(tf.cast(v, wide), repeats, axis=1)  # B H M D
    return tf.cast(q, wide) * scale, k, v


def attention(q, k, v, attn_mask=None, causal=False, scale=None):
    check_attention("attention", q, k, v, attn_mask)
    wide, k, v = wide_heads(q, k, v, scale)
    s = tf.einsum("bhnd,bhmd->bhnm", wide, k)  # B H N M
    every = tf.ones_like(s, dtype=tf.bool)
    allowed = every if attn_mask is None else attn_mask
    if causal:
        m, n = tf.range(tf.shape(s)[3]), tf.range(tf.shape(s)[2])
        allowed = allowed & (m <= n[:, None])
    s = tf.where(allowed, s, s.dtype.min)
    top = tf.reduce_max(
        tf.stop_gradient(s), axis=3, keepdims=True
    )  # B H N 1
    w = tf.where(allowed, tf.exp(s - top), tf.zeros_like(s))  # B H N M
    total = tf.reduce_sum(w, axis=3, keepdims=True)  # B H N 1
    w = w / tf.where(total == 0, tf.ones_like(total), total)
    y = tf.einsum("bhnm,bhmd->bhnd", w, v)
    return tf.cast(y, q.dtype)


# endregion


# region try
if __name__ == "__main__":
    q, k, v = tf.random.normal((3, 1, 2, 5, 4))  # B H N D
    print(attention(q, k, v, causal=True).shape)
# endregion

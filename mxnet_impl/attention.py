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

from mxnet import np

from mxnet_impl.checks import check_attention
from mxnet_impl.custom_function import empty_result
from mxnet_impl.precision import cast_like, lowest_like, widen

# endregion


# region function
def wide_heads(q, k, v, scale=None):
    scale = 1 / math.sqrt(q.shape[3]) if scale is None else scale
    repeats = q.shape[1] // k.shape[1]
    k = np.repeat(widen(k), repeats, axis=1)  # B H M D
    v = np.repeat(widen(v), repeats, axis=1)  # B H M D
    return widen(q) * scale, k, v


def attention(q, k, v, attn_mask=None, causal=False, scale=None):
    check_attention("attention", q, k, v, attn_mask)
    if 0 in q.shape:
        return empty_result(q.shape, q, k, v)
    wide, k, v = wide_heads(q, k, v, scale)
    s = np.matmul(wide, np.swapaxes(k, 2, 3))  # B H N M
    every = np.ones_like(s, dtype=bool)
    allowed = every if attn_mask is None else attn_mask
    if causal:
        allowed = allowed * (np.tril(np.ones_like(s)) > 0)
    s = np.where(allowed, s, lowest_like(s))
    stop = s.detach()
    top = np.amax(stop, axis=3, keepdims=True)  # B H N 1
    w = np.where(allowed, np.exp(s - top), np.zeros_like(s))
    total = np.sum(w, axis=3, keepdims=True)  # B H N 1
    w = w / np.where(total == 0, np.ones_like(total), total)
    y = np.matmul(w, v)  # B H N D
    return cast_like(y, q)


# endregion


# region try
if __name__ == "__main__":
    q = k = v = np.ones((1, 2, 5, 4))  # B H N D
    print(attention(q, k, v, causal=True).shape)
# endregion


# region what differs here
# mxnet 1.9.1: tril and & refuse booleans: their product is theirs
# the gradient of where(c, x, 0) goes to the wrong branch: two arrays
# matmul instead of einsum, see attention_blocks
# endregion

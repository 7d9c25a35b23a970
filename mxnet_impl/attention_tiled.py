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
from mxnet import np

from mxnet_impl.attention import wide_heads
from mxnet_impl.checks import check_attention, check_least
from mxnet_impl.custom_function import Function, empty_result

# endregion


# region gradient rule
def blocks(q, k, v, attn_mask, causal, size):
    if attn_mask is not None:
        shape = (*attn_mask.shape[:-1], k.shape[2])
        attn_mask = np.broadcast_to(attn_mask, shape)  # ... M
    n = np.arange(q.shape[2], dtype="int64")[:, None]
    for start in range(0, k.shape[2], size):
        j = slice(start, start + size)
        s = np.matmul(q, np.swapaxes(k[:, :, j], 2, 3))  # B H N J
        seen = np.ones(s.shape, dtype=bool)
        seen = seen if attn_mask is None else seen * attn_mask[..., j]
        m = np.arange(start, start + s.shape[3], dtype="int64")
        seen = seen * (m <= n) if causal else seen
        s = np.where(seen, s, np.full_like(s, np.finfo(s.dtype).min))
        yield k[:, :, j], v[:, :, j], s, seen


def attention_tiled_forward(q, k, v, attn_mask, causal, size):
    y, total = np.zeros_like(q), np.zeros_like(q[..., :1])
    top = np.full_like(total, np.finfo(q.dtype).min)  # B H N 1
    for _, vj, s, seen in blocks(q, k, v, attn_mask, causal, size):
        higher = np.maximum(top, np.max(s, axis=3, keepdims=True))
        w = np.where(seen, np.exp(s - higher), np.zeros_like(s))
        shrink = np.exp(top - higher)
        total = total * shrink + np.sum(w, axis=3, keepdims=True)
        y = y * shrink + np.matmul(w, vj)
        top = higher
        top.wait_to_read()  # else every block is in memory at once
    total = np.where(total == 0, np.ones_like(total), total)
    return y / total, top, total


def attention_tiled_backward(dy, saved, causal, size):
    q, k, v, attn_mask, top, total = saved
    dot, dq, dk, dv = np.zeros_like(top), np.zeros_like(q), [], []
    for _, vj, s, seen in blocks(q, k, v, attn_mask, causal, size):
        w = np.where(seen, np.exp(s - top) / total, np.zeros_like(s))
        g = np.matmul(dy, np.swapaxes(vj, 2, 3))
        dot = dot + np.sum(w * g, axis=3, keepdims=True)
        dot.wait_to_read()
    for kj, vj, s, seen in blocks(q, k, v, attn_mask, causal, size):
        w = np.where(seen, np.exp(s - top) / total, np.zeros_like(s))
        g = np.matmul(dy, np.swapaxes(vj, 2, 3))
        ds = w * (g - dot)
        dq = dq + np.matmul(ds, kj)
        dk.append(np.matmul(np.swapaxes(ds, 2, 3), q))
        dv.append(np.matmul(np.swapaxes(w, 2, 3), dy))
        dq.wait_to_read()
    return dq, np.concatenate(dk, axis=2), np.concatenate(dv, axis=2)


class AttentionTiledRule(Function):
    def __init__(self, attn_mask, *options):
        super().__init__()
        self.attn_mask, self.options = attn_mask, options

    def forward(self, q, k, v):
        every = q, k, v, self.attn_mask
        y, *kept = attention_tiled_forward(*every, *self.options)
        self.save_for_backward(*every, *kept)
        return y

    def backward(self, dy):
        saved = self.saved_tensors
        return attention_tiled_backward(dy, saved, *self.options)


# endregion


# region function
def attention_tiled(
    q, k, v, attn_mask=None, causal=False, scale=None, block_size=128
):
    check_attention("attention_tiled", q, k, v, attn_mask)
    check_least("attention_tiled: block_size", block_size, 1)
    if 0 in q.shape:
        return empty_result(q.shape, q, k, v)
    wide = wide_heads(q, k, v, scale)
    y = AttentionTiledRule(attn_mask, causal, block_size)(*wide)
    return y.astype(q.dtype)


# endregion


# region try
if __name__ == "__main__":
    q, k, v = np.random.normal(size=(3, 1, 2, 1000, 16))
    print(attention_tiled(q, k, v, causal=True).shape)
# endregion


# region what differs here
# mxnet 1.9.1: operations run later, in a queue of their own, so that
# without waiting for each block the memory of all would be held
# einsum is a plain loop; matmul, of equal batches only, is fast
# endregion

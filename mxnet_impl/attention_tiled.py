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
from mxnet_impl.attention_blocks import scan_blocks
from mxnet_impl.checks import check_attention, check_least
from mxnet_impl.custom_function import Function, empty_result
from mxnet_impl.precision import cast_like, lowest_like

# endregion


# region gradient rule
def attention_tiled_forward(q, k, v, attn_mask, causal, size):
    def step(state, kj, vj, s, seen):
        y, top, total = state
        most = np.amax(s, axis=3, keepdims=True)
        high = np.maximum(top, most)
        w = np.where(seen, np.exp(s - high), np.zeros_like(s))
        shrink = np.exp(top - high)
        total = total * shrink + np.sum(w, axis=3, keepdims=True)
        y = y * shrink + np.matmul(w, vj)
        return (y, high, total), ()

    y, total = np.zeros_like(q), np.zeros_like(q[..., :1])
    top = lowest_like(total)  # B H N 1
    every = q, k, v, attn_mask, causal, size
    (y, top, total), _ = scan_blocks(step, (y, top, total), *every)
    total = np.where(total == 0, np.ones_like(total), total)
    return y / total, top, total


def attention_tiled_backward(dy, saved, causal, size):
    q, k, v, attn_mask, top, total = saved

    def weights(vj, s, seen):
        zeros = np.zeros_like(s)
        w = np.where(seen, np.exp(s - top) / total, zeros)
        return w, np.matmul(dy, np.swapaxes(vj, 2, 3))

    def first(state, kj, vj, s, seen):
        w, g = weights(vj, s, seen)
        part = np.sum(w * g, axis=3, keepdims=True)
        return (state[0] + part,), ()

    def second(state, kj, vj, s, seen):
        w, g = weights(vj, s, seen)
        ds = w * (g - dot)
        dq = state[0] + np.matmul(ds, kj)
        dk = np.matmul(np.swapaxes(ds, 2, 3), q)
        return (dq,), (dk, np.matmul(np.swapaxes(w, 2, 3), dy))

    every, zero = (q, k, v, attn_mask, causal, size), np.zeros_like
    (dot,), _ = scan_blocks(first, (zero(top),), *every)
    (dq,), found = scan_blocks(second, (zero(q),), *every, parts=2)
    return dq, *found


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

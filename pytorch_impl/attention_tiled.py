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
import torch
from torch.autograd.function import once_differentiable

from pytorch_impl.attention import wide_heads
from pytorch_impl.checks import check_attention, check_least

# endregion


# region gradient rule
def blocks(q, k, v, attn_mask, causal, size):
    if attn_mask is not None:
        shape = (*attn_mask.shape[:-1], k.shape[2])
        attn_mask = torch.broadcast_to(attn_mask, shape)  # ... M
    for start in range(0, k.shape[2], size):
        j = slice(start, start + size)
        s = torch.einsum("bhnd,bhjd->bhnj", q, k[:, :, j])  # B H N J
        every = torch.ones_like(s, dtype=torch.bool)
        seen = every if attn_mask is None else attn_mask[..., j]
        seen = seen & torch.tril(every, -start) if causal else seen
        s = torch.where(seen, s, torch.finfo(s.dtype).min)
        yield k[:, :, j], v[:, :, j], s, seen


def attention_tiled_forward(q, k, v, attn_mask, causal, size):
    y, total = torch.zeros_like(q), torch.zeros_like(q[..., :1])
    top = torch.full_like(total, torch.finfo(q.dtype).min)  # B H N 1
    for _, vj, s, seen in blocks(q, k, v, attn_mask, causal, size):
        higher = torch.maximum(top, torch.amax(s, dim=3, keepdim=True))
        w = torch.where(seen, torch.exp(s - higher), 0)
        shrink = torch.exp(top - higher)
        total = total * shrink + torch.sum(w, dim=3, keepdim=True)
        y = y * shrink + torch.einsum("bhnj,bhjd->bhnd", w, vj)
        top = higher
    total = torch.where(total == 0, 1, total)
    return y / total, top, total


def attention_tiled_backward(dy, saved, causal, size):
    q, k, v, attn_mask, top, total = saved
    dot, dq, dk, dv = torch.zeros_like(top), torch.zeros_like(q), [], []
    for _, vj, s, seen in blocks(q, k, v, attn_mask, causal, size):
        w = torch.where(seen, torch.exp(s - top) / total, 0)
        g = torch.einsum("bhnd,bhjd->bhnj", dy, vj)
        dot = dot + torch.sum(w * g, dim=3, keepdim=True)
    for kj, vj, s, seen in blocks(q, k, v, attn_mask, causal, size):
        w = torch.where(seen, torch.exp(s - top) / total, 0)
        g = torch.einsum("bhnd,bhjd->bhnj", dy, vj)
        ds = w * (g - dot)
        dq = dq + torch.einsum("bhnj,bhjd->bhnd", ds, kj)
        dk.append(torch.einsum("bhnj,bhnd->bhjd", ds, q))
        dv.append(torch.einsum("bhnj,bhnd->bhjd", w, dy))
    return dq, torch.cat(dk, dim=2), torch.cat(dv, dim=2)


class AttentionTiledRule(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, k, v, attn_mask, *options):
        y, *kept = attention_tiled_forward(q, k, v, attn_mask, *options)
        ctx.save_for_backward(q, k, v, attn_mask, *kept)
        ctx.options = options
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        saved = ctx.saved_tensors
        grads = attention_tiled_backward(dy, saved, *ctx.options)
        return *grads, None, None, None


# endregion


# region function
def attention_tiled(
    q, k, v, attn_mask=None, causal=False, scale=None, block_size=128
):
    check_attention("attention_tiled", q, k, v, attn_mask)
    check_least("attention_tiled: block_size", block_size, 1)
    wide = wide_heads(q, k, v, scale)
    y = AttentionTiledRule.apply(*wide, attn_mask, causal, block_size)
    return y.to(q.dtype)


# endregion


# region try
if __name__ == "__main__":
    q, k, v = torch.randn(3, 1, 2, 1000, 16)
    print(attention_tiled(q, k, v, causal=True).shape)
# endregion

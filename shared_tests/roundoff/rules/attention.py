"""Attention, however PyTorch fuses it, is a softmax between products."""

import math

import torch

aten = torch.ops.aten


def scores(q, k, mask, causal, scale):
    """(..., N, M): q k^T scale + mask; -inf where a query may not look."""
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    s = torch.matmul(q, torch.transpose(k, -2, -1)) * scale
    if causal:
        n, m = s.shape[-2:]
        seen = torch.ones(n, m, dtype=torch.bool).tril()
        s = torch.where(seen, s, -math.inf)
    if mask is None:
        return s
    if mask.dtype == torch.bool:
        return torch.where(mask, s, -math.inf)
    return s + mask


def grouped(x, heads):
    """Keys or values that several heads share, one for each head."""
    if x.ndim < 3 or x.shape[-3] == heads:
        return x
    return x.repeat_interleave(heads // x.shape[-3], -3)


def weights(s):
    """softmax(s); 0 in a row that may look at nothing."""
    p = torch.softmax(s, -1)
    return torch.where(torch.isneginf(s).all(-1, True), 0.0, p)


def flash_for_cpu(
    q, k, v, dropout=0.0, causal=False, *, attn_mask=None, scale=None
):
    """Returns: the output, and log sum exp of the scores (B, H, N)."""
    heads = q.shape[-3]
    k, v = grouped(k, heads), grouped(v, heads)
    s = scores(q, k, attn_mask, causal, scale)
    return torch.matmul(weights(s), v), torch.logsumexp(s, -1)


def flash_for_cpu_backward(
    dy,
    q,
    k,
    v,
    y,
    log_sum,
    dropout,
    causal,
    *,
    attn_mask=None,
    scale=None,
):
    """Returns: the gradients of q, k and v."""
    heads, shared = q.shape[-3], k.shape[-3]
    k, v = grouped(k, heads), grouped(v, heads)
    s = scores(q, k, attn_mask, causal, scale)
    p = weights(s)
    dv = torch.matmul(torch.transpose(p, -2, -1), dy)
    dp = torch.matmul(dy, torch.transpose(v, -2, -1))
    ds = p * (dp - torch.sum(dy * y, -1, True))
    ds = ds * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    dq = torch.matmul(ds, k)
    dk = torch.matmul(torch.transpose(ds, -2, -1), q)
    if shared != heads:
        split = (shared, heads // shared)
        dk = torch.sum(dk.unflatten(-3, split), -3)
        dv = torch.sum(dv.unflatten(-3, split), -3)
    return dq, dk, dv


def composed(
    q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, dropout_mask=None,
    *, scale=None, enable_gqa=False,
):  # fmt: skip
    """Returns: the output, and the weights (..., N, M)."""
    if dropout_p:
        return NotImplemented
    if enable_gqa:
        k, v = grouped(k, q.shape[-3]), grouped(v, q.shape[-3])
    p = weights(scores(q, k, attn_mask, is_causal, scale))
    return torch.matmul(p, v), p


def native_multi_head(
    q, k, v, embed_dim, num_heads, qkv_weight, qkv_bias, out_weight, out_bias,
    mask=None, need_weights=True, average=True, mask_type=None,
):  # fmt: skip
    """nn.MultiheadAttention outside training; inputs (B, N, C)."""
    linear = torch.nn.functional.linear
    wq, wk, wv = torch.chunk(qkv_weight, 3)
    bq, bk, bv = torch.chunk(qkv_bias, 3)

    def heads(x, weight, bias):
        x = linear(x, weight, bias).unflatten(-1, (num_heads, -1))
        return torch.transpose(x, 1, 2)  # B H N D

    s = scores(
        heads(q, wq, bq),
        heads(k, wk, bk),
        None if mask is None else seen(mask, mask_type),
        False,
        None,
    )
    p = torch.softmax(s, -1)
    y = torch.matmul(p, heads(v, wv, bv))
    y = torch.transpose(y, 1, 2).flatten(2)
    y = linear(y, out_weight, out_bias)
    if not need_weights:
        return y, torch.empty(0, dtype=y.dtype)
    return y, torch.mean(p, 1) if average else p


def seen(mask, mask_type):
    """Its kernel's masks are True where one may not look; type 1 is by
    key, (B, M), 0 by query and key, (N, M), 2 by all, (B, H, N, M)."""
    mask = torch.logical_not(mask.bool())
    return mask[:, None, None, :] if mask_type == 1 else mask


def encoder_layer(
    x, embed_dim, num_heads, qkv_weight, qkv_bias, out_weight, out_bias,
    use_gelu, norm_first, eps, norm1_weight, norm1_bias, norm2_weight,
    norm2_bias, weight1, bias1, weight2, bias2, mask=None, mask_type=None,
):  # fmt: skip
    """nn.TransformerEncoderLayer outside training."""
    functional = torch.nn.functional

    def attend(x):
        return native_multi_head(
            x, x, x, embed_dim, num_heads, qkv_weight, qkv_bias,
            out_weight, out_bias, mask, False, False, mask_type,
        )[0]  # fmt: skip

    def feed(x):
        act = functional.gelu if use_gelu else functional.relu
        hidden = act(functional.linear(x, weight1, bias1))
        return functional.linear(hidden, weight2, bias2)

    def norm(x, weight, bias):
        return functional.layer_norm(x, x.shape[-1:], weight, bias, eps)

    if norm_first:
        x = x + attend(norm(x, norm1_weight, norm1_bias))
        return x + feed(norm(x, norm2_weight, norm2_bias))
    x = norm(x + attend(x), norm1_weight, norm1_bias)
    return norm(x + feed(x), norm2_weight, norm2_bias)


DECOMPOSITIONS = {
    aten._scaled_dot_product_flash_attention_for_cpu: flash_for_cpu,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        flash_for_cpu_backward
    ),
    aten._scaled_dot_product_attention_math: composed,
    aten._native_multi_head_attention: native_multi_head,
    aten._transformer_encoder_layer_fwd: encoder_layer,
}

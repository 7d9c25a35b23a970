"""Attention, block by block: one loop over the keys, for several uses.

The N x M matrix of scores is never held at once. The loop takes a block
of keys and values, computes its scores, and calls
    state, new = step(state, k_block, v_block, scores, allowed)
The state goes from block to block, and the last one is returned. new
has an array for each of like, with a row for each key of the block;
they are returned joined, each in the shape of that one. A score that is
not allowed is the lowest number there is.

Axes:   B batch, H heads (of q, k and v), N queries, M keys, D width
        of q and k, E of v
        J keys in a block, at most size
        attn_mask (B, H, N, M) or broadcast to it, True = may attend
        causal: query n sees keys m <= n; q is scaled already
Ref:    Rabe, Staats 2021, arXiv 2112.05682, fig. 1
"""

# region imports
import torch

from pytorch_impl.precision import lowest_like

# endregion


# region function
def scan_blocks(step, state, q, k, v, attn_mask, causal, size, like=()):
    if attn_mask is not None:
        shape = (*attn_mask.shape[:-1], k.shape[2])
        attn_mask = torch.broadcast_to(attn_mask, shape)  # ... M
    outputs = [[] for _ in like]
    for start in range(0, k.shape[2], size):
        block = slice(start, start + size)
        k_block = k[:, :, block]  # B H J D
        v_block = v[:, :, block]  # B H J E
        scores = torch.einsum("bhnd,bhjd->bhnj", q, k_block)  # B H N J
        all_true = torch.ones_like(scores, dtype=bool)
        allowed = (
            all_true if attn_mask is None else attn_mask[..., block]
        )
        if causal:
            allowed = allowed & torch.tril(all_true, -start)
        scores = torch.where(allowed, scores, lowest_like(scores))
        state, new = step(state, k_block, v_block, scores, allowed)
        for output, rows in zip(outputs, new):
            output.append(rows)
    return state, [torch.cat(rows, dim=2) for rows in outputs]


# endregion


# region try
if __name__ == "__main__":
    k = torch.linspace(0.0, 1.0, 40)
    q = k = v = torch.reshape(k, (1, 2, 5, 4))  # B H N D

    def max_step(state, k_block, v_block, scores, allowed):
        return torch.maximum(state, torch.amax(scores, axis=3)), (
            k_block,
        )

    row_max = lowest_like(q[..., 0])  # B H N
    row_max, (joined,) = scan_blocks(
        max_step, row_max, q, k, v, None, True, size=2, like=(k,)
    )
    print(row_max.shape, (k == joined).all())
# endregion

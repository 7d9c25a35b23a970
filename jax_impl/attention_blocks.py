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
import jax
import jax.numpy as jnp

from jax_impl.precision import lowest_like

# endregion


# region function
def scan_blocks(step, state, q, k, v, attn_mask, causal, size, like=()):
    if attn_mask is not None:
        shape = (*attn_mask.shape[:-1], k.shape[2])
        attn_mask = jnp.broadcast_to(attn_mask, shape)  # ... M
    keys = k.shape[2]
    size = min(size, keys)
    n = jnp.arange(q.shape[2])[:, None]

    def block_step(state, start):
        m = start + jnp.arange(size)
        block = jnp.minimum(m, keys - 1)
        inside = (m < keys)[:, None]  # what fills the last block is 0
        k_block = jnp.where(inside, k[:, :, block], 0)  # B H J D
        v_block = jnp.where(inside, v[:, :, block], 0)  # B H J E
        scores = jnp.einsum("bhnd,bhjd->bhnj", q, k_block)  # B H N J
        allowed = jnp.broadcast_to(m < keys, scores.shape)
        if attn_mask is not None:
            allowed = allowed & attn_mask[..., block]
        if causal:
            allowed = allowed & (m <= n)
        scores = jnp.where(allowed, scores, lowest_like(scores))
        return step(state, k_block, v_block, scores, allowed)

    starts = jnp.arange(0, keys, size)
    state, new = jax.lax.scan(block_step, state, starts)
    outputs = [jnp.moveaxis(x, 0, 2) for x in new]  # B H blocks J ...
    shape = (*k.shape[:2], len(starts) * size)
    outputs = [
        jnp.reshape(x, (*shape, y.shape[3]))[:, :, :keys]
        for x, y in zip(outputs, like)
    ]
    return state, outputs


# endregion


# region try
if __name__ == "__main__":
    k = jnp.linspace(0.0, 1.0, 40)
    q = k = v = jnp.reshape(k, (1, 2, 5, 4))  # B H N D

    def max_step(state, k_block, v_block, scores, allowed):
        return jnp.maximum(state, jnp.amax(scores, axis=3)), (k_block,)

    row_max = lowest_like(q[..., 0])  # B H N
    row_max, (joined,) = scan_blocks(
        max_step, row_max, q, k, v, None, True, size=2, like=(k,)
    )
    print(row_max.shape, (k == joined).all())
# endregion


# region what differs here
# alignment: lax.scan wants blocks of one size: the last is filled up
# with the last key, and what was filled up is not seen
# endregion

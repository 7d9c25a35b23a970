"""Attention by blocks of keys: the scan that each of its passes uses.

state, found_j = step(state, k_j, v_j, s_j, seen_j), one block of keys
after the other, where s_bhnm = sum_d q_bhnd k_bhmd, and the lowest
number where m is not seen; what was found is joined, key by key

Axes:   B batch, H heads, N queries, M keys, D width
        J keys in a block: size, or what is left
        attn_mask (B, H, N, M) or broadcast to it, True = may attend
        causal: query n sees keys m <= n
Gives:  the last state, and `parts` arrays (B, H, M, D); a step finds as
        many of (B, H, J, D)
Ref:    Rabe, Staats 2021, arXiv 2112.05682, fig. 1
"""

# region imports
import jax
import jax.numpy as jnp

from jax_impl.precision import lowest_like

# endregion


# region function
def scan_blocks(
    step, state, q, k, v, attn_mask, causal, size, parts: int = 0
):
    keys, n = k.shape[2], jnp.arange(q.shape[2])[:, None]
    size = min(size, keys)
    if attn_mask is not None:
        shape = (*attn_mask.shape[:-1], k.shape[2])
        attn_mask = jnp.broadcast_to(attn_mask, shape)  # ... M

    def block(state, start):
        m = start + jnp.arange(size)
        j = jnp.minimum(m, keys - 1)
        kj, vj = k[:, :, j], v[:, :, j]  # B H J D
        s = jnp.einsum("bhnd,bhjd->bhnj", q, kj)  # B H N J
        every = jnp.broadcast_to(m < keys, s.shape)
        seen = every if attn_mask is None else every & attn_mask[..., j]
        seen = seen & (m <= n) if causal else seen
        s = jnp.where(seen, s, lowest_like(s))
        return step(state, kj, vj, s, seen)

    starts = jnp.arange(0, keys, size)
    state, found = jax.lax.scan(block, state, starts)
    joined = (jnp.moveaxis(x, 0, 2) for x in found)  # B H blocks J D
    shape = (*k.shape[:2], len(starts) * size, k.shape[3])
    return state, [jnp.reshape(x, shape)[:, :, :keys] for x in joined]


# endregion


# region try
if __name__ == "__main__":
    k = jnp.linspace(0.0, 1.0, 40)
    q = k = v = jnp.reshape(k, (1, 2, 5, 4))  # B H N D

    def highest(state, kj, vj, s, seen):
        return jnp.maximum(state, jnp.amax(s, axis=3)), (kj,)

    state = lowest_like(q[..., 0])  # B H N
    state, (k2,) = scan_blocks(
        highest, state, q, k, v, None, causal=True, size=2, parts=1
    )
    print(state.shape, (k == k2).all())
# endregion


# region what differs here
# alignment: lax.scan wants blocks of one size: the last is filled up
# with the last key, and what was filled up is not seen
# endregion

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
from mxnet import np

from mxnet_impl.precision import lowest_like

# endregion


# region function
def scan_blocks(
    step, state, q, k, v, attn_mask, causal, size, parts: int = 0
):
    if attn_mask is not None:
        shape = (*attn_mask.shape[:-1], k.shape[2])
        attn_mask = np.broadcast_to(attn_mask, shape)  # ... M
    found = [np.empty_like(k) for _ in range(parts)]
    n = np.arange(q.shape[2], dtype="int64")[:, None]
    for start in range(0, k.shape[2], size):
        j = slice(start, start + size)
        kj, vj = k[:, :, j], v[:, :, j]  # B H J D
        s = np.matmul(q, np.swapaxes(kj, 2, 3))  # B H N J
        every = np.ones_like(s, dtype=bool)
        seen = every if attn_mask is None else attn_mask[..., j]
        m = np.arange(start, start + s.shape[3], dtype="int64")
        seen = seen * (m <= n) if causal else seen
        s = np.where(seen, s, lowest_like(s))
        state, new = step(state, kj, vj, s, seen)
        for every, one in zip(found, new):
            every[:, :, j] = one
        for x in state:
            x.wait_to_read()
    return state, found


# endregion


# region try
if __name__ == "__main__":
    k = np.linspace(0.0, 1.0, 40)
    q = k = v = np.reshape(k, (1, 2, 5, 4))  # B H N D

    def highest(state, kj, vj, s, seen):
        return np.maximum(state, np.amax(s, axis=3)), (kj,)

    state = lowest_like(q[..., 0])  # B H N
    state, (k2,) = scan_blocks(
        highest, state, q, k, v, None, causal=True, size=2, parts=1
    )
    print(state.shape, (k == k2).all())
# endregion


# region what differs here
# mxnet 1.9.1: operations run later, in a queue of their own: without
# waiting after each block the memory of all of them would be held
# einsum is a plain loop; matmul is fast, and right for equal batches
# endregion

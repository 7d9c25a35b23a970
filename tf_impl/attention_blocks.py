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
import tensorflow as tf

from tf_impl.precision import lowest_like

# endregion


# region function
def scan_blocks(
    step, state, q, k, v, attn_mask, causal, size, parts: int = 0
):
    keys, extra = k.shape[2], -k.shape[2] % size
    count, width = (keys + extra) // size, k.shape[3]
    shape = (-1, k.shape[1], count, size, width)
    around = [[0, 0], [0, 0], [0, extra], [0, 0]]
    k, v = (tf.reshape(tf.pad(x, around), shape) for x in (k, v))
    m = tf.reshape(tf.range(keys + extra), (count, size))
    n = tf.range(tf.shape(q)[2])[:, None]
    if attn_mask is not None:
        first = tf.shape(attn_mask)[:-1]
        shape = tf.concat([first, [keys]], 0)
        attn_mask = tf.broadcast_to(attn_mask, shape)  # ... M
        around = [[0, 0]] * (attn_mask.shape.rank - 1) + [[0, extra]]
        shape = tf.concat([first, [count, size]], 0)
        attn_mask = tf.reshape(tf.pad(attn_mask, around), shape)

    def block(j, found, state):
        kj, vj = tf.gather(k, j, axis=2), tf.gather(v, j, axis=2)
        s = tf.einsum("bhnd,bhjd->bhnj", q, kj)  # B H N J
        mj = tf.gather(m, j)
        seen = mj < keys
        if attn_mask is not None:
            seen = tf.gather(attn_mask, j, axis=-2)
        seen = seen & (mj <= n) if causal else seen
        s = tf.where(seen, s, lowest_like(s))
        state, new = step(state, kj, vj, s, seen)
        found = [every.write(j, x) for every, x in zip(found, new)]
        return j + 1, found, state

    found = [tf.TensorArray(q.dtype, count) for _ in range(parts)]
    _, found, state = tf.while_loop(
        lambda j, found, state: j < count, block, (0, found, state)
    )
    joined = (tf.transpose(x.stack(), (1, 2, 0, 3, 4)) for x in found)
    shape = (-1, k.shape[1], keys + extra, width)
    return state, [tf.reshape(x, shape)[:, :, :keys] for x in joined]


# endregion


# region try
if __name__ == "__main__":
    k = tf.linspace(0.0, 1.0, 40)
    q = k = v = tf.reshape(k, (1, 2, 5, 4))  # B H N D

    def highest(state, kj, vj, s, seen):
        return tf.maximum(state, tf.reduce_max(s, axis=3)), (kj,)

    state = lowest_like(q[..., 0])  # B H N
    state, (k2,) = scan_blocks(
        highest, state, q, k, v, None, causal=True, size=2, parts=1
    )
    print(state.shape, bool(tf.reduce_all(k == k2)))
# endregion


# region what differs here
# alignment: a while_loop wants blocks of one size: the keys are padded,
# and the padding is not seen; under XLA (2.21.0) a gather takes a block
# by its number, a slice of unknown start does not compile
# endregion

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
import tensorflow as tf

from tf_impl.precision import lowest_like

# endregion


# region function
def scan_blocks(step, state, q, k, v, attn_mask, causal, size, like=()):
    keys = tf.shape(k)[2]  # k.shape may have None
    padding = -keys % size
    count, heads = (keys + padding) // size, k.shape[1]
    shape = (-1, heads, count, size)
    paddings = [[0, 0], [0, 0], [0, padding], [0, 0]]
    widths = [x.shape[3] for x in like]
    k, v = (
        tf.reshape(tf.pad(x, paddings), (*shape, x.shape[3]))
        for x in (k, v)
    )  # B H blocks J D, and E
    m = tf.reshape(tf.range(keys + padding), (count, size))
    n = tf.range(tf.shape(q)[2])[:, None]
    if attn_mask is not None:
        leading = tf.shape(attn_mask)[:-1]
        shape = tf.concat([leading, [keys]], 0)
        attn_mask = tf.broadcast_to(attn_mask, shape)  # ... M
        paddings = [[0, 0]] * (attn_mask.shape.rank - 1)
        attn_mask = tf.pad(attn_mask, [*paddings, [0, padding]])
        shape = tf.concat([leading, [count, size]], 0)
        attn_mask = tf.reshape(attn_mask, shape)  # ... blocks J

    def block_step(block, outputs, state):
        k_block = tf.gather(k, block, axis=2)  # B H J D
        v_block = tf.gather(v, block, axis=2)  # B H J E
        scores = tf.einsum("bhnd,bhjd->bhnj", q, k_block)  # B H N J
        m_block = tf.gather(m, block)
        allowed = m_block < keys
        if attn_mask is not None:
            allowed = tf.gather(attn_mask, block, axis=-2)
        if causal:
            allowed = allowed & (m_block <= n)
        scores = tf.where(allowed, scores, lowest_like(scores))
        state, new = step(state, k_block, v_block, scores, allowed)
        outputs = [o.write(block, x) for o, x in zip(outputs, new)]
        return block + 1, outputs, state

    outputs = [tf.TensorArray(q.dtype, count) for _ in like]
    _, outputs, state = tf.while_loop(
        lambda block, *_: block < count, block_step, (0, outputs, state)
    )
    axes = (1, 2, 0, 3, 4)  # B H blocks J ...
    outputs = [tf.transpose(x.stack(), axes) for x in outputs]
    shape = (-1, heads, keys + padding)
    outputs = [
        tf.reshape(x, (*shape, width))[:, :, :keys]
        for x, width in zip(outputs, widths)
    ]
    return state, outputs


# endregion


# region try
if __name__ == "__main__":
    k = tf.linspace(0.0, 1.0, 40)
    q = k = v = tf.reshape(k, (1, 2, 5, 4))  # B H N D

    def max_step(state, k_block, v_block, scores, allowed):
        return tf.maximum(state, tf.reduce_max(scores, axis=3)), (
            k_block,
        )

    row_max = lowest_like(q[..., 0])  # B H N
    row_max, (joined,) = scan_blocks(
        max_step, row_max, q, k, v, None, True, size=2, like=(k,)
    )
    print(row_max.shape, bool(tf.reduce_all(k == joined)))
# endregion


# region what differs here
# alignment: a while_loop wants blocks of one size: the keys are padded,
# and the padding is not seen; under XLA (2.21.0) a gather takes a block
# by its number, a slice of unknown start does not compile
# endregion

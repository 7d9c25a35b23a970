"""Gradient of attention_tiled: it computes the weights a second time.

The forward pass keeps row_max and row_sum of each query, not the N x M
weights: with these two, each block of weights is computed again from
its scores. That takes two passes over the keys. The first sums
row_dot_n = sum_m w_nm dw_nm, the second has the gradients. The shorter
row_dot_n = sum_e dy_ne y_ne would save the first pass, but it loses
digits where a weight is near 1.

Axes:   B, H, N, M, D, E, J as in attention_blocks; below without B, H
Grads:  score_nm = sum_d q_nd k_md, q times the scale already
        w_nm = exp(score_nm - row_max_n) / row_sum_n
        dw_nm = sum_e dy_ne v_me; dscore_nm = w_nm (dw_nm - row_dot_n)
        dq_nd = sum_m dscore_nm k_md; dk_md = sum_n dscore_nm q_nd
        dv_me = sum_n w_nm dy_ne
Ref:    Dao, Fu, Ermon, Rudra, Re 2022, NeurIPS, alg. 4
"""

# region imports
import tensorflow as tf

from tf_impl.attention_blocks import scan_blocks

# endregion


# region gradient rule
def attention_tiled_backward(dy, saved, causal, size):
    q, k, v, attn_mask, row_max, row_sum = saved
    inputs = (q, k, v, attn_mask, causal, size)

    def recompute(v_block, scores, allowed):
        weights = tf.exp(scores - row_max) / row_sum
        weights = tf.where(allowed, weights, tf.zeros_like(scores))
        dweights = tf.einsum("bhne,bhje->bhnj", dy, v_block)
        return weights, dweights  # B H N J

    def row_dot_step(state, k_block, v_block, scores, allowed):
        weights, dweights = recompute(v_block, scores, allowed)
        block_dot = tf.reduce_sum(
            weights * dweights, axis=3, keepdims=True
        )
        return (state[0] + block_dot,), ()

    def gradient_step(state, k_block, v_block, scores, allowed):
        weights, dweights = recompute(v_block, scores, allowed)
        dscores = weights * (dweights - row_dot)
        dq = state[0] + tf.einsum("bhnj,bhjd->bhnd", dscores, k_block)
        dk = tf.einsum("bhnj,bhnd->bhjd", dscores, q)
        dv = tf.einsum("bhnj,bhne->bhje", weights, dy)
        return (dq,), (dk, dv)

    row_dot = tf.zeros_like(row_max)  # B H N 1
    (row_dot,), _ = scan_blocks(row_dot_step, (row_dot,), *inputs)
    dq = tf.zeros_like(q)
    (dq,), (dk, dv) = scan_blocks(
        gradient_step, (dq,), *inputs, like=(k, v)
    )
    return dq, dk, dv


# endregion


# region try
if __name__ == "__main__":
    dy = q = k = v = tf.ones((1, 2, 5, 4))  # B H N D
    row_max = tf.fill((1, 2, 5, 1), 4.0)  # all scores are 4
    row_sum = tf.fill((1, 2, 5, 1), 5.0)  # 5 keys, each exp(0)
    saved = (q, k, v, None, row_max, row_sum)
    dq, dk, dv = attention_tiled_backward(dy, saved, False, size=2)
    print(dq.shape, dk.shape, dv.shape)
# endregion

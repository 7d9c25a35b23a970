"""Attention backward: a kernel for dq, then one for dk and dv.

w_nm = exp(scale (s_nm - t_n)) / l_n;  g_nm = sum_d dy_nd v_md
f_n = sum_m w_nm g_nm;  ds_nm = w_nm (g_nm - f_n)
dq_nd = scale sum_m ds_nm k_md;  dk_md = scale sum_n ds_nm q_nd
dv_md = sum_n w_nm dy_nd

dq_kernel, a tile of queries, goes over the keys twice, first for f_n:
sum_d dy_nd y_nd would save that, but loses digits where w is near 1.
dkdv_kernel, a tile of keys, goes over the queries of all its heads.
No number is added to by two programs: the same bits every time.
Memory: name_ref is in the GPU's memory, name in registers
"""

# region imports
import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from jax_impl.kernels.pallas_tiles import (
    dot,
    over_keys,
    over_queries,
    scores,
    seen,
    weights,
)

# endregion


# region kernels
def dq_kernel(
    q_ref,
    k_ref,
    v_ref,
    mask_ref,
    dy_ref,
    top_ref,
    total_ref,
    dq_ref,
    f_ref,
    *,
    tiles,
):
    n = pl.program_id(0) * tiles.tile
    q, dy = q_ref[...], dy_ref[...]  # N D
    top, inverse = top_ref[...], 1 / total_ref[...]  # N
    shape = tiles.tile, tiles.step

    def of_block(m, edge):
        k = k_ref[pl.ds(m, tiles.step), :]  # M D
        v = v_ref[pl.ds(m, tiles.step), :]  # M D
        s = scores(tiles, q, k)  # N M
        w = weights(tiles, s, top[:, None]) * inverse[:, None]
        allowed = seen(tiles, mask_ref, 0, n, m, shape, edge)
        if allowed is not None:
            w = jnp.where(allowed, w, 0.0)
        return k, w, dot(dy, v, axis=1)

    def first(m, f, edge):
        _, w, g = of_block(m, edge)
        return f + jnp.sum(w * g, axis=1)

    def second(m, dq, edge):
        k, w, g = of_block(m, edge)
        ds = w * (g - f[:, None])
        return dq + dot(ds.astype(k.dtype), k)

    f = over_keys(tiles, n, first, jnp.zeros(shape[:1], jnp.float32))
    zeros = jnp.zeros(q.shape, jnp.float32)
    dq = over_keys(tiles, n, second, zeros) * tiles.scale
    dq_ref[...] = dq.astype(dq_ref.dtype)
    f_ref[...] = f


def dkdv_kernel(
    q_ref,
    k_ref,
    v_ref,
    mask_ref,
    dy_ref,
    top_ref,
    total_ref,
    f_ref,
    dk_ref,
    dv_ref,
    *,
    tiles,
):
    m = pl.program_id(0) * tiles.tile
    k, v = k_ref[...], v_ref[...]  # M D
    shape = tiles.step, tiles.tile

    def of_head(head, state):
        def body(n, state, edge):
            dk, dv = state
            rows = pl.ds(n, tiles.step)
            q, dy = q_ref[head, rows, :], dy_ref[head, rows, :]  # N D
            top, f = top_ref[head, rows], f_ref[head, rows]  # N
            inverse = 1 / total_ref[head, rows]
            s = scores(tiles, k, q)  # M N
            w = weights(tiles, s, top[None, :]) * inverse[None, :]
            allowed = seen(tiles, mask_ref, head, n, m, shape, edge)
            if allowed is not None:
                w = jnp.where(allowed.T, w, 0.0)
            ds = w * (dot(v, dy, axis=1) - f[None, :])
            dk = dk + dot(ds.astype(q.dtype), q)
            return dk, dv + dot(w.astype(dy.dtype), dy)

        return over_queries(tiles, m, body, state)

    zeros = jnp.zeros(k.shape, jnp.float32)
    heads = jnp.int32(q_ref.shape[0])
    dk, dv = jax.lax.fori_loop(0, heads, of_head, (zeros, zeros))
    dk_ref[...] = (dk * tiles.scale).astype(dk_ref.dtype)
    dv_ref[...] = dv.astype(dv_ref.dtype)


# endregion

"""Attention forward, one program for a tile of queries of one head.

s_nm = sum_d q_nd k_md;  t_n = max_m s_nm so far
w_nm = exp(scale (s_nm - t_n)), a power of 2;  l_n = sum_m w_nm
y_nd = sum_m w_nm v_md / l_n, by blocks of keys; when t_n grows, l_n and
y_nd are scaled by exp(scale (old t_n - new t_n))

Memory: name_ref is in the GPU's memory, name in registers
        q_ref, y_ref (tile, D), k_ref, v_ref (M, D), mask_ref (1, N, M)
        top_ref, total_ref (tile): t_n and l_n for the backward kernels
"""

# region imports
import jax.numpy as jnp
from jax.experimental import pallas as pl

from jax_impl.kernels.pallas_tiles import (
    dot,
    over_keys,
    scores,
    seen,
    weights,
)

# endregion


# region kernel
def forward_kernel(
    q_ref, k_ref, v_ref, mask_ref, y_ref, top_ref, total_ref, *, tiles
):
    n = pl.program_id(0) * tiles.tile
    q = q_ref[...]  # N D
    shape = tiles.tile, tiles.step
    lowest = jnp.finfo(jnp.float32).min

    def body(m, state, edge):
        y, top, total = state
        k = k_ref[pl.ds(m, tiles.step), :]  # M D
        v = v_ref[pl.ds(m, tiles.step), :]  # M D
        s = scores(tiles, q, k)  # N M
        allowed = seen(tiles, mask_ref, 0, n, m, shape, edge)
        if allowed is not None:
            s = jnp.where(allowed, s, lowest)
        high = jnp.maximum(top, jnp.max(s, axis=1))  # N
        w = weights(tiles, s, high[:, None])
        if allowed is not None:
            w = jnp.where(allowed, w, 0.0)
        shrink = weights(tiles, top, high)
        total = total * shrink + jnp.sum(w, axis=1)
        y = y * shrink[:, None] + dot(w.astype(v.dtype), v)
        return y, high, total

    y = jnp.zeros(q.shape, jnp.float32)
    top = jnp.full(shape[:1], lowest, jnp.float32)
    state = y, top, jnp.zeros(shape[:1], jnp.float32)
    y, top, total = over_keys(tiles, n, body, state)
    total = jnp.where(total == 0, 1.0, total)
    y_ref[...] = (y / total[:, None]).astype(y_ref.dtype)
    top_ref[...] = top
    total_ref[...] = total


# endregion

"""Tiles: what the forward and backward kernels of attention share.

tiles is a Tiles of pallas_launch. over_keys and over_queries go over
the blocks that a tile needs, first those without an edge: a block where
some key may not be seen, being beyond the last or after the query.
"""

# region imports
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl

# endregion


# region function
def over_keys(tiles, n, body, state):
    """state = body(m, state, edge) for what the tile at n sees."""
    inside = np.int32(tiles.keys // tiles.step)
    stop = np.int32(pl.cdiv(tiles.keys, tiles.step))
    if tiles.causal:
        step = np.int32(tiles.step)
        inside = jnp.minimum(inside, jax.lax.div(n, step))
        stop = jnp.minimum(stop, jax.lax.div(n + tiles.tile, step))
    if tiles.keys >= tiles.step:
        state = over(tiles, np.int32(0), inside, body, state, False)
    return over(tiles, inside, stop, body, state, True)


def over_queries(tiles, m, body, state):
    """state = body(n, state, edge) for what sees the tile at m."""
    first, stop = (
        np.int32(0),
        np.int32(pl.cdiv(tiles.queries, tiles.step)),
    )
    if tiles.causal:
        step = np.int32(tiles.step)
        start = jnp.minimum(stop, jax.lax.div(m, step))
        first = jnp.minimum(stop, jax.lax.div(m + tiles.tile, step))
        state = over(tiles, start, first, body, state, True)
    edge = tiles.keys % tiles.tile > 0
    return over(tiles, first, stop, body, state, edge)


def over(tiles, start, stop, body, state, edge):
    def block(i, state):
        return body(i * tiles.step, state, edge)

    return jax.lax.fori_loop(start, stop, block, state)


def seen(tiles, mask_ref, head, n, m, shape, edge):
    """Which of these queries may see which keys; None if all may."""
    found = None
    if edge:
        key = m + jax.lax.broadcasted_iota(jnp.int32, shape, 1)
        found = key < tiles.keys
    if edge and tiles.causal:
        query = n + jax.lax.broadcasted_iota(jnp.int32, shape, 0)
        found = found & (key <= query)
    if mask_ref is not None:
        rows, columns = (
            pl.ds(0, 1) if size == 1 else pl.ds(start, count)
            for size, start, count in zip(
                mask_ref.shape[1:], (n, m), shape
            )
        )
        head = head if mask_ref.shape[0] > 1 else 0
        part = mask_ref[head, rows, columns]
        found = part if found is None else found & part
    return found


def scores(tiles, a, b):
    """s_ab = sum_d a_ad b_bd, negated where the scale is negative."""
    s = dot(a, b, axis=1)
    return -s if tiles.scale < 0 else s


def weights(tiles, s, top):
    """exp(|scale| (s - top)) in base 2. The difference comes first: a
    product before it may be fused or not, and then w is not 1 at top.
    """
    return jnp.exp2((s - top) * (abs(tiles.scale) * math.log2(math.e)))


def dot(a, b, axis=0):
    """a b, or a transpose(b) by axis=1, added up in float32."""
    return jax.lax.dot_general(
        a,
        b,
        (((1,), (axis,)), ((), ())),
        precision=jax.lax.Precision.HIGHEST,  # float32: no tf32
        preferred_element_type=jnp.float32,
    )


# endregion

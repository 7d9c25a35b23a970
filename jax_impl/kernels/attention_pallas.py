"""Attention, tiled, as a Pallas kernel: one source for GPU and CPU.

y_bhnd = sum_m w_bhnm v_bgmd, as in attention, by blocks of keys and
with memory O(N); pallas_forward and pallas_backward hold the kernels

Axes:   as in attention; a program has block_size queries, or keys, and
        loads the others by half as many; None: 128, or less where a
        row is long; N, M, D are filled up with zeros to fit
        interpret: without the compiler; None: where there is no GPU
Grads:  q, k, v as in attention_tiled; always the same bits; first order
        only, NotImplementedError at the second
Raises: as attention; TypeError for float64; ValueError if block_size is
        no power of two of 16 or more
Ladder: attention, attention_tiled, kernels/attention_pallas
Ref:    Dao 2023, arXiv 2307.08691, alg. 1 and 2
"""

# region imports
import functools
import math

import jax
import jax.numpy as jnp

from jax_impl.checks import check_attention, check_input
from jax_impl.kernels.pallas_backward import dkdv_kernel, dq_kernel
from jax_impl.kernels.pallas_forward import forward_kernel
from jax_impl.kernels.pallas_launch import (
    NARROW,
    Tiles,
    check_block,
    fill,
    key_specs,
    launch,
    mask_spec,
    query_specs,
)

# endregion


# region gradient rule
def attention_pallas_forward(q, k, v, attn_mask, tiles):
    queries, width = q.shape[2:]
    q, k, v, attn_mask = fill(tiles, q, k, v, attn_mask)
    tile, keys, vector = query_specs(tiles, q, k)
    takes = tile, keys, keys, mask_spec(attn_mask, 1)
    kept = q.shape[:3], jnp.float32, vector
    gives = [(q.shape, q.dtype, tile), kept, kept]
    grid = q.shape[2] // tiles.tile, q.shape[1], q.shape[0]
    every = q, k, v, attn_mask
    found = launch(forward_kernel, tiles, grid, takes, gives, *every)
    y, top, total = found
    return y[:, :, :queries, :width], top, total


def attention_pallas_backward(dy, saved, tiles):
    q, k, v, attn_mask, top, total = saved
    queries, keys, width = *q.shape[2:3], *k.shape[2:]
    q, k, v, attn_mask, dy = fill(tiles, q, k, v, attn_mask, dy)
    every = q, k, v, attn_mask, dy, top, total
    tile, rows, vector = query_specs(tiles, q, k)
    takes = tile, rows, rows, mask_spec(attn_mask, 1), tile
    takes = *takes, vector, vector
    kept = q.shape[:3], jnp.float32, vector
    gives = [(q.shape, q.dtype, tile), kept]
    grid = q.shape[2] // tiles.tile, q.shape[1], q.shape[0]
    dq, f = launch(dq_kernel, tiles, grid, takes, gives, *every)
    tile, rows, vector = key_specs(tiles, q, k)
    repeats = q.shape[1] // k.shape[1]
    takes = rows, tile, tile, mask_spec(attn_mask, repeats), rows
    takes = *takes, vector, vector, vector
    gives = [(k.shape, k.dtype, tile)] * 2
    grid = k.shape[2] // tiles.tile, k.shape[1], k.shape[0]
    every = *every, f
    dk, dv = launch(dkdv_kernel, tiles, grid, takes, gives, *every)
    found = (dq, queries), (dk, keys), (dv, keys)
    return tuple(x[:, :, :size, :width] for x, size in found)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def attention_pallas_rule(q, k, v, attn_mask, tiles):
    return attention_pallas_forward(q, k, v, attn_mask, tiles)[0]


def keep(q, k, v, attn_mask, tiles):
    y, *kept = attention_pallas_forward(q, k, v, attn_mask, tiles)
    return y, (q, k, v, attn_mask, *kept)


def pull(tiles, saved, dy):
    return *attention_pallas_backward(dy, saved, tiles), None


attention_pallas_rule.defvjp(keep, pull)
# endregion


# region function
def attention_pallas(
    q,
    k,
    v,
    attn_mask=None,
    causal=False,
    scale=None,
    block_size=None,
    interpret=None,
):
    where = "attention_pallas"
    check_attention(where, q, k, v, attn_mask)
    check_input(where, q, "B H N D", NARROW, "q")
    block_size = check_block(where, q, block_size)
    if interpret is None:
        interpret = jax.default_backend() != "gpu"
    scale = 1 / math.sqrt(q.shape[3]) if scale is None else float(scale)
    if 0 in q.shape:
        return jnp.zeros(q.shape, q.dtype)
    tiles = Tiles(
        tile=block_size,
        step=max(16, block_size // 2),
        queries=q.shape[2],
        keys=k.shape[2],
        scale=scale,
        causal=bool(causal),
        interpret=interpret,
    )
    return attention_pallas_rule(q, k, v, attn_mask, tiles)


# endregion


# region try
if __name__ == "__main__":
    q = k = v = jnp.ones((1, 2, 100, 16))  # B H N D
    print(attention_pallas(q, k, v, causal=True).shape)
# endregion

"""Attention, tiled, as a Pallas kernel: one source for GPU and CPU.

y_bhnd = sum_m w_bhnm v_bgmd, as in attention, by blocks of keys, with
memory O(N); the kernels are in pallas_forward and pallas_backward

Axes:   as in attention; a program has block_size queries, or keys, and
        loads the others by half as many; None: 128, or less where a
        row is long; N, M, D are filled up with zeros to fit
        interpret: without a compiler; None: where there is no GPU
Grads:  q, k, v as in attention_tiled; always the same bits; first order
        only, NotImplementedError at the second
Raises: as attention; TypeError for float64; ValueError if block_size is
        no power of two of 16 or more
Ladder: attention, attention_tiled, attention_pallas, attention_builtin
Ref:    Dao 2023, arXiv 2307.08691, alg. 1 and 2
"""

# region imports
import functools
import math

import jax
import jax.numpy as jnp

from jax_impl.attention_checks import check_attention
from jax_impl.checks import check_input
from jax_impl.kernels.pallas_backward import dkdv_kernel, dq_kernel
from jax_impl.kernels.pallas_forward import forward_kernel
from jax_impl.kernels.pallas_launch import (
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
    rows, columns = q.shape[2:]
    every = q, k, v, attn_mask = fill(tiles, q, k, v, attn_mask)
    tile, keys, vector = query_specs(tiles, q, k)
    takes = tile, keys, keys, mask_spec(attn_mask, 1)
    numbers = q.shape[:3], jnp.float32, vector
    gives = (q.shape, q.dtype, tile), numbers, numbers
    y, *kept = launch(forward_kernel, tiles, q, takes, gives, *every)
    return y[:, :, :rows, :columns], *kept


def attention_pallas_backward(dy, saved, tiles):
    shapes = [x.shape[2:] for x in saved[:3]]
    *every, top, total = saved
    every = q, k, _, attn_mask, _ = fill(tiles, *every, dy)
    tile, keys, vector = query_specs(tiles, q, k)
    takes = tile, keys, keys, mask_spec(attn_mask, 1), tile
    takes, every = (*takes, vector, vector), (*every, top, total)
    gives = (q.shape, q.dtype, tile), (top.shape, top.dtype, vector)
    dq, f = launch(dq_kernel, tiles, q, takes, gives, *every)
    tile, queries, vectors = key_specs(tiles, q, k)
    masks = mask_spec(attn_mask, q.shape[1] // k.shape[1])
    takes = queries, tile, tile, masks, queries, *[vectors] * 3
    gives = [(k.shape, k.dtype, tile)] * 2
    every = *every, f
    dk, dv = launch(dkdv_kernel, tiles, k, takes, gives, *every)
    found = zip((dq, dk, dv), shapes)
    return tuple(x[:, :, :rows, :width] for x, (rows, width) in found)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def attention_pallas_rule(q, k, v, attn_mask, tiles):
    return attention_pallas_forward(q, k, v, attn_mask, tiles)[0]


def attention_pallas_fwd(q, k, v, attn_mask, tiles):
    y, *kept = attention_pallas_forward(q, k, v, attn_mask, tiles)
    return y, (q, k, v, attn_mask, *kept)


def attention_pallas_bwd(tiles, saved, dy):
    return *attention_pallas_backward(dy, saved, tiles), None


attention_pallas_rule.defvjp(attention_pallas_fwd, attention_pallas_bwd)
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
    caller = "attention_pallas"
    check_attention(caller, q, k, v, attn_mask)
    check_input(caller, v, "B G M D", array="v", D=q.shape[3])
    tile, step = check_block(caller, q, block_size)
    if interpret is None:
        interpret = jax.default_backend() != "gpu"
    scale = 1 / math.sqrt(q.shape[3]) if scale is None else float(scale)
    tiles = tile, step, q.shape[2], k.shape[2], scale, causal, interpret
    if q.size == 0:
        return jnp.zeros_like(q)
    return attention_pallas_rule(q, k, v, attn_mask, Tiles(*tiles))


# endregion


# region try
if __name__ == "__main__":
    q = jnp.ones((1, 2, 100, 16))  # B H N D
    print(attention_pallas(q, q, q, causal=True).shape)
# endregion

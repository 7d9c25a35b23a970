"""Launch: how arrays are cut into tiles for the attention kernels.

Tiles(tile, step, queries, keys, scale, causal, interpret):
    tile    rows of a program, in registers: queries or keys
    step    rows that it loads at a time: the keys or queries against it
A spec says which part of an array a program gets; the grid has a
program for each tile, head and sample, and None drops an axis.
"""

# region imports
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from jax_impl.arguments import whole
from jax_impl.checks import check_input

# endregion


# region tiles
NARROW = ["float32", "float16", "bfloat16"]


class Tiles(NamedTuple):
    tile: int
    step: int
    queries: int
    keys: int
    scale: float
    causal: bool
    interpret: bool


def check_block(caller, q, block_size):
    """(tile, step) by block_size, or what fits into registers."""
    check_input(caller, q, "B H N D", NARROW, "q")
    if block_size is None:
        row = row_width(q) * q.dtype.itemsize**2
        block_size = max(16, min(128, 65536 // row))
    block_size = whole(f"{caller}: block_size", block_size, 16)
    if block_size & (block_size - 1):
        want = "a power of two"
        raise ValueError(
            f"{caller}: block_size expected {want}, got {block_size}"
        )
    return block_size, max(16, block_size // 2)


def row_width(q):
    return max(16, pl.next_power_of_2(q.shape[3]))


def fill(tiles, q, k, v, attn_mask, *dy):
    """Zeros after the last rows and columns; whole tiles of 2^i."""
    rows, columns = (
        pl.cdiv(size, tiles.tile) * tiles.tile
        for size in (tiles.queries, tiles.keys)
    )
    width = row_width(q)
    if attn_mask is not None:
        shape = (1,) * (4 - attn_mask.ndim) + attn_mask.shape
        attn_mask = jnp.reshape(attn_mask, shape)
        sizes = zip(shape[2:], (rows, columns))  # 1 broadcasts
        sizes = [1 if size == 1 else whole for size, whole in sizes]
        attn_mask = pad(attn_mask, *sizes)
    q, *dy = (pad(x, rows, width) for x in (q, *dy))
    k, v = (pad(x, columns, width) for x in (k, v))
    return q, k, v, attn_mask, *dy


def pad(x, *sizes):
    more = [(0, size - old) for size, old in zip(sizes, x.shape[2:])]
    return jnp.pad(x, [(0, 0), (0, 0), *more])


# endregion


# region specs
def query_specs(tiles, q, k):
    """For a tile of queries: its rows, all its keys, its numbers."""
    repeats = np.int32(q.shape[1] // k.shape[1])
    rows, columns = (None, None, tiles.tile), (None, None, *k.shape[2:])

    def group(i, h, b):
        return b, jax.lax.div(h, repeats), 0, 0

    return (
        pl.BlockSpec((*rows, q.shape[3]), lambda i, h, b: (b, h, i, 0)),
        pl.BlockSpec(columns, group),
        pl.BlockSpec(rows, lambda i, h, b: (b, h, i)),
    )


def key_specs(tiles, q, k):
    """For a tile of keys: its rows, all its queries, their numbers."""
    tile = None, None, tiles.tile, k.shape[3]
    rows = None, q.shape[1] // k.shape[1], q.shape[2]
    return (
        pl.BlockSpec(tile, lambda i, g, b: (b, g, i, 0)),
        pl.BlockSpec((*rows, q.shape[3]), lambda i, g, b: (b, g, 0, 0)),
        pl.BlockSpec(rows, lambda i, g, b: (b, g, 0)),
    )


def mask_spec(attn_mask, heads):
    """The mask of so many heads, all queries and all keys."""
    if attn_mask is None:
        return None
    samples, each, *rest = attn_mask.shape

    def at(i, h, b):
        return b if samples > 1 else 0, h if each > 1 else 0, 0, 0

    return pl.BlockSpec((None, heads if each > 1 else 1, *rest), at)


# endregion


# region launch
def launch(kernel, tiles, rows, takes, gives, *arrays):
    """A program for each tile of rows (B, H, N, D).

    takes: the specs of the arrays; gives: (shape, dtype, spec) of each
    """
    samples, heads, count = rows.shape[:3]
    call = pl.pallas_call(
        functools.partial(kernel, tiles=tiles),
        grid=(count // tiles.tile, heads, samples),
        in_specs=list(takes),
        out_specs=[spec for _, _, spec in gives],
        out_shape=[jax.ShapeDtypeStruct(*rest) for *rest, _ in gives],
        interpret=tiles.interpret,
        compiler_params=triton.CompilerParams(
            num_warps=8 if tiles.tile > 64 else 4, num_stages=2
        ),
    )
    return once(call, *arrays)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def once(call, *arrays):
    return call(*arrays)


@once.defjvp
def refuse(call, arrays, tangents):
    raise NotImplementedError("attention_pallas: first order only")


# endregion

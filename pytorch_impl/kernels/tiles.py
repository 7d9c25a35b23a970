"""How the kernels of quantizers read x: in tiles, one to a program.

x, contiguous, is read as M rows of K numbers, in tiles BLOCK_M BLOCK_K.
    rows      one step a row: x is (outer channels, inner)
    columns   one step a column, or a few: x is (outer, channels inner)
A sum over what shares a step runs along the longer of the two. Without
an axis there is one row. Rows whose K is a multiple of 16 are loaded
and stored 128 bits at a time, others number by number.
Offsets have 64 bits; m and k only where 32 are not enough.
"""

# region imports
import math
from typing import NamedTuple

import torch

from pytorch_impl.checks import check_input
from pytorch_impl.kernels import operators
from pytorch_impl.quantization.codes import check_axis, check_step

# endregion


# region function
# 32 numbers a thread of the usual 4 warps, in 128-bit loads: 16 KiB of
# float32 in flight in each block
TILE = 4096
COLUMNS = 128  # a warp reads a row of it at once
NARROW = 2**31 - 2 * TILE  # m and k below it need 32 bits


class Tiles(NamedTuple):
    outer: int
    channels: int
    inner: int
    rows: bool
    M: int
    K: int
    block_m: int
    block_k: int

    @property
    def grid(self):
        """Tiles down and across."""
        return cdiv(self.M, self.block_m), cdiv(self.K, self.block_k)

    @property
    def sizes(self):
        sizes = dict(M=self.M, K=self.K, across=self.grid[1])
        sizes |= dict(BLOCK_M=self.block_m, BLOCK_K=self.block_k)
        wide = self.M > NARROW or self.K > NARROW
        return sizes | dict(WIDE=bool(wide))

    @property
    def steps(self):
        names = dict(channels=self.channels, inner=self.inner)
        return names | dict(ROWS=self.rows)


def cdiv(a, b):
    return (a + b - 1) // b


def tiles_of(x, axis=None):
    outer, channels, inner = 1, 1, x.numel()
    if axis is not None:
        axis %= len(x.shape)
        outer = math.prod(x.shape[:axis])
        channels = x.shape[axis]
        inner = math.prod(x.shape[axis + 1 :])
    rows = bool(inner >= outer)
    if rows:
        height, width = outer * channels, inner
    else:
        height, width = outer, channels * inner
    most = TILE if rows else COLUMNS
    block_k = 8  # a byte of a mask
    while block_k < most and block_k < width:
        block_k *= 2
    sizes = outer, channels, inner, rows, height, width
    return Tiles(*sizes, TILE // block_k, block_k)


def check_tiled(caller: str, x, step, axis, array: str):
    only = ("float32", "float16", "bfloat16")
    check_input(caller, x, "...", only)
    check_input(caller, step, "...", ["float32"], array)
    check_step(caller, step, check_axis(caller, x, axis), array)


def readable(x):
    """Contiguous; the interpreter cuts bfloat16 off, so it gets float32."""
    if operators.INTERPRETED and x.dtype == torch.bfloat16:
        x = x.float()
    return x.contiguous()


def start(kernel, tiles, *pointers, **more):
    """One program a tile; none for an empty tensor."""
    down, across = tiles.grid
    if down * across > 0:
        run = operators.launch(kernel)[(down * across,)]
        run(*pointers, **tiles.sizes, **more)


# endregion

"""Attention in Triton, how its kernels are launched.

arguments    the tensors, numbers and constants that each of them gets
options      the constants of one row of Tiles
start        one program for each block of rows of each head

Strides are in elements; an attn_mask is broadcast by strides of 0.
"""

# region imports
import math

import torch
import triton

from pytorch_impl.kernels.operators import launch

# endregion


# region launch
def arguments(q, k, v, attn_mask, causal, scale):
    """What every kernel gets: tensors, numbers, constants."""
    seen = q  # an address that is not read
    if attn_mask is not None:
        seen = attn_mask.expand(*q.shape[:3], k.shape[2])
    lower = torch.get_float32_matmul_precision() != "highest"
    heads, groups = q.shape[1], k.shape[1]
    strides = [s for x in (q, k, v) for s in x.stride()[:3]]
    sizes = q.shape[2], k.shape[2], q.shape[3]
    numbers = heads, heads // groups, *sizes, *strides, *seen.stride()
    constants = dict(
        CAUSAL=causal,
        MASKED=attn_mask is not None,
        PRECISION="tf32" if lower else "ieee",
        W=max(16, triton.next_power_of_2(q.shape[3])),
    )
    return (q, k, v, seen), scale / math.log(2), numbers, constants


def workspace(size: int, alignment: int, stream):
    """Where descriptors are made."""
    return torch.empty(size, device="cuda", dtype=torch.int8)


def options(tiles):
    names = "BLOCK_N", "BLOCK_M", "num_warps", "num_stages", "TMA"
    return dict(zip(names, tiles))


def start(kernel, rows, block, *inputs, **constants):
    """One program for each block of rows of each head."""
    count = rows.shape[0] * rows.shape[1]
    grid = (count * triton.cdiv(rows.shape[2], block),)
    if constants.get("TMA"):
        triton.set_allocator(workspace)
    if grid[0]:
        launch(kernel)[grid](*inputs, **constants)


# endregion

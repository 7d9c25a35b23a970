"""Attention, the sizes of its tiles: what registers and memory hold.

attention_tiles(width, dtype, hopper) gives one row for each kernel:
forward, keys (dk and dv), queries (dq).
queries, keys   rows of a tile
warps, stages   of a program; tiles that are loaded ahead
tma             by descriptors; they need aligned rows
specialized     loads in a warp of their own; 4 warps, Hopper only

Compiled by Triton 3.6.0 for sm_90a and sm_80 they fit without spilling,
as test_attention_triton.py shows; which is fastest is for
docs/performance/ to say.
"""

# region imports
from typing import NamedTuple

import torch

# endregion


# region function
class Tiles(NamedTuple):
    queries: int
    keys: int
    warps: int
    stages: int
    tma: bool = False
    specialized: bool = False


# by the width that they reach to
HOPPER = {
    64: (
        Tiles(128, 128, 8, 3, tma=True),
        Tiles(64, 128, 8, 2, tma=True),
        Tiles(128, 64, 8, 2, tma=True),
    ),
    128: (
        Tiles(128, 128, 8, 2, tma=True),
        Tiles(64, 64, 8, 2, tma=True),
        Tiles(128, 64, 8, 2, tma=True),
    ),
    256: (
        Tiles(128, 64, 8, 2, tma=True),
        Tiles(16, 64, 8, 1, tma=True),
        Tiles(64, 16, 8, 1, tma=True),
    ),
}
ANY = {
    64: (Tiles(64, 64, 4, 2), Tiles(32, 32, 8, 2), Tiles(64, 32, 4, 2)),
    128: (
        Tiles(64, 32, 4, 2),
        Tiles(32, 64, 8, 1),
        Tiles(64, 32, 8, 2),
    ),
    256: (
        Tiles(64, 32, 8, 1),
        Tiles(16, 32, 8, 1),
        Tiles(32, 32, 8, 1),
    ),
}
FLOAT32 = {
    64: (
        Tiles(32, 32, 8, 1),
        Tiles(16, 32, 8, 1),
        Tiles(32, 16, 8, 1),
    ),
    128: (
        Tiles(32, 16, 8, 1),
        Tiles(16, 16, 8, 1),
        Tiles(16, 16, 8, 1),
    ),
    256: (
        Tiles(16, 16, 8, 1),
        Tiles(16, 16, 8, 1),
        Tiles(16, 16, 8, 1),
    ),
}


def attention_tiles(width: int, dtype, hopper: bool):
    table = HOPPER if hopper else ANY
    table = FLOAT32 if dtype == torch.float32 else table
    return table[min(size for size in table if size >= width)]


def candidates(width: int):
    """Other rows for the forward kernel on Hopper, for a benchmark."""
    stages = 3 if width <= 64 else 2
    keys = 128 if width <= 128 else 64
    return [
        Tiles(128, 64, 8, stages),
        Tiles(128, keys, 4, stages, tma=True, specialized=True),
    ]


# endregion

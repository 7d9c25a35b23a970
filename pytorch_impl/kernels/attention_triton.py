"""Attention in Triton: tiles of keys pass through shared memory.

The numbers of attention, in memory that grows with N + M, by
online softmax in base 2; products of float32 are exact to float32, or
tf32 where torch.set_float32_matmul_precision says so; float16 and
bfloat16 are added up in float32. The same bits in every run.

Axes:   as in attention; D at most 256
Grads:  as in attention_tiled, to q, k and v; first order only
Raises: as attention; TypeError if q is of float64, ValueError if D is
        above 256
Ladder: attention, attention_tiled, kernels/attention_triton with
        attention_forward, attention_dot, attention_keys and
        attention_queries, one kernel each
Ref:    Dao 2023, arXiv 2307.08691
"""

# region imports
import math

import torch

from pytorch_impl.attention_checks import check_attention
from pytorch_impl.checks import check_input
from pytorch_impl.kernels.attention_operators import (
    attention_triton_forward,
)
from pytorch_impl.kernels.attention_tiles import attention_tiles
from pytorch_impl.kernels.operators import INTERPRETED

# endregion


# region function
DTYPES = ["float32", "float16", "bfloat16"]


def aligned(x):
    """May a descriptor read it? Rows begin at multiples of 16 bytes."""
    steps = *x.stride()[:3], x.storage_offset(), x.shape[3]
    return all(step * x.element_size() % 16 == 0 for step in steps)


def pick_tiles(q, k, v):
    major, _ = (
        torch.cuda.get_device_capability() if q.is_cuda else (0, 0)
    )
    rows = attention_tiles(q.shape[3], q.dtype, major == 9)
    # a traced kernel has no allocator for descriptors (torch 2.11)
    if torch.compiler.is_compiling() or not all(
        map(aligned, (q, k, v))
    ):
        rows = [
            row._replace(tma=False, specialized=False) for row in rows
        ]
    return rows


def attention_triton(
    q, k, v, attn_mask=None, causal=False, scale=None, tiles=None
):
    check_attention("attention_triton", q, k, v, attn_mask)
    check_input("attention_triton", q, "B H N D", DTYPES, "q")
    width = q.shape[3]
    check_input("attention_triton", v, "B G M D", None, "v", D=width)
    if width > 256:
        raise ValueError(
            f"attention_triton: D expected at most 256, got {width}"
        )
    scale = 1 / math.sqrt(width) if scale is None else float(scale)
    dtype = q.dtype
    if INTERPRETED and dtype == torch.bfloat16:
        # Triton 3.6's interpreter gets bfloat16 wrong (issue 11585)
        q, k, v = (x.float() for x in (q, k, v))
    # kernels step through rows whose elements lie side by side
    q, k, v = (
        x if x.stride(3) == 1 else x.contiguous() for x in (q, k, v)
    )
    if tiles is None:
        tiles = pick_tiles(q, k, v)
    every = [int(number) for row in tiles for number in row]
    y, _, _ = attention_triton_forward(
        q, k, v, attn_mask, causal, scale, every
    )
    return y.to(dtype)


# endregion


# region try
if __name__ == "__main__":
    q = k = v = torch.ones((1, 2, 1000, 16))  # B H N D
    print(attention_triton(q, k, v, causal=True).shape)
# endregion

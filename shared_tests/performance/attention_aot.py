"""The attention kernels, compiled where there is no GPU.

python -m shared_tests.performance.attention_aot 90    without TRITON_INTERPRET

One line of JSON for each kernel, for compute capability 90 or 80:
registers of a thread, bytes of stack (where registers spill), bytes of
shared memory and threads of a block.
"""

import json
import sys

import torch

from pytorch_impl.kernels.attention_dot import attention_dot
from pytorch_impl.kernels.attention_forward import attention_forward
from pytorch_impl.kernels.attention_keys import attention_keys
from pytorch_impl.kernels.attention_queries import attention_queries
from pytorch_impl.kernels.attention_tiles import (
    attention_tiles,
    candidates,
)
from shared_tests.performance.aot import compiled, usage

TYPES = {
    torch.float32: "fp32",
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
}
FLOAT32 = ("top_ptr", "total_ptr", "dot_ptr")
NUMBERS = ("scale", "natural")
WIDTHS = (16, 64, 128, 256)


def attention_rows(capability):
    """What every kernel is launched with, by attention_operators."""
    hopper = capability == 90
    # float32 has the same tiles on both
    dtypes = (
        [torch.bfloat16] if hopper else [torch.bfloat16, torch.float32]
    )
    for dtype in dtypes:
        for width in WIDTHS:
            forward, keys, queries = attention_tiles(
                width, dtype, hopper
            )
            work = [(attention_forward, forward)]
            if hopper:
                work += [
                    (attention_forward, t) for t in candidates(width)
                ]
            work += [
                (attention_keys, keys),
                (attention_queries, queries),
            ]
            work += [(attention_dot, queries)]
            for kernel, tiles in work:
                yield kernel, dtype, width, tiles, True


def attention(capability):
    for kernel, dtype, width, tiles, causal in attention_rows(
        capability
    ):
        names = kernel.arg_names
        known = dict.fromkeys(FLOAT32, "*fp32")
        known |= dict.fromkeys(NUMBERS, "fp32")
        types = {
            n: f"*{TYPES[dtype]}" if n.endswith("_ptr") else "i32"
            for n in names
        }
        types |= {n: t for n, t in known.items() if n in names}
        every = dict(
            CAUSAL=causal,
            MASKED=False,
            PRECISION="ieee",
            BLOCK_N=tiles.queries,
            BLOCK_M=tiles.keys,
            W=width,
            TMA=tiles.tma,
            SPECIALIZED=tiles.specialized,
            EXACT=dtype == torch.float32,
            mask_m=1,  # what a call makes of a stride of 1
        )
        constants = {n: c for n, c in every.items() if n in names}
        odd = {"H", "REPEATS", "N", "M", *NUMBERS, *constants}
        even = [n for n in names if n not in odd]
        options = dict(num_warps=tiles.warps, num_stages=tiles.stages)
        made = compiled(
            kernel, types, constants, even, capability, **options
        )
        used = usage(made.asm["cubin"])
        yield dict(
            kernel=kernel.__name__,
            capability=capability,
            dtype=TYPES[dtype],
            width=width,
            causal=causal,
            tiles=list(tiles),
            registers=used["reg"],
            stack=used["stack"],
            shared=made.metadata.shared,
            threads=32 * made.metadata.num_warps,
        )


if __name__ == "__main__":
    for row in attention(int(sys.argv[1])):
        print(json.dumps(row), flush=True)

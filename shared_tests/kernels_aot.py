"""GPU kernels, compiled where there is no GPU: what they take of one.

python -m shared_tests.kernels_aot 90    JSON rows on stdout

For compute capability 9.0 (Hopper, sm_90a) or 8.0 (Ampere): registers of
a thread, bytes of stack (where registers spill), bytes of shared memory
and threads of a block. In a process of its own, without TRITON_INTERPRET:
then triton.jit makes kernels that can be compiled.
"""

import json
import re
import subprocess
import sys
import tempfile

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from pytorch_impl.kernels.attention_dot import attention_dot
from pytorch_impl.kernels.attention_forward import attention_forward
from pytorch_impl.kernels.attention_keys import attention_keys
from pytorch_impl.kernels.attention_queries import attention_queries
from pytorch_impl.kernels.attention_tiles import (
    attention_tiles,
    candidates,
)

TYPES = {
    torch.float32: "fp32",
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
}
FLOAT32 = ("top_ptr", "total_ptr", "dot_ptr")
WIDTHS = (16, 64, 128, 256)


def resources(cubin):
    """{"REG": registers, "STACK": bytes, ...} of the one kernel."""
    tool = triton.knobs.nvidia.cuobjdump.path
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [tool, "-res-usage", file.name]
        text = subprocess.run(
            command, capture_output=True, text=True, check=True
        ).stdout
    return {k: int(v) for k, v in re.findall(r"(\w+):(\d+)", text)}


def compiled(kernel, types, constants, capability, warps, stages):
    """Compiled for any multiple of 16 in addresses and strides."""
    names = kernel.arg_names
    signature = {n: types.get(n, "i32") for n in names}
    signature |= dict.fromkeys(constants, "constexpr")
    even = [["tt.divisibility", 16]]
    odd = {"H", "REPEATS", "N", "M", *constants}
    attrs = {
        (i,): even
        for i, n in enumerate(names)
        if n not in odd and signature[n] not in ("fp32", "fp16", "bf16")
    }
    constants = (
        constants
        | {  # what a call with such strides makes of 1
            n: 1
            for n in ("mask_m",)
            if n in names and n not in constants
        }
    )
    source = ASTSource(kernel, signature, constants, attrs)
    target = GPUTarget("cuda", capability, 32)
    options = dict(num_warps=warps, num_stages=stages)
    return triton.compile(source, target=target, options=options)


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
        pointer = f"*{TYPES[dtype]}"
        types = {
            n: "*fp32" if n in FLOAT32 else pointer
            for n in kernel.arg_names
            if n.endswith("_ptr")
        } | dict(scale="fp32", natural="fp32")
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
        )
        constants = {
            n: c for n, c in every.items() if n in kernel.arg_names
        }
        made = compiled(
            kernel,
            types,
            constants,
            capability,
            tiles.warps,
            tiles.stages,
        )
        used = resources(made.asm["cubin"])
        yield dict(
            kernel=kernel.__name__,
            capability=capability,
            dtype=TYPES[dtype],
            width=width,
            causal=causal,
            tiles=list(tiles),
            registers=used["REG"],
            stack=used["STACK"],
            shared=made.metadata.shared,
            threads=32 * made.metadata.num_warps,
        )


if __name__ == "__main__":
    for row in attention(int(sys.argv[1])):
        print(json.dumps(row), flush=True)

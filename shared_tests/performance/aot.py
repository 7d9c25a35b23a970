"""Triton kernels compiled where there is no GPU: what they take of one.

compiled(kernel, types, constants, divisible, capability, **options)
        for 90 (sm_90a, Hopper) or 80 (Ampere); divisible: the names of
        addresses, sizes and strides that are multiples of 16
usage   {"reg", "stack", "shared", "local"}: registers of a thread, bytes
tool    what cuobjdump or nvdisasm, which come with Triton, say

In a process without TRITON_INTERPRET: only there triton.jit makes
kernels that can be compiled. See attention_aot, fake_quantize_aot.
"""

import pathlib
import re
import subprocess
import tempfile

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

TOOLS = pathlib.Path(triton.__file__).parent / "backends/nvidia/bin"


def compiled(
    kernel, types, constants, divisible, capability, **options
):
    names = kernel.arg_names
    hints = {
        (names.index(n),): [["tt.divisibility", 16]] for n in divisible
    }
    types = types | dict.fromkeys(constants, "constexpr")
    source = ASTSource(kernel, types, constants, hints)
    target = GPUTarget("cuda", capability, 32)
    return triton.compile(source, target, options)


def tool(name, *options, cubin):
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [TOOLS / name, *options, file.name]
        done = subprocess.run(command, capture_output=True, check=True)
        return done.stdout.decode()


def usage(cubin):
    text = tool("cuobjdump", "-res-usage", cubin=cubin)
    found = re.findall(r"(REG|STACK|SHARED|LOCAL):(\d+)", text)
    return {name.lower(): int(value) for name, value in found}

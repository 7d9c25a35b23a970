"""Quantizers' kernels without their interpreter, and without a GPU.

python -m shared_tests.performance.fake_quantize_aot

It has to run without TRITON_INTERPRET, and prints one line of JSON for
each kernel that it compiles: registers, stack
and instructions of the machine code, and the PTX. Then the operators have
to work on CPU tensors: PyTorch's own checks, torch.compile and
torch.export, and the numbers of the pages; else it ends with an error.
The disassembler is the one that comes with Triton.
"""

import functools
import json

import torch

from pytorch_impl.kernels import (
    fake_quantize_triton,
    lsq_triton,
    quantize_triton,
)
from pytorch_impl.kernels.fake_quantize_kernels import (
    fake_quantize_backward_kernel,
    fake_quantize_kernel,
)
from pytorch_impl.kernels.lsq_kernels import (
    lsq_backward_kernel,
    lsq_kernel,
)
from pytorch_impl.kernels.quantize_triton import quantize_kernel
from pytorch_impl.kernels.tiles import COLUMNS, TILE
from pytorch_impl.quantization.fake_quantize import (
    fake_quantize,
    quantize,
)
from pytorch_impl.quantization.lsq import lsq
from shared_tests.performance.aot import compiled, tool, usage

# compute capability (90 is compiled for sm_90a), dtype of x, layout
BUILDS = (
    (90, "fp32", "columns"),
    (90, "bf16", "one"),
    (80, "fp32", "one"),
)
WARPS = 4  # Triton's own default, which the launches leave as it is
KERNELS = (
    fake_quantize_kernel,
    fake_quantize_backward_kernel,
    quantize_kernel,
    lsq_kernel,
    lsq_backward_kernel,
)
POINTERS = {
    "mask_ptr": "*u8",
    "zero_point_ptr": "*i32",
    "code_ptr": "*i32",
    "scale_ptr": "*fp32",
    "step_ptr": "*fp32",
    "partial_ptr": "*fp32",
}
# a step for each of some columns; one for more than 2^31 numbers
LAYOUTS = {
    "columns": dict(
        ROWS=False, BLOCK_M=TILE // COLUMNS, BLOCK_K=COLUMNS, WIDE=False
    ),
    "one": dict(
        ROWS=True, BLOCK_M=1, BLOCK_K=TILE, WIDE=True, M=1, channels=1
    ),
}


def signatures(dtype="fp32", layout="columns"):
    """(kernel, types of its arguments, constants, divisible by 16)."""
    sizes = LAYOUTS[layout] | dict(QMIN=-8, QMAX=7)
    long = "i64" if sizes["WIDE"] else "i32"
    known = POINTERS | dict.fromkeys(("K", "inner", "row_bytes"), long)
    for kernel in KERNELS:
        names = kernel.arg_names
        pointers = [n for n in names if n.endswith("_ptr")]
        constants = {n: sizes[n] for n in names if n in sizes}
        types = dict.fromkeys(names, "i32")
        types |= dict.fromkeys(pointers, f"*{dtype}")
        types |= {n: known[n] for n in names if n in known}
        yield kernel, types, constants, [*pointers, "K"]


def inspected(made):
    cubin = made.asm["cubin"]
    machine = tool("nvdisasm", "-c", cubin=cubin)
    return usage(cubin) | dict(ptx=made.asm["ptx"], machine=machine)


def gradients(function, x, step, *rest):
    x, step = x.requires_grad_(), step.requires_grad_()
    y = function(x, step, *rest)
    upstream = torch.linspace(-1, 1, y.numel()).reshape(y.shape).to(y)
    return y, *torch.autograd.grad(y, (x, step), upstream)


def check_operators(device="cpu"):
    """On tensors there; raises where anything is not as it has to be."""
    draw = torch.Generator().manual_seed(5)
    x = torch.randn(11, 3, 7, generator=draw).to(device)
    step = torch.tensor([0.3, 0.1, 0.2], device=device)
    zero_point = torch.tensor([1, -2, 0], device=device).int()
    x.requires_grad_(), step.requires_grad_()
    given, tail = (x, step, zero_point, -8, 7, 1), (-8, 7, 1, 0.3)
    plain, mask = x.detach(), fake_quantize_triton.forward(*given)[1]
    for made, args in (
        (fake_quantize_triton.forward, given),
        (fake_quantize_triton.backward, (plain, mask, 1)),
        (quantize_triton.codes, (plain, *given[1:])),
        (lsq_triton.forward, (x, step, *tail)),
        (lsq_triton.backward, (plain, plain, step.detach(), *tail)),
    ):
        torch.library.opcheck(made, args)

    def both(x, step):
        y = fake_quantize_triton.fake_quantize_triton(
            x, step, zero_point, axis=1
        )
        return lsq_triton.lsq_triton(y, step, axis=1)

    class Both(torch.nn.Module):
        def forward(self, x, step):
            return both(x, step)

    want = gradients(both, x, step)
    fast = torch.compile(both, fullgraph=True, backend="aot_eager")
    exported = torch.export.export(Both(), (x, step)).module()
    for function in (fast, exported):
        for a, b in zip(gradients(function, x, step), want):
            assert torch.equal(a, b)


def check_pages():
    """The same numbers as the pages, on CPU tensors."""
    x = torch.linspace(-2, 2, 231).reshape(11, 3, 7)
    step = torch.tensor([0.3, 0.1, 0.2])
    zero_point = torch.tensor([1, -2, 0]).int()
    options = (4, True, 1)
    ours = fake_quantize_triton.fake_quantize_triton
    for pair, rest in (
        ((ours, fake_quantize), (zero_point, *options)),
        ((lsq_triton.lsq_triton, lsq), ()),
    ):
        named = {} if rest else dict(bits=4, axis=1)
        a, b = (
            gradients(functools.partial(f, **named), x, step, *rest)
            for f in pair
        )
        assert all(torch.equal(i, j) for i, j in zip(a, b))
    pair = quantize_triton.quantize_triton, quantize
    a, b = (f(x, step, zero_point, *options) for f in pair)
    assert torch.equal(a, b) and a.dtype == torch.int32


def main():
    for target, dtype, layout in BUILDS:
        for given in signatures(dtype, layout):
            row = dict(kernel=given[0].__name__, dtype=dtype)
            row |= dict(layout=layout, target=target)
            print(
                json.dumps(
                    row
                    | inspected(
                        compiled(*given, target, num_warps=WARPS)
                    )
                )
            )
    check_operators()
    check_pages()


if __name__ == "__main__":
    main()

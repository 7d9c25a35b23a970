"""Triton kernels as operators of PyTorch.

operator(name, schema, fake) makes an operator of a function that
launches kernels: seen by torch.compile and torch.export, which trace it
launch(kernel)               the kernel, as such a function calls it
on_device(x)                 do kernels run where x is? Else the page's
                             plain PyTorch has to

With TRITON_INTERPRET=1, set before the first import of triton, kernels
run on the CPU, in NumPy. Then the operator is opaque, since a tracer
cannot look into an interpreted kernel, and needs its `fake`.
Ref:    torch.library.triton_op, torch.library.custom_op, torch 2.13
"""

# region imports
import os

import torch

# endregion


# region function
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


def operator(name: str, schema: str, fake):
    def register(body):
        options = dict(mutates_args=(), schema=schema)
        if not INTERPRETED:
            return torch.library.triton_op(name, body, **options)
        made = torch.library.custom_op(name, body, **options)
        made.register_fake(fake)
        return made

    return register


def launch(kernel):
    return kernel if INTERPRETED else torch.library.wrap_triton(kernel)


def on_device(x):
    return x.is_cuda or INTERPRETED


# endregion

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


TYPES = {
    kind.__name__: kind for kind in (torch.Tensor, int, float, bool)
}
TYPES["List[int]"] = list[int]
TYPES |= {f"Optional[{n}]": t | None for n, t in TYPES.items()}


def annotate(body, schema: str):
    """triton_op of torch 2.13 reads annotations, whatever the schema."""
    parsed = torch._C.parse_schema(f"kernels::body{schema}")
    takes = {a.name: TYPES[str(a.type)] for a in parsed.arguments}
    gives = [TYPES[str(a.type)] for a in parsed.returns]
    gives = gives[0] if len(gives) == 1 else tuple[*gives]
    body.__annotations__ = takes | {"return": gives}


def operator(name: str, schema: str, fake):
    def register(body):
        options = dict(mutates_args=(), schema=schema)
        if not INTERPRETED:
            annotate(body, schema)
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

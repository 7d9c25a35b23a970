"""Float64 tensors that say that they are of a narrower dtype.

PyTorch decides by the dtype of its operands what it casts, and of which
dtype a result is. A claimed tensor lets it decide as for the narrow one,
while the numbers behind it are float64. The dtype of a result is asked
on the meta device, which computes shapes and dtypes only.
"""

import torch
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

NARROW = (torch.float32, torch.bfloat16, torch.float16)


class Claimed(torch.Tensor):
    """`payload`, float64, that says it is of `dtype`."""

    @staticmethod
    def __new__(cls, payload, dtype):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            payload.shape,
            strides=payload.stride(),
            storage_offset=payload.storage_offset(),
            dtype=dtype,
            device=payload.device,
        )

    def __init__(self, payload, dtype):
        if type(payload) is not torch.Tensor:
            got = type(payload).__name__
            raise TypeError(
                f"payload expected a plain tensor, got {got}"
            )
        self.payload = payload

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return on_payloads(func, args, kwargs or {})

    def numpy(self, *, force=False):
        with _disable_current_modes():  # or the array is claimed again
            return self.payload.numpy()

    def __array__(self, dtype=None, copy=None):
        array = self.numpy()
        return array.astype(dtype or array.dtype, copy=bool(copy))

    def __repr__(self):
        return f"Claimed({self.dtype}, {self.payload!r})"


class Claim(torch.autograd.Function):
    """A parameter as float32; its gradient comes back as float64."""

    @staticmethod
    def forward(ctx, x):
        with _disable_current_modes():
            return Claimed(x.detach(), torch.float32)

    @staticmethod
    def backward(ctx, dy):
        return payload(dy)


def is_float(value):
    return torch.is_tensor(value) and value.is_floating_point()


def payload(value):
    """What is computed with: float64 for every float."""
    if isinstance(value, Claimed):
        return value.payload
    if is_float(value):
        return value.double()
    return torch.float64 if value in NARROW else value


def claim(dtype):
    """float64 stands for float32, in which the model is written."""
    return dtype if dtype in NARROW else torch.float32


def twin(value):
    """The same on the meta device, in the dtype that it claims."""
    if isinstance(value, torch.device):
        return torch.device("meta")
    if not torch.is_tensor(value):
        return value
    dtype = claim(value.dtype) if is_float(value) else value.dtype
    return torch.empty_strided(
        value.shape, value.stride(), dtype=dtype, device="meta"
    )


def claimed_dtypes(func, args, kwargs):
    """Of every leaf of the result, as a list.

    None where a shape depends on numbers, which meta does not have.
    """
    try:
        result = func(*tree_map(twin, args), **tree_map(twin, kwargs))
    except (RuntimeError, NotImplementedError):
        return None
    return [
        claim(x.dtype) if is_float(x) else None
        for x in tree_flatten(result)[0]
    ]


def widest(args, kwargs):
    leaves = tree_flatten((args, kwargs))[0]
    found = {claim(x.dtype) for x in leaves if is_float(x)}
    return found.pop() if len(found) == 1 else torch.float32


def on_payloads(func, args, kwargs, run=None):
    """func of the numbers behind; float results claim their dtypes.

    run(func, args, kwargs): how, with payloads; plainly without
    """
    with _disable_current_modes():
        dtypes = claimed_dtypes(func, args, kwargs)
        other = widest(args, kwargs)
        given, shape = tree_flatten((args, kwargs))
        behind = [payload(x) for x in given]
        args, kwargs = tree_unflatten(behind, shape)
        result = (
            run(func, args, kwargs) if run else func(*args, **kwargs)
        )
        known = {
            id(b): g
            for b, g in zip(behind, given)
            if torch.is_tensor(b)
        }
        leaves, spec = tree_flatten(result)
        for i, x in enumerate(leaves):
            if id(x) in known:  # in place: what was given is given back
                leaves[i] = known[id(x)]
            elif is_float(x):
                dtype = dtypes[i] if dtypes else other
                leaves[i] = Claimed(x, dtype)
    return tree_unflatten(leaves, spec)

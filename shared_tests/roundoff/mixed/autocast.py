"""Automatic mixed precision: which operations are cast, read from PyTorch.

The module runs inside `torch.autocast`, on float64 numbers that claim to
be float32 (claims.py): PyTorch itself casts operands where it would, and
no list of operations is written here. Each operation computes in float32
inside, as kernels do, and its result is rounded once more where it is
stored in 16 bits; so is what is cast to 16 bits.

The lists are those of autocast on a CPU, whichever device the port ran
on. Autocast covers the module's forward pass, as PyTorch advises;
gradients have the dtypes that follow from it.
"""

import contextlib

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from ..budget import STEP, RoundingNoise
from ..verdict import UNIT_ROUNDOFF
from .claims import Claim, Claimed, is_float, on_payloads, payload

DETACH = torch.ops.aten.detach
# where what is cast is among the arguments
CASTS = {torch.ops.aten._to_copy: 0, torch.ops.aten.copy_: 1}


class Scaled(RoundingNoise):
    """Noise times `scale`; `rounded` says whether there was any."""

    def __init__(self, generator, scale):
        super().__init__(generator)
        self.scale = scale
        self.rounded = False

    def perturb(self, y, noise):
        if isinstance(noise, list) or y.is_complex():
            return super().perturb(y, noise)  # comes back for each part
        self.rounded = self.rounded or bool((noise != 0).any())
        return super().perturb(y, self.scale * noise)


class Mixed(TorchDispatchMode):
    """Noise of automatic mixed precision, in units of the narrow u.

    module: in float64, the one that runs under this mode; dtype:
    torch.bfloat16 or torch.float16, what autocast casts to
    """

    def __init__(self, generator, module, dtype):
        super().__init__()
        self.generator = generator
        self.module = module
        self.dtype = dtype
        name = str(dtype).removeprefix("torch.")
        self.inside = UNIT_ROUNDOFF["float32"] / UNIT_ROUNDOFF[name]
        self.leaving = None  # set while the module runs

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if (
            func.overloadpacket is DETACH
            and type(args[0]) is torch.Tensor
        ):
            return func(*args)  # as numpy() asks for it
        mode = Scaled(self.generator, self.inside)

        def run(func, args, kwargs):
            with mode:
                return func(*args, **kwargs)

        result = on_payloads(func, args, kwargs or {}, run)
        source = None
        if func.overloadpacket in CASTS:
            source = args[CASTS[func.overloadpacket]]
        for x in tree_flatten(result)[0]:
            if not isinstance(x, Claimed) or x.dtype != self.dtype:
                continue
            cast = is_float(source) and source.dtype != x.dtype
            if mode.rounded or cast:
                self.store(x.payload)
        return result

    def store(self, y):
        """Rounds to the narrow dtype what does not fit into it."""
        draw = torch.rand(
            y.shape, generator=self.generator, dtype=y.dtype
        )
        draw = STEP * y.abs() * (2 * draw - 1)
        fits = (y == y.to(self.dtype)) | ~torch.isfinite(y)
        y.add_(torch.where(fits, 0.0, draw))

    def __enter__(self):
        self.handles = [
            self.module.register_forward_pre_hook(
                self.start, with_kwargs=True
            ),
            self.module.register_forward_hook(
                self.stop, always_call=True
            ),
        ]
        return super().__enter__()

    def __exit__(self, *error):
        for handle in self.handles:
            handle.remove()
        return super().__exit__(*error)

    def start(self, module, args, kwargs):
        with contextlib.ExitStack() as stack:
            stack.enter_context(claimed(module))
            stack.enter_context(torch.autocast("cpu", self.dtype))
            stack.enter_context(without_onednn())
            self.leaving = stack.pop_all()
        return tree_map(as_float32, (args, kwargs))

    def stop(self, *_):
        self.leaving.close()


@contextlib.contextmanager
def without_onednn():
    """Its fused LSTM is no operation that has a rule."""
    before = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(before)


def as_float32(value):
    if is_float(value) and not isinstance(value, Claimed):
        return Claim.apply(value)
    return value


@contextlib.contextmanager
def claimed(module):
    """Parameters and buffers claim to be float32 for a while."""
    made, places = {}, []
    for part in module.modules():
        for kept in (part._parameters, part._buffers):
            for name, tensor in kept.items():
                if is_float(tensor) and not isinstance(tensor, Claimed):
                    if id(tensor) not in made:
                        made[id(tensor)] = Claim.apply(tensor)
                    places.append((part, kept, name, tensor))
                    kept[name] = made[id(tensor)]
        flatten(part)
    try:
        yield
    finally:
        for part, kept, name, tensor in places:
            now = kept[name]
            kept[name] = tensor
            if now is not made[id(tensor)]:  # a buffer that is replaced
                kept[name] = payload(now)
            flatten(part)


def flatten(part):
    """A recurrent layer keeps a list of its weights beside them."""
    if hasattr(part, "_flat_weights_names"):
        part._flat_weights = [
            part._parameters.get(n) for n in part._flat_weights_names
        ]

"""The mode that adds to every result the rounding it would have."""

import math

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from . import rules
from .elementwise import STEP, ULPS, uniform
from .widened import wide

LARGE = 2.0**1000  # noise could make it infinite
WHOLE = (
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
)


class RoundingNoise(TorchDispatchMode):
    """Adds rounding noise to every result, in units of `step`.

    generator: of the noise; None adds none, and what is left is every
        decomposition, which must compute what PyTorch does
    accumulator: the unit roundoff of sums, in units of that of stored
        results. 1 for one precision throughout; 2^-16 for bfloat16 and
        2^-13 for float16 with float32 sums, whose results are then
        rounded once.
    Raises: NotImplementedError, which names an operation without a rule
    """

    def __init__(self, generator, accumulator=1.0, step=STEP):
        super().__init__()
        self.generator = generator
        self.accumulator = accumulator
        self.step = step

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        args, kwargs = self.widened(func, args, kwargs or {})
        way = rules.treatment(func)
        if way.kind == "out":
            return self.out(func, args, kwargs)
        if way.kind != "exact" and only_whole(args):
            return func(*args, **kwargs)
        if way.decompose:
            with self:
                y = way.decompose(*args, **kwargs)
            if y is not NotImplemented:
                return y
        if way.kind == "exact":
            return func(*args, **kwargs)
        if way.kind == "in place":
            return self.in_place(func, way.op, args, kwargs)
        if way.kind == "rule":
            y = func(*args, **kwargs)
            return self.noisy(way.op, y, args, kwargs)
        with self:
            y = func.decompose(*args, **kwargs)
        if y is not NotImplemented:
            return y
        raise NotImplementedError(rules.refusal(func))

    def widened(self, func, args, kwargs):
        return wide(func, args, kwargs)

    def in_place(self, func, op, args, kwargs):
        """add_ rounds as add does; what is decomposed is copied."""
        if op in rules.RULED and op not in rules.OWN:
            before = (args[0].clone(), *args[1:])
            y = func(*args, **kwargs)
            return self.noisy(op, y, before, kwargs)
        with self:
            args[0].copy_(op(*args, **kwargs))
        return args[0]

    def out(self, func, args, kwargs):
        """out=: computed as without it, then stored there."""
        names = [a.name for a in func._schema.arguments if a.is_out]
        kept = {k: v for k, v in kwargs.items() if k not in names}
        places = [kwargs[name] for name in names]
        with self:
            y = func.overloadpacket(*args, **kept)
        results = y if isinstance(y, (tuple, list)) else (y,)
        for place, result in zip(places, results):
            place.resize_(result.shape).copy_(result)
        return tuple(places) if len(places) > 1 else places[0]

    def noisy(self, op, y, args, kwargs):
        if self.generator is None or not rounds(y):
            return y
        if op in ULPS:
            args = tuple(whole_as_float(a) for a in args)
        noise = self.deviation(op, y, args, kwargs)
        if noise is None:
            return y
        return self.perturb(y, noise)

    def deviation(self, op, y, args, kwargs):
        if op in rules.RULES:
            noise = rules.RULES[op](y, *args, **kwargs)
        else:
            noise = uniform(y, ULPS[op])
        if isinstance(noise, list):
            return [self.stored(op, *part) for part in zip(y, noise)]
        return self.stored(op, y, noise)

    def stored(self, op, y, noise):
        if noise is None:
            return None
        if self.accumulator != 1.0 and op not in ULPS:
            summed = self.accumulator * noise
            return torch.sqrt(summed**2 + uniform(y) ** 2)
        return noise

    def perturb(self, y, noise):
        if isinstance(noise, list):
            for part, its in zip(y, noise):
                if its is not None:
                    self.perturb(part, its)
            return y
        if y.is_complex():
            parts = torch.view_as_real(y)
            self.perturb(parts, noise.unsqueeze(-1).expand(parts.shape))
            return y
        # uniform with standard deviation 1, as rounding errors are
        draw = torch.rand(
            y.shape, generator=self.generator, dtype=y.dtype
        )
        draw = (2 * draw - 1) * math.sqrt(3)
        return y.add_(bounded(self.step * noise, y) * draw)


def bounded(noise, y):
    """None on infinities, nor on a mask that would become one."""
    safe = y.abs() < LARGE
    if bool(safe.all()):
        return noise
    safe = safe & torch.isfinite(noise)
    return torch.where(safe, noise, 0.0)


def rounds(y):
    first = y[0] if isinstance(y, (tuple, list)) else y
    if not torch.is_tensor(first):
        return isinstance(y, (tuple, list))
    return first.is_floating_point() or first.is_complex()


def whole_as_float(value):
    if torch.is_tensor(value) and not (
        value.is_floating_point() or value.is_complex()
    ):
        return value.double()
    return value


def only_whole(args):
    """Integers in, and so, but for true division, integers out."""
    tensors = [a for a in args if torch.is_tensor(a)]
    return bool(tensors) and all(a.dtype in WHOLE for a in tensors)

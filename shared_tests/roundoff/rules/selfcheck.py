"""Does the decomposed run, without noise, compute what PyTorch does?

A decomposition that is wrong would widen sigma until everything passes.
So the run under RoundingNoise(None), which takes all operations apart and
adds no noise, must equal the plain one within its own float64 budget,
16 times 2^-53 times the sigma just found, times SLACK: two float64 runs
differ by more where equal numbers are rounded alike, which sigma does
not know, while a wrong formula, or a float32 in it, is off by 2^28.
"""

import numpy as np
import torch

from ..verdict import TINY, UNIT_ROUNDOFF, budget
from .noise import RoundingNoise
from .widened import Widened, wide

SLACK = 2.0**10  # still 2^-19 of a float32 budget


class SelfCheckError(ArithmeticError):
    """The reference and its decomposed run differ; names the array."""


class Suspicion(RoundingNoise):
    """Runs in parts, and compares each operation with itself as a whole.

    worst: (relative difference, its name) of the one that differs most
    """

    def __init__(self):
        super().__init__(None)
        self.worst = 0.0, ""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        random = torch.Tag.nondeterministic_seeded in func.tags
        if random or func._schema.is_mutable:
            return super().__torch_dispatch__(func, types, args, kwargs)
        y = super().__torch_dispatch__(func, types, args, kwargs)
        args, kwargs = wide(func, args, kwargs or {})
        self.compare(func, y, func(*args, **kwargs))
        return y

    def compare(self, func, parts, whole):
        if isinstance(whole, (tuple, list)) and whole:
            parts, whole = parts[0], whole[0]
        if not torch.is_tensor(whole):  # a comparison, or a number
            return
        if not whole.is_floating_point() or not whole.numel():
            return
        size = float(whole.abs().max())
        error = float((parts - whole).abs().max())
        if size and np.isfinite(size) and error / size > self.worst[0]:
            self.worst = error / size, str(func)


def self_check(compute, reference, sigma):
    """Raises: SelfCheckError with the first array that is otherwise."""
    with RoundingNoise(None):
        parts = compute()
    for name, value in reference.items():
        at = disagreement(parts[name], value, sigma[name])
        if at:
            raise SelfCheckError(f"{name} {at}; {reason(compute)}")


def reason(compute):
    """What made the two differ, as far as it can be told."""
    with Widened():
        one, two = compute(), compute()
    if not all(np.array_equal(one[k], two[k], True) for k in one):
        return "compute() itself gives other numbers in every run"
    with Suspicion() as suspicion:
        compute()
    error, name = suspicion.worst
    if not name:
        return "every operation alone is right"
    error /= UNIT_ROUNDOFF["float64"]
    return f"most, {error:.3g} roundings, of all operations in {name}"


def disagreement(parts, reference, sigma):
    """ "" or where and by how much the two differ most."""
    parts, reference = np.asarray(parts), np.asarray(reference)
    if not reference.size:
        return ""
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(parts - reference.astype(np.float64))
        allowed = SLACK * budget(sigma, "float64") + TINY["float32"]
        whole = reference.dtype.kind in "iub"
        bad = error > (np.asarray(sigma) if whole else allowed)
    bad &= np.isfinite(sigma)
    bad |= np.isnan(parts) != np.isnan(reference)
    if not bad.any():
        return ""
    size = np.where(bad, np.nan_to_num(error, nan=np.inf), -1)
    index = np.unravel_index(int(size.argmax()), size.shape)
    return (
        f"at {[int(i) for i in index]}: {parts[index]!r} in parts,"
        f" {reference[index]!r} as a whole, allowed {allowed[index]:.3g}"
    )

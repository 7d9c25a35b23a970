"""In which precision a port works: what is noisy, and in which unit.

    name               arrays     every result   sums and what else
    float64, float32   the same   u              u
    tf32               float32    float32's u    operands of matrix products
                                                 and convolutions 2^-11
    bfloat16, float16  the same   u              sums in float32, rounded
                                                 once where stored
    autocast-bfloat16, float32    by the dtype that PyTorch's autocast gives
    autocast-float16              each result (autocast.py)

Sampling is done in units of the coarsest u, and is as small whichever
precision it stands for: sigma is to first order. TF32 keeps 10 bits
behind the leading one of each operand, and sums in float32. What it does
with the other bits, round or cut, is up to the device; the budget is that
of rounding to nearest.
"""

from typing import NamedTuple

import numpy as np
import torch

from ..budget import STEP, RoundingNoise
from ..products import FACTORS
from ..verdict import UNIT_ROUNDOFF
from .autocast import Mixed, Scaled

aten = torch.ops.aten
TF32 = 2.0**-11


class Precision(NamedTuple):
    """dtype: of the arrays that are judged, and of what goes in;
    unit: of the sampling, the coarsest unit roundoff;
    finest: the finest unit of a rounding, in units of `unit`
    """

    name: str
    dtype: str
    given: str
    unit: float
    finest: float = 1.0


def plain(name):
    return Precision(name, name, name, UNIT_ROUNDOFF[name])


def mixed(name, unit):
    finest = UNIT_ROUNDOFF["float32"] / unit
    return Precision(name, "float32", "float32", unit, finest)


PRECISIONS = {
    p.name: p
    for p in (
        plain("float64"),
        plain("float32"),
        mixed("tf32", TF32),
        plain("bfloat16"),
        plain("float16"),
        mixed("autocast-bfloat16", UNIT_ROUNDOFF["bfloat16"]),
        mixed("autocast-float16", UNIT_ROUNDOFF["float16"]),
    )
}


def precision(name):
    """Raises: ValueError for a name that is none of PRECISIONS"""
    if name not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise ValueError(f"precision expected {known}, got {name!r}")
    return PRECISIONS[name]


def noise(name, module=None):
    """A function of a generator that makes the mode to run under.

    module: the float64 module that runs; only autocast needs it
    Raises: ValueError for an unknown name, or autocast without a module
    """
    unit = precision(name).unit
    if name.startswith("autocast"):
        if not isinstance(module, torch.nn.Module):
            got = type(module).__name__
            raise ValueError(f"{name} expected an nn.Module, got {got}")
        dtype = getattr(torch, name.removeprefix("autocast-"))
        return lambda generator: Mixed(generator, module, dtype)
    if name == "tf32":
        return TF32Operands
    if name in ("bfloat16", "float16"):
        accumulator = UNIT_ROUNDOFF["float32"] / unit
        return lambda generator: RoundingNoise(generator, accumulator)
    return RoundingNoise


def in_units(name, sigma):
    """Sigma of the sampling, for verdict.judge in the arrays' dtype."""
    found = precision(name)
    factor = found.unit / UNIT_ROUNDOFF[found.dtype]
    return {k: factor * np.asarray(s) for k, s in sigma.items()}


def rounded(name, array):
    """float64 numbers as the port is given them, still in float64."""
    dtype = getattr(torch, precision(name).given)
    wide = torch.tensor(np.asarray(array, np.float64))
    return wide.to(dtype).double().numpy()


class TF32Operands(Scaled):
    """Operands of products are rounded to TF32, all else to float32."""

    def __init__(self, generator):
        super().__init__(generator, UNIT_ROUNDOFF["float32"] / TF32)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if self.generator is not None:
            args = self.operands(func.overloadpacket, args)
        return super().__torch_dispatch__(func, types, args, kwargs)

    def operands(self, op, args):
        chosen = FACTORS.get(op, ())
        if op is aten.convolution_backward and args[-1][2]:
            chosen = ()  # the bias goes apart: it comes back without
        return tuple(
            self.shortened(x) if i in chosen else x
            for i, x in enumerate(args)
        )

    def shortened(self, x):
        """x with the noise of 11 bits where it needs more of them."""
        bits = torch.frexp(x).mantissa / TF32
        fits = (bits == torch.round(bits)) | ~torch.isfinite(x)
        draw = torch.rand(
            x.shape, generator=self.generator, dtype=x.dtype
        )
        return x + torch.where(
            fits, 0.0, STEP * x.abs() * (2 * draw - 1)
        )

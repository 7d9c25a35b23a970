"""The quantizers of a layer that learns with them, by name.

absmax          symmetric, on the range of what is there now
min_max         affine, on the range of all that was seen
moving_average  affine, momentum 1/16; percentile of 99.9 likewise
pact            learned level, codes from 0;  lsq  learned step

make_quantizer  one of these
see             lets it meet x. In mode "observe" all start from x; in
                "quantize" observers go on, learned ones learn; in
                "frozen" nothing moves but what is learned
grid_of         scale, zero_point, options;  on_grid  x on it, scale

Axes:   x any shape
Raises: ValueError for another kind, or x that check_batch refuses
Ref:    Krishnamoorthi 2018, arXiv 1806.08342, 2 and 3
"""

# region imports
import math

import torch

from pytorch_impl.quantization.fake_quantize import fake_quantize
from pytorch_impl.quantization.lsq import LSQ
from pytorch_impl.quantization.observers import (
    MinMaxObserver,
    MovingAverageObserver,
    PercentileObserver,
)
from pytorch_impl.quantization.pact import PACT
from pytorch_impl.quantization.qparams import check_batch
from pytorch_impl.quantization.quantizers import FakeQuantizer

KINDS = "absmax, min_max, moving_average, percentile, pact, lsq"
# endregion


# region function
def check_choice(weight_quantizer: str, *bits: int):
    """A weight has codes around 0, and all fit into int8."""
    if weight_quantizer not in ("absmax", "lsq"):
        want, got = "absmax or lsq", repr(weight_quantizer)
        raise ValueError(f"weight_quantizer expected {want}, got {got}")
    for each in bits:
        if each not in range(2, 9):
            raise ValueError(f"bits expected 2 to 8, got {each!r}")


def make_quantizer(
    kind: str, bits: int, signed=True, axis=None, shape=(None,)
):
    """shape: of the numbers, where axis names one; lsq counts them all,
    as the paper does, also where a channel has a step of its own."""
    where = (None, None) if axis is None else (axis, shape[axis])
    count = None if axis is None else math.prod(shape)
    if kind == "absmax":
        last = MovingAverageObserver(1.0, *where)
        return FakeQuantizer(last, bits, signed, symmetric=True)
    if kind == "min_max":
        return FakeQuantizer(MinMaxObserver(*where), bits, signed)
    if kind == "moving_average":
        average = MovingAverageObserver(1 / 16, *where)
        return FakeQuantizer(average, bits, signed)
    if kind == "percentile":
        observer = PercentileObserver(99.9, 1 / 16, *where)
        return FakeQuantizer(observer, bits, signed)
    if kind == "pact" and axis is None:
        return PACT(bits)
    if kind == "lsq":
        return LSQ(bits, signed, count, *where)
    raise ValueError(f"quantizer expected one of {KINDS}, got {kind!r}")


def see(quantizer, x, mode: str):
    if isinstance(quantizer, FakeQuantizer):
        if mode in ("observe", "quantize"):
            quantizer.start(x)
    elif mode == "observe":
        check_batch("observe", x)  # an observer does so itself
        quantizer.start(x)


def grid_of(quantizer):
    """scale, zero_point and the options of its codes, for quantize."""
    if isinstance(quantizer, FakeQuantizer):
        return *quantizer.grid(), quantizer.options
    bits, signed, *_, axis = quantizer.options
    step = quantizer.step
    zero_point = torch.zeros_like(step, dtype=torch.int32)
    return step, zero_point, (bits, signed, axis, False)


def on_grid(quantizer, x):
    scale, zero_point, options = grid_of(quantizer)
    if isinstance(quantizer, FakeQuantizer):
        return fake_quantize(x, scale, zero_point, *options), scale
    return quantizer(x), scale


# endregion


# region try
if __name__ == "__main__":
    x = torch.linspace(-1.0, 2.0, 7)
    for kind in ("moving_average", "lsq"):
        quantizer = make_quantizer(kind, bits=3)
        see(quantizer, x, "observe")
        print(quantizer(x), grid_of(quantizer))
# endregion

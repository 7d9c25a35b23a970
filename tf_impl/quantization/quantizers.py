"""Quantizers: one protocol for all that a layer may quantize with.

Each has codes, a Codes; start(x), to set range or step from x;
qparams(), its scale and zero point; a call, for x as its codes give it;
and observes: whether its range follows each batch, or is learned
FakeQuantizer   fake_quantize, with the qparams of what it has observed
make_quantizer  one by name: absmax, symmetric, from this batch alone;
    min_max, affine, from all batches; moving_average, affine, momentum
    1/16; percentile, the same of 99.9 percent; pact; lsq

Grads:  as fake_quantize, pact, lsq: none through a range
Raises: ValueError for another name, and before start(x)
Ref:    Krishnamoorthi 2018, arXiv 1806.08342, 2 and 3
"""

# region imports
import math

import tensorflow as tf

from tf_impl.quantization.codes import make_codes
from tf_impl.quantization.fake_quantize import fake_quantize
from tf_impl.quantization.lsq import LSQ
from tf_impl.quantization.observers import (
    MinMaxObserver,
    MovingAverageObserver,
    PercentileObserver,
)
from tf_impl.quantization.pact import PACT
from tf_impl.quantization.qparams import (
    affine_qparams,
    symmetric_qparams,
)

NAMES = "absmax, min_max, moving_average, percentile, pact, lsq"
# endregion


# region function
def make_quantizer(
    kind: str,
    bits: int,
    signed=True,
    axis=None,
    shape=(None,),
    **kwargs,
):
    """shape: of x, where axis names one; lsq counts all its numbers, as
    the paper does, also where each channel has a step of its own."""
    along = (None, None) if axis is None else (axis, shape[axis])
    count = None if axis is None else math.prod(shape)
    if kind == "absmax":
        last = MovingAverageObserver(1.0, *along, **kwargs)
        return FakeQuantizer(last, bits, signed, True, **kwargs)
    if kind == "min_max":
        observer = MinMaxObserver(*along, **kwargs)
        return FakeQuantizer(observer, bits, signed, **kwargs)
    if kind == "moving_average":
        average = MovingAverageObserver(1 / 16, *along, **kwargs)
        return FakeQuantizer(average, bits, signed, **kwargs)
    if kind == "percentile":
        observer = PercentileObserver(99.9, 1 / 16, *along, **kwargs)
        return FakeQuantizer(observer, bits, signed, **kwargs)
    if kind == "pact" and axis is None:
        return PACT(bits, **kwargs)
    if kind == "lsq":
        return LSQ(bits, signed, count, *along, **kwargs)
    raise ValueError(f"quantizer expected one of {NAMES}, got {kind!r}")


def on_codes(quantizer, x):
    """x as its codes give it, and the scale of the codes."""
    scale, zero_point = quantizer.qparams()
    if quantizer.observes:  # so the qparams are computed once
        codes = quantizer.codes
        return fake_quantize(x, scale, zero_point, *codes), scale
    return quantizer(x), scale


# endregion


# region layer
class FakeQuantizer(tf.keras.layers.Layer):
    observes = True

    def __init__(
        self,
        observer,
        bits: int = 8,
        signed: bool = True,
        symmetric: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.built = True  # keras 3.15.1: observers are not called
        self.observer, self.symmetric = observer, symmetric
        self.codes = make_codes(bits, signed, observer.axis, symmetric)

    def start(self, x):
        self.observer.observe(x)

    def qparams(self):
        make = symmetric_qparams if self.symmetric else affine_qparams
        return make(self.observer.bounds.value, *self.codes[:2])

    def call(self, x):
        return fake_quantize(x, *self.qparams(), *self.codes)


# endregion


# region try
if __name__ == "__main__":
    quantizer = make_quantizer("moving_average", bits=3)
    quantizer.start(tf.linspace(-1.0, 2.0, 7))
    print(quantizer.qparams(), quantizer(tf.ones((2,))))
# endregion

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

from mxnet.gluon import nn

from mxnet_impl.quantization.codes import make_codes
from mxnet_impl.quantization.fake_quantize import fake_quantize
from mxnet_impl.quantization.lsq import LSQ
from mxnet_impl.quantization.observers import (
    MinMaxObserver,
    MovingAverageObserver,
    PercentileObserver,
)
from mxnet_impl.quantization.pact import PACT
from mxnet_impl.quantization.qparams import (
    affine_qparams,
    symmetric_qparams,
)

NAMES = "absmax, min_max, moving_average, percentile, pact, lsq"
# endregion


# region function
def make_quantizer(
    kind: str, bits: int, signed=True, axis=None, shape=(None,)
):
    """shape: of x, where axis names one; lsq counts all its numbers, as
    the paper does, also where each channel has a step of its own."""
    along = (None, None) if axis is None else (axis, shape[axis])
    count = None if axis is None else math.prod(shape)
    if kind == "absmax":
        last = MovingAverageObserver(1.0, *along)
        return FakeQuantizer(last, bits, signed, symmetric=True)
    if kind == "min_max":
        return FakeQuantizer(MinMaxObserver(*along), bits, signed)
    if kind == "moving_average":
        average = MovingAverageObserver(1 / 16, *along)
        return FakeQuantizer(average, bits, signed)
    if kind == "percentile":
        observer = PercentileObserver(99.9, 1 / 16, *along)
        return FakeQuantizer(observer, bits, signed)
    if kind == "pact" and axis is None:
        return PACT(bits)
    if kind == "lsq":
        return LSQ(bits, signed, count, *along)
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
class FakeQuantizer(nn.Block):
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
        self.observer, self.symmetric = observer, symmetric
        self.codes = make_codes(bits, signed, observer.axis, symmetric)

    def start(self, x):
        self.observer.observe(x)

    def qparams(self):
        make = symmetric_qparams if self.symmetric else affine_qparams
        return make(self.observer.bounds.data(), *self.codes[:2])

    def forward(self, x):
        return fake_quantize(x, *self.qparams(), *self.codes)


# endregion


# region try
if __name__ == "__main__":
    from mxnet import np

    quantizer = make_quantizer("moving_average", bits=3)
    quantizer.initialize()
    quantizer.start(np.linspace(-1.0, 2.0, 7))
    print(quantizer.qparams(), quantizer(np.ones(2)))
# endregion

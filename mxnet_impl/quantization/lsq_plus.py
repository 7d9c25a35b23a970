"""LSQPlus: LSQ for numbers that are not around 0: it learns an offset.

u_i = (x_i - offset) inv, inv = 1 / step rounded once
y_i = step round(clip(u_i, qmin, qmax)) + offset

Axes:   x any shape; C its size along axis, num_channels
Params: step, offset () or, along axis, (C); start as NaN and as 0:
        start(x) sets step to 2 mean |x| / sqrt(qmax)
Grads:  x and step as lsq, of x - offset; offset receives g sum dy over
        the numbers that are outside; g, as in lsq, applies to both
Raises: TypeError, ValueError as lsq
Ref:    Bhalgat et al. 2020, CVPRW, eq. 1 to 5
"""

# region imports
from mxnet import autograd, np
from mxnet.gluon import nn

from mxnet_impl.arguments import channels, counted
from mxnet_impl.custom_function import Filled, Function
from mxnet_impl.precision import cast_like, widen
from mxnet_impl.quantization.codes import (
    along,
    check_quantizer,
    code_range,
    make_codes,
    rows,
)
from mxnet_impl.quantization.lsq import lsq_backward, lsq_forward
from mxnet_impl.quantization.qparams import count, first_step

# endregion


# region gradient rule
def lsq_plus_forward(x, step, offset, qmin, qmax):
    return lsq_forward(x - offset, step, qmin, qmax) + offset


def lsq_plus_backward(dy, x, step, offset, qmin, qmax):
    dx, dstep = lsq_backward(dy, x - offset, step, qmin, qmax)
    return dx, dstep, dy - dx


class LSQPlusRule(Function):
    def forward(self, x, step, offset):
        self.save_for_backward(x, step, offset)
        qmin, qmax, axis, _ = self.options
        step, offset = along(step, x, axis), along(offset, x, axis)
        return lsq_plus_forward(x, step, offset, qmin, qmax)

    def backward(self, dy):
        x, step, offset = self.saved_tensors
        qmin, qmax, axis, g = self.options
        step, offset = along(step, x, axis), along(offset, x, axis)
        grads = lsq_plus_backward(dy, x, step, offset, qmin, qmax)
        dx, *terms = grads
        return dx, *(np.sum(rows(t, axis), axis=-1) * g for t in terms)


# endregion


# region function
def lsq_plus(
    x, step, offset, bits=4, signed=True, axis=None, num_elements=None
):
    qmin, qmax = code_range(bits, signed)
    wx, step, axis = check_quantizer("lsq_plus", x, step, axis, "step")
    n = count(num_elements, wx, axis)
    g = 1 / np.sqrt(n * qmax)
    y = LSQPlusRule(qmin, qmax, axis, g)(wx, step, widen(offset))
    return cast_like(y, x)


# endregion


# region layer
class LSQPlus(nn.Block):
    def __init__(
        self,
        bits: int = 4,
        signed: bool = True,
        num_elements=None,
        axis=None,
        num_channels=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.codes = make_codes(bits, signed, axis)
        shape = channels(axis, num_channels)
        self.options = *self.codes[:3], counted(num_elements)
        get = self.params.get
        self.step = get("step", shape=shape, init=Filled())
        self.offset = get("offset", shape=shape, init=Filled(0.0))

    def start(self, x):
        with autograd.pause():
            self.step.data()[()] = first_step(x, self.codes)

    def forward(self, x):
        step, offset = self.step.data(), self.offset.data()
        return lsq_plus(x, step, offset, *self.options)


# endregion


# region try
if __name__ == "__main__":
    layer, x = LSQPlus(bits=3), np.array([-2.0, -0.4, 0.1, 0.9])
    layer.initialize()
    layer.start(x)
    print(layer.step.data(), layer.offset.data(), layer(x))
# endregion

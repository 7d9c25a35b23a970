"""LSQ: a quantizer that learns its step.

u_i = (x_i - offset) inv, inv = 1 / step rounded once
y_i = step round(clip(u_i, qmin, qmax)) + offset; LSQ has offset 0

Axes:   x any shape; C its size along axis, num_channels
Params: step () or, along axis, (C); starts as NaN, start(x) sets it to
        2 mean |x| / sqrt(qmax) over what shares a step
Grads:  x receives dy where qmin < u < qmax, else 0
        step receives g sum dy d; d = round(u) - u inside, else qmin or
        qmax; offset receives g sum dy over what is outside
        g = 1 / sqrt(num_elements qmax); None: all that share a step
Raises: TypeError, ValueError as quantizer
Ref:    Esser et al. 2020, ICLR, eq. 1 to 5
"""

# region imports
from mxnet import autograd, np
from mxnet.gluon import nn

from mxnet_impl.custom_function import Filled, Function
from mxnet_impl.quantization.codes import (
    along,
    check_quantizer,
    code_range,
    first_step,
    rows,
)

# endregion


# region gradient rule
def scaled(x, step, offset):
    inv = 1 / np.where(step > 0, step, step * np.nan)
    return (x if offset is None else x - offset) * inv


def lsq_forward(x, step, offset, qmin, qmax):
    u = scaled(x, step, offset)
    y = np.around(np.clip(u, qmin, qmax)) * step
    return y if offset is None else y + offset


def lsq_backward(dy, x, step, offset, qmin, qmax):
    u = scaled(x, step, offset)
    inside = (qmin < u) & (u < qmax)
    d = np.where(inside, np.around(u) - u, np.clip(u, qmin, qmax))
    dx = np.where(inside, dy, np.zeros_like(dy))
    return dx, dy * d, dy - dx


class LSQRule(Function):
    def forward(self, x, step, offset):
        qmin, qmax, axis, _ = self.options
        pair = along(step, x, axis), along(offset, x, axis)
        self.save_for_backward(x, *pair)
        return lsq_forward(x, *pair, qmin, qmax)

    def backward(self, dy):
        qmin, qmax, axis, g = self.options
        dx, *each = lsq_backward(dy, *self.saved_tensors, qmin, qmax)
        return dx, *(np.sum(rows(d, axis), axis=-1) * g for d in each)


# endregion


# region function
def lsq(
    x, step, offset=None, bits=4, signed=True, count=None, axis=None
):
    qmin, qmax = code_range(bits, signed)
    check_quantizer("lsq", x, step, axis, "step")
    n = rows(x, axis).shape[-1] if count is None else count
    g = 1 / np.sqrt(max(n, 1) * qmax)
    return LSQRule(qmin, qmax, axis, g)(x, step, offset)


# endregion


# region layer
class LSQ(nn.Block):
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
        code_range(bits, signed)
        shape = () if axis is None else (num_channels,)
        self.options = bits, signed, num_elements, axis
        self.step = self.params.get("step", shape=shape, init=Filled())

    def start(self, x):
        bits, signed, _, axis = self.options
        with autograd.pause():
            self.step.data()[()] = first_step(x, bits, signed, axis)

    def forward(self, x):
        return lsq(x, self.step.data(), None, *self.options)


# endregion


# region try
if __name__ == "__main__":
    layer, x = LSQ(bits=3), np.array([-2.0, -0.4, 0.1, 0.9])
    layer.initialize()
    layer.start(x)
    print(layer.step.data(), layer(x))
# endregion

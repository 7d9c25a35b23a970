"""LSQ: a quantizer whose step is learned, like a weight.

u_i = x_i inv, inv = 1 / step rounded once
y_i = step round(clip(u_i, qmin, qmax))

Axes:   x any shape; C its size along axis, num_channels
Params: step () or, along axis, (C); starts as NaN, start(x) sets it to
        2 mean |x| / sqrt(qmax) over the numbers that share a step
Grads:  x receives dy where qmin < u < qmax, else 0
        step receives g sum dy d; d = round(u) - u inside, else qmin or
        qmax; g = 1 / sqrt(num_elements qmax), where None counts all
        that share the step
Raises: TypeError, ValueError as codes, and as qparams for start(x)
Ref:    Esser et al. 2020, ICLR, eq. 1 to 5
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
from mxnet_impl.quantization.qparams import count, first_step, inverse

# endregion


# region gradient rule
def lsq_forward(x, step, qmin, qmax):
    u = x * inverse(step)
    return np.around(np.clip(u, qmin, qmax)) * step


def lsq_backward(dy, x, step, qmin, qmax):
    u = x * inverse(step)
    inside = (qmin < u) & (u < qmax)
    bound = np.clip(u, qmin, qmax)
    d = np.where(inside, np.around(u) - u, bound)
    dx = np.where(inside, dy, np.zeros_like(dy))
    return dx, dy * d


class LSQRule(Function):
    def forward(self, x, step):
        self.save_for_backward(x, step)
        qmin, qmax, axis, _ = self.options
        return lsq_forward(x, along(step, x, axis), qmin, qmax)

    def backward(self, dy):
        x, step = self.saved_tensors
        qmin, qmax, axis, g = self.options
        step = along(step, x, axis)
        dx, terms = lsq_backward(dy, x, step, qmin, qmax)
        return dx, np.sum(rows(terms, axis), axis=-1) * g


# endregion


# region function
def lsq(x, step, bits=4, signed=True, axis=None, num_elements=None):
    qmin, qmax = code_range(bits, signed)
    wide, step, axis = check_quantizer("lsq", x, step, axis, "step")
    n = count(num_elements, wide, axis)
    g = 1 / np.sqrt(n * qmax)
    return cast_like(LSQRule(qmin, qmax, axis, g)(wide, step), x)


# endregion


# region layer
class LSQ(nn.Block):
    observes = False  # the step is learned

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
        self.step = self.params.get("step", shape=shape, init=Filled())

    def start(self, x):
        with autograd.pause():
            self.step.data()[()] = first_step(x, self.codes)

    def qparams(self):
        step = widen(self.step.data())
        return step, np.zeros_like(step, dtype=np.int32)

    def forward(self, x):
        return lsq(x, self.step.data(), *self.options)


# endregion


# region try
if __name__ == "__main__":
    layer, x = LSQ(bits=3), np.array([-2.0, -0.4, 0.1, 0.9])
    layer.initialize()
    layer.start(x)
    print(layer.step.data(), layer(x))
# endregion

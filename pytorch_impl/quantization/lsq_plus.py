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
import torch
from torch import nn

from pytorch_impl.arguments import channels, counted
from pytorch_impl.precision import cast_like, widen
from pytorch_impl.quantization.codes import (
    along,
    check_quantizer,
    code_range,
    make_codes,
    rows,
)
from pytorch_impl.quantization.lsq import lsq_backward, lsq_forward
from pytorch_impl.quantization.qparams import count, first_step
from pytorch_impl.transforms import Function, apply

# endregion


# region gradient rule
def lsq_plus_forward(x, step, offset, qmin, qmax):
    return lsq_forward(x - offset, step, qmin, qmax) + offset


def lsq_plus_backward(dy, x, step, offset, qmin, qmax):
    dx, dstep = lsq_backward(dy, x - offset, step, qmin, qmax)
    return dx, dstep, dy - dx


class LSQPlusRule(Function):
    @staticmethod
    def forward(x, step, offset, qmin, qmax, axis, g):
        step, offset = along(step, x, axis), along(offset, x, axis)
        return lsq_plus_forward(x, step, offset, qmin, qmax)

    @staticmethod
    def backward(ctx, dy):
        x, step, offset = ctx.saved_tensors
        qmin, qmax, axis, g = ctx.options
        step, offset = along(step, x, axis), along(offset, x, axis)
        grads = lsq_plus_backward(dy, x, step, offset, qmin, qmax)
        dx, *terms = grads
        sums = (torch.sum(rows(t, axis), axis=-1) * g for t in terms)
        return dx, *sums, None, None, None, None


# endregion


# region function
def lsq_plus(
    x, step, offset, bits=4, signed=True, axis=None, num_elements=None
):
    qmin, qmax = code_range(bits, signed)
    wx, step, axis = check_quantizer("lsq_plus", x, step, axis, "step")
    n = count(num_elements, wx, axis)
    g = (n * qmax) ** -0.5
    offset = widen(offset)
    y = apply(LSQPlusRule, wx, step, offset, qmin, qmax, axis, g)
    return cast_like(y, x)


# endregion


# region layer
class LSQPlus(nn.Module):
    def __init__(
        self,
        bits: int = 4,
        signed: bool = True,
        num_elements=None,
        axis=None,
        num_channels=None,
    ):
        super().__init__()
        self.codes = make_codes(bits, signed, axis)
        shape = channels(axis, num_channels)
        self.options = *self.codes[:3], counted(num_elements)
        self.step = nn.Parameter(torch.full(shape, torch.nan))
        self.offset = nn.Parameter(torch.zeros(shape))

    def start(self, x):
        with torch.no_grad():
            self.step.copy_(first_step(x, self.codes))

    def forward(self, x):
        return lsq_plus(x, self.step, self.offset, *self.options)


# endregion


# region try
if __name__ == "__main__":
    layer, x = LSQPlus(bits=3), torch.tensor([-2.0, -0.4, 0.1, 0.9])
    layer.start(x)
    print(layer.step, layer.offset, layer(x))
# endregion

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
from pytorch_impl.quantization.qparams import count, first_step, inverse
from pytorch_impl.transforms import Function, apply

# endregion


# region gradient rule
def lsq_forward(x, step, qmin, qmax):
    u = x * inverse(step)
    return torch.round(torch.clip(u, qmin, qmax)) * step


def lsq_backward(dy, x, step, qmin, qmax):
    u = x * inverse(step)
    inside = (qmin < u) & (u < qmax)
    bound = torch.clip(u, qmin, qmax).detach()
    d = torch.where(inside, torch.round(u) - u, bound)
    dx = torch.where(inside, dy, torch.zeros_like(dy))
    return dx, dy * d


class LSQRule(Function):
    @staticmethod
    def forward(x, step, qmin, qmax, axis, g):
        return lsq_forward(x, along(step, x, axis), qmin, qmax)

    @staticmethod
    def backward(ctx, dy):
        x, step = ctx.saved_tensors
        qmin, qmax, axis, g = ctx.options
        step = along(step, x, axis)
        dx, terms = lsq_backward(dy, x, step, qmin, qmax)
        dstep = torch.sum(rows(terms, axis), axis=-1) * g
        return dx, dstep, None, None, None, None


# endregion


# region function
def lsq(x, step, bits=4, signed=True, axis=None, num_elements=None):
    qmin, qmax = code_range(bits, signed)
    wide, step, axis = check_quantizer("lsq", x, step, axis, "step")
    n = count(num_elements, wide, axis)
    g = (n * qmax) ** -0.5
    return cast_like(apply(LSQRule, wide, step, qmin, qmax, axis, g), x)


# endregion


# region layer
class LSQ(nn.Module):
    observes = False  # the step is learned

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

    def start(self, x):
        with torch.no_grad():
            self.step.copy_(first_step(x, self.codes))

    def qparams(self):
        step = widen(self.step)
        return step, torch.zeros_like(step, dtype=torch.int32)

    def forward(self, x):
        return lsq(x, self.step, *self.options)


# endregion


# region try
if __name__ == "__main__":
    layer, x = LSQ(bits=3), torch.tensor([-2.0, -0.4, 0.1, 0.9])
    layer.start(x)
    print(layer.step, layer(x))
# endregion

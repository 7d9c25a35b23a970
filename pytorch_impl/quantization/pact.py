"""PACT: clip activations to a level that is learned, then quantize.

step = alpha / L, L = 2^bits - 1; inv = 1 / step, each rounded once
y_i = step * round(min(max(x_i, 0), alpha) inv), at most L steps

Axes:   x any shape
Params: alpha (), starts as alpha_init; start(x) sets it to
        2 mean |x| sqrt(L), L steps of LSQ, where an x is not 0
Grads:  x receives dy where 0 <= x < alpha, else 0
        alpha receives the sum of dy over x >= alpha, without a factor
Raises: TypeError if x is not of float32 or float64
        ValueError for other bits, or an alpha that is not positive and
        finite; compiled, such an alpha gives NaN
Ref:    Choi et al. 2018, arXiv 1805.06085, eq. 1 to 3
"""

# region imports
import torch
from torch import nn

from pytorch_impl.arguments import real
from pytorch_impl.precision import cast_like, widen
from pytorch_impl.quantization.codes import (
    check_quantizer,
    code_range,
    make_codes,
)
from pytorch_impl.quantization.qparams import first_step
from pytorch_impl.transforms import Function, apply

# endregion


# region gradient rule
def pact_forward(x, alpha, levels):
    step = alpha * (1 / levels)
    step = torch.where(alpha > 0, step, step * torch.nan)
    inv = 1 / step
    inside = torch.minimum(torch.maximum(x, 0 * alpha), alpha)
    code = torch.clip(torch.round(inside * inv), 0, levels)
    return code * step


def pact_backward(dy, x, alpha):
    zeros = torch.zeros_like(dy)
    dx = torch.where((x >= 0) & (x < alpha), dy, zeros)
    dalpha = torch.sum(torch.where(x >= alpha, dy, zeros))
    return dx, dalpha


class PACTRule(Function):
    forward = staticmethod(pact_forward)

    @staticmethod
    def backward(ctx, dy):
        return *pact_backward(dy, *ctx.saved_tensors), None


# endregion


# region function
def pact(x, alpha, bits: int = 4):
    _, levels = code_range(bits, signed=False)
    checked = check_quantizer("pact", x, alpha, array="alpha")
    wide, alpha, _ = checked
    y = apply(PACTRule, wide, alpha, levels)
    return cast_like(y, x)


# endregion


# region layer
class PACT(nn.Module):
    observes = False  # alpha is learned

    def __init__(self, bits: int = 4, alpha_init: float = 6.0):
        super().__init__()
        self.codes = make_codes(bits, signed=False)
        self.levels = code_range(bits, signed=False)[1]
        start = real("alpha_init", alpha_init)
        self.alpha = nn.Parameter(torch.tensor(start))

    def start(self, x):
        with torch.no_grad():
            step = first_step(x, self.codes)
            peak = torch.max(torch.abs(x))
            new = torch.where(
                peak > 0, step * self.levels, widen(self.alpha)
            )
            self.alpha.copy_(new)

    def qparams(self):
        scale = widen(self.alpha) * (1 / self.levels)
        return scale, torch.zeros_like(scale, dtype=torch.int32)

    def forward(self, x):
        return pact(x, self.alpha, self.codes.bits)


# endregion


# region try
if __name__ == "__main__":
    layer = PACT(bits=2)
    print(layer(torch.tensor([-1.0, 0.9, 1.1, 5.9, 6.0])))
# endregion

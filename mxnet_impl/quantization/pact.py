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
from mxnet import autograd, np
from mxnet.gluon import nn

from mxnet_impl.arguments import real
from mxnet_impl.custom_function import Filled, Function
from mxnet_impl.precision import cast_like, widen
from mxnet_impl.quantization.codes import (
    check_quantizer,
    code_range,
    make_codes,
)
from mxnet_impl.quantization.qparams import first_step

# endregion


# region gradient rule
def pact_forward(x, alpha, levels):
    step = alpha * (1 / levels)
    step = np.where(alpha > 0, step, step * np.nan)
    inv = 1 / step
    inside = np.minimum(np.maximum(x, 0 * alpha), alpha)
    code = np.clip(np.around(inside * inv), 0, levels)
    return code * step


def pact_backward(dy, x, alpha):
    zeros = np.zeros_like(dy)
    dx = np.where((x >= 0) & (x < alpha), dy, zeros)
    dalpha = np.sum(np.where(x >= alpha, dy, zeros))
    return dx, dalpha


class PACTRule(Function):
    def forward(self, x, alpha):
        self.save_for_backward(x, alpha)
        return pact_forward(x, alpha, *self.options)

    def backward(self, dy):
        return pact_backward(dy, *self.saved_tensors)


# endregion


# region function
def pact(x, alpha, bits: int = 4):
    _, levels = code_range(bits, signed=False)
    checked = check_quantizer("pact", x, alpha, array="alpha")
    wide, alpha, _ = checked
    y = PACTRule(levels)(wide, alpha)
    return cast_like(y, x)


# endregion


# region layer
class PACT(nn.Block):
    observes = False  # alpha is learned

    def __init__(
        self, bits: int = 4, alpha_init: float = 6.0, **kwargs
    ):
        super().__init__(**kwargs)
        self.codes = make_codes(bits, signed=False)
        self.levels = code_range(bits, signed=False)[1]
        start = real("alpha_init", alpha_init)
        self.alpha = self.params.get(
            "alpha", shape=(), init=Filled(start)
        )

    def start(self, x):
        with autograd.pause():
            step = first_step(x, self.codes)
            peak = np.max(np.abs(x))
            new = np.where(
                peak > 0, step * self.levels, widen(self.alpha.data())
            )
            self.alpha.data()[()] = new

    def qparams(self):
        scale = widen(self.alpha.data()) * (1 / self.levels)
        return scale, np.zeros_like(scale, dtype=np.int32)

    def forward(self, x):
        return pact(x, self.alpha.data(), self.codes.bits)


# endregion


# region try
if __name__ == "__main__":
    layer = PACT(bits=2)
    layer.initialize()
    print(layer(np.array([-1.0, 0.9, 1.1, 5.9, 6.0])))
# endregion

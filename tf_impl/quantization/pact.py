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
import tensorflow as tf

from tf_impl.arguments import real
from tf_impl.custom_gradient import custom_gradient
from tf_impl.exact_weight import exact_weight
from tf_impl.precision import cast_like, widen
from tf_impl.quantization.codes import (
    check_quantizer,
    code_range,
    make_codes,
)
from tf_impl.quantization.qparams import first_step

# endregion


# region gradient rule
def pact_forward(x, alpha, levels):
    step = alpha * (1 / levels)
    step = tf.where(alpha > 0, step, step * float("nan"))
    inv = 1 / step
    inside = tf.minimum(tf.maximum(x, 0 * alpha), alpha)
    code = tf.clip_by_value(tf.round(inside * inv), 0, levels)
    return code * step


def pact_backward(dy, x, alpha):
    zeros = tf.zeros_like(dy)
    dx = tf.where((x >= 0) & (x < alpha), dy, zeros)
    dalpha = tf.reduce_sum(tf.where(x >= alpha, dy, zeros))
    return dx, dalpha


def pact_rule(x, alpha, levels):
    @custom_gradient
    def rule(x, alpha):
        def backward(dy):
            return pact_backward(dy, x, alpha)

        return pact_forward(x, alpha, levels), backward

    return rule(x, alpha)


# endregion


# region function
def pact(x, alpha, bits: int = 4):
    _, levels = code_range(bits, signed=False)
    checked = check_quantizer("pact", x, alpha, array="alpha")
    wide, alpha, _ = checked
    y = pact_rule(wide, alpha, levels)
    return cast_like(y, x)


# endregion


# region layer
class PACT(tf.keras.layers.Layer):
    observes = False  # alpha is learned

    def __init__(
        self, bits: int = 4, alpha_init: float = 6.0, **kwargs
    ):
        super().__init__(**kwargs)
        self.codes = make_codes(bits, signed=False)
        self.levels = code_range(bits, signed=False)[1]
        start = real("alpha_init", alpha_init)
        start = tf.keras.initializers.Constant(start)
        self.alpha = exact_weight(self, (), start, "alpha")

    def start(self, x):
        step = first_step(x, self.codes)
        peak = tf.reduce_max(tf.abs(x))
        new = tf.where(peak > 0, step * self.levels, widen(self.alpha))
        self.alpha.assign(new)

    def qparams(self):
        scale = widen(self.alpha) * (1 / self.levels)
        return scale, tf.zeros_like(scale, dtype=tf.int32)

    def call(self, x):
        return pact(x, self.alpha.value, self.codes.bits)


# endregion


# region try
if __name__ == "__main__":
    layer = PACT(bits=2)
    print(layer(tf.constant([-1.0, 0.9, 1.1, 5.9, 6.0])))
# endregion


# region what differs here
# tensorflow 2.21.0: at x = alpha minimum and clip_by_value give dy to x
# and none to alpha
# keras 3.15.1: a layer casts a floating x to its own dtype, float32
# unless dtype= or the global policy says otherwise
# endregion

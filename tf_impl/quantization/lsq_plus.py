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
import tensorflow as tf

from tf_impl.arguments import channels, counted
from tf_impl.custom_gradient import custom_gradient
from tf_impl.exact_weight import exact_weight
from tf_impl.precision import cast_like, widen
from tf_impl.quantization.codes import (
    along,
    check_quantizer,
    code_range,
    make_codes,
    rows,
)
from tf_impl.quantization.lsq import lsq_backward, lsq_forward
from tf_impl.quantization.qparams import count, first_step

# endregion


# region gradient rule
def lsq_plus_forward(x, step, offset, qmin, qmax):
    return lsq_forward(x - offset, step, qmin, qmax) + offset


def lsq_plus_backward(dy, x, step, offset, qmin, qmax):
    dx, dstep = lsq_backward(dy, x - offset, step, qmin, qmax)
    return dx, dstep, dy - dx


def lsq_plus_rule(x, step, offset, qmin, qmax, axis, g):
    @custom_gradient
    def rule(x, step, offset):
        def backward(dy):
            dx, *terms = lsq_plus_backward(dy, x, *wide, qmin, qmax)
            sums = (tf.reduce_sum(rows(t, axis), -1) for t in terms)
            return dx, *(total * g for total in sums)

        wide = along(step, x, axis), along(offset, x, axis)
        return lsq_plus_forward(x, *wide, qmin, qmax), backward

    return rule(x, step, offset)


# endregion


# region function
def lsq_plus(
    x, step, offset, bits=4, signed=True, axis=None, num_elements=None
):
    qmin, qmax = code_range(bits, signed)
    wx, step, axis = check_quantizer("lsq_plus", x, step, axis, "step")
    n = count(num_elements, wx, axis)
    g = tf.cast(1 / tf.sqrt(n * qmax), wx.dtype)
    every = wx, step, widen(offset), qmin, qmax, axis, g
    return cast_like(lsq_plus_rule(*every), x)


# endregion


# region layer
class LSQPlus(tf.keras.layers.Layer):
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
        start = tf.keras.initializers.Constant(float("nan"))
        self.step = exact_weight(self, shape, start, "step")
        self.offset = exact_weight(self, shape, "zeros", "offset")

    def start(self, x):
        self.step.assign(first_step(x, self.codes))

    def call(self, x):
        step, offset = self.step.value, self.offset.value
        return lsq_plus(x, step, offset, *self.options)


# endregion


# region try
if __name__ == "__main__":
    layer, x = LSQPlus(bits=3), tf.constant([-2.0, -0.4, 0.1, 0.9])
    layer.start(x)
    print(layer.step.value, layer.offset.value, layer(x))
# endregion


# region what differs here
# tensorflow 2.21.0, jit_compile=True: step round(u) + offset is rounded
# once: 224,582 of 1,048,576 float32 results differ in the last place
# keras 3.15.1: a layer casts a floating x to its own dtype, float32
# unless dtype= or a policy says so
# endregion

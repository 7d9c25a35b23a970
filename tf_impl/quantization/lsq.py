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
from tf_impl.quantization.qparams import count, first_step, inverse

# endregion


# region gradient rule
def lsq_forward(x, step, qmin, qmax):
    u = x * inverse(step)
    return tf.round(tf.clip_by_value(u, qmin, qmax)) * step


def lsq_backward(dy, x, step, qmin, qmax):
    u = x * inverse(step)
    inside = (qmin < u) & (u < qmax)
    bound = tf.stop_gradient(tf.clip_by_value(u, qmin, qmax))
    d = tf.where(inside, tf.round(u) - u, bound)
    dx = tf.where(inside, dy, tf.zeros_like(dy))
    return dx, dy * d


def lsq_rule(x, step, qmin, qmax, axis, g):
    @custom_gradient
    def rule(x, step):
        def backward(dy):
            dx, terms = lsq_backward(dy, x, wide, qmin, qmax)
            return dx, tf.reduce_sum(rows(terms, axis), axis=-1) * g

        wide = along(step, x, axis)
        return lsq_forward(x, wide, qmin, qmax), backward

    return rule(x, step)


# endregion


# region function
def lsq(x, step, bits=4, signed=True, axis=None, num_elements=None):
    qmin, qmax = code_range(bits, signed)
    wide, step, axis = check_quantizer("lsq", x, step, axis, "step")
    n = count(num_elements, wide, axis)
    g = tf.cast(1 / tf.sqrt(n * qmax), wide.dtype)
    return cast_like(lsq_rule(wide, step, qmin, qmax, axis, g), x)


# endregion


# region layer
class LSQ(tf.keras.layers.Layer):
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
        start = tf.keras.initializers.Constant(float("nan"))
        self.step = exact_weight(self, shape, start, "step")

    def start(self, x):
        self.step.assign(first_step(x, self.codes))

    def qparams(self):
        step = widen(tf.convert_to_tensor(self.step))  # a copy
        return step, tf.zeros_like(step, dtype=tf.int32)

    def call(self, x):
        return lsq(x, self.step.value, *self.options)


# endregion


# region try
if __name__ == "__main__":
    layer, x = LSQ(bits=3), tf.constant([-2.0, -0.4, 0.1, 0.9])
    layer.start(x)
    print(layer.step.value, layer(x))
# endregion

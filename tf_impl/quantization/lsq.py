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
import tensorflow as tf

from tf_impl.quantization.codes import (
    along,
    check_quantizer,
    code_range,
    first_step,
    rows,
)

# endregion


# region gradient rule
def scaled(x, step, offset):
    inv = 1 / tf.where(step > 0, step, step * float("nan"))
    return (x if offset is None else x - offset) * inv


def lsq_forward(x, step, offset, qmin, qmax):
    u = scaled(x, step, offset)
    y = tf.round(tf.clip_by_value(u, qmin, qmax)) * step
    return y if offset is None else y + offset


def lsq_backward(dy, x, step, offset, qmin, qmax):
    u = scaled(x, step, offset)
    inside = (qmin < u) & (u < qmax)
    bound = tf.clip_by_value(u, qmin, qmax)
    d = tf.where(inside, tf.round(u) - u, bound)
    dx = tf.where(inside, dy, tf.zeros_like(dy))
    return dx, dy * d, dy - dx


def lsq_rule(x, step, offset, qmin, qmax, axis, g):
    @tf.custom_gradient
    def rule(x, *own):
        def backward(dy):
            dx, *each = lsq_backward(dy, x, *pair, qmin, qmax)
            each = [tf.reduce_sum(rows(d, axis), -1) * g for d in each]
            return dx, *each[: len(own)]

        pair = [along(p, x, axis) for p in (*own, None)[:2]]
        return lsq_forward(x, *pair, qmin, qmax), backward

    return rule(x, *(p for p in (step, offset) if p is not None))


# endregion


# region function
def lsq(
    x, step, offset=None, bits=4, signed=True, count=None, axis=None
):
    qmin, qmax = code_range(bits, signed)
    check_quantizer("lsq", x, step, axis, "step")
    n = tf.shape(rows(x, axis))[-1] if count is None else count
    n = tf.maximum(tf.cast(n, tf.float64), 1)
    g = tf.cast(1 / tf.sqrt(n * qmax), x.dtype)
    return lsq_rule(x, step, offset, qmin, qmax, axis, g)


# endregion


# region layer
class LSQ(tf.keras.layers.Layer):
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
        start = tf.keras.initializers.Constant(float("nan"))
        self.step = self.add_weight(shape, start, name="step")

    def start(self, x):
        bits, signed, _, axis = self.options
        self.step.assign(first_step(x, bits, signed, axis))

    def call(self, x):
        return lsq(x, self.step.value, None, *self.options)


# endregion


# region try
if __name__ == "__main__":
    layer, x = LSQ(bits=3), tf.constant([-2.0, -0.4, 0.1, 0.9])
    layer.start(x)
    print(layer.step.value, layer(x))
# endregion

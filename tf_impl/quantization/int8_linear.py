"""Int8Linear: the layer that runs when training is over, in integers.

convert makes it of a QATLinear; its weight takes a byte a number
q_i = quantize(x_i, scale, zero_point);  x_i is about (q_i - z) scale
a_o = sum_i q_i W_oi - z sum_i W_oi + B_o, exact
y_o = a_o out_scale_o, rounded once (twice where |a_o| is above 2^24);
NaN where an x_i is NaN, which no code is, as QATLinear has it

Axes:   I in_features, O out_features, ... any leading axes
State:  weight (O, I), its codes in int8; bias (O) in int32, in steps of
        out_scale (O), the product of both scales; scale, zero_point ()
        codes: a Codes; unsigned ones are moved to begin at -128
Raises: TypeError, ValueError as quantize and linear
Ref:    Jacob et al. 2018, CVPR, 2.2 to 2.4
"""

# region imports
import functools

import tensorflow as tf

from tf_impl.checks import check_input
from tf_impl.precision import cast_like, widen
from tf_impl.quantization.codes import Codes
from tf_impl.quantization.fake_quantize import quantize

# endregion


# region function
def int8_matmul(q, weight):
    """int8 by int8; the sums are exact, and int32."""
    rows = tf.reshape(q, (-1, q.shape[-1]))
    total = tf.matmul(rows, tf.transpose(weight), output_type=tf.int32)
    shape = tf.concat((tf.shape(q)[:-1], weight.shape[:1]), axis=0)
    return tf.reshape(total, shape)


def unknown(x):
    """NaN for a row of x that has one, 0 for the others."""
    known = tf.where(x == x, tf.zeros_like(x), x)
    return tf.reduce_sum(known, axis=-1, keepdims=True)


def int8_linear(q, zero_point, weight, bias):
    total = int8_matmul(q, weight)  # ... O
    ones = tf.reduce_sum(tf.cast(weight, tf.int32), axis=1)  # O
    return total - zero_point * ones + bias


# endregion


# region layer
class Int8Linear(tf.keras.layers.Layer):
    def __init__(
        self,
        weight,
        bias,
        out_scale,
        scale,
        zero_point,
        codes,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.codes = codes = Codes(*codes)
        self.shift = 0 if codes.signed else 2 ** (codes.bits - 1)
        state = functools.partial(
            tf.keras.Variable, trainable=False, autocast=False
        )
        self.weight = state(tf.cast(weight, tf.int8), name="weight")
        self.bias = state(tf.cast(bias, tf.int32), name="bias")
        self.out_scale = state(out_scale, name="out_scale")
        self.scale = state(scale, name="scale")
        self.zero_point = state(zero_point, name="zero_point")

    def input_codes(self, x):
        check_input("Int8Linear", x, "... I", I=self.weight.shape[1])
        qparams = self.scale.value, self.zero_point.value
        q = quantize(x, *qparams, *self.codes)
        return tf.cast(q - self.shift, tf.int8)

    def total(self, x):
        """The exact sums, int32, in steps of out_scale."""
        zero_point = self.zero_point - self.shift
        return int8_linear(
            self.input_codes(x), zero_point, self.weight, self.bias
        )

    def call(self, x):
        scale = widen(self.out_scale)
        y = cast_like(self.total(x), scale) * scale
        return cast_like(y, x) + unknown(x)


# endregion


# region try
if __name__ == "__main__":
    weight, bias = tf.constant([[1, -2, 3]]), tf.constant([7])
    scale, zero_point = tf.constant(0.5), tf.constant(-1)
    given = tf.constant([0.25]), scale, zero_point, Codes(bits=4)
    layer = Int8Linear(weight, bias, *given)
    x = tf.constant([[1.0, 0.0, -1.0]])
    print(layer.input_codes(x), layer.total(x), layer(x))
# endregion


# region what differs here
# alignment: a buffer is a Variable that keras finds, saves and casts
# tensorflow 2.21.0: matmul of int8 needs output_type; reduce_sum of
# int8 stays int8 and wraps, hence the cast
# endregion

"""Linear: a dense layer, the building block of most networks.

Each output is a weighted sum of all inputs, plus a bias. LinearReLU
is the same followed by a rectifier, which sets what is negative to 0.

linear:       y_o = sum_i x_i W_oi + b_o
linear_relu:  y_o where y_o > 0, else 0, with gradient 0 at y_o = 0

Axes:   I in_features, O out_features, ... any leading axes
Params: weight (O, I), starts as glorot; bias (O), starts as zeros
Raises: TypeError if x is not of a real floating dtype
        ValueError if x is not (..., I)
Ref:    Nair, Hinton 2010, ICML, 2 (the rectifier)
"""

# region imports
import tensorflow as tf

from tf_impl.checks import check_input
from tf_impl.glorot import glorot, sizes
from tf_impl.precision import cast_like, widen

# endregion


# region function
def linear(x, weight, bias=None):
    size, like = weight.shape[1], (weight, bias)
    check_input("linear", x, "... I", like=like, I=size)
    y = tf.tensordot(x, weight, [[-1], [1]])  # ... O
    y = y if bias is None else widen(y) + widen(bias)
    return cast_like(y, x)


def linear_relu(x, weight, bias=None):
    y = linear(x, weight, bias)
    return tf.where(y <= 0, tf.zeros_like(y), y)


# endregion


# region layer
class Linear(tf.keras.layers.Layer):
    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        shape = sizes(out_features, in_features)
        start = glorot(*shape)
        self.weight = self.add_weight(shape, start, name="weight")
        self.bias = None
        if bias:
            self.bias = self.add_weight(shape[:1], "zeros", name="bias")

    def call(self, x):
        return linear(x, self.weight, self.bias)


class LinearReLU(tf.keras.layers.Layer):
    def __init__(self, in_features: int, out_features: int, **kwargs):
        super().__init__(**kwargs)
        shape = sizes(out_features, in_features)
        start = glorot(*shape)
        self.weight = self.add_weight(shape, start, name="weight")
        self.bias = self.add_weight(shape[:1], "zeros", name="bias")

    def call(self, x):
        return linear_relu(x, self.weight, self.bias)


# endregion


# region try
if __name__ == "__main__":
    layer = Linear(in_features=3, out_features=2)
    y = layer(tf.ones((4, 3)))
    print(y.shape)
# endregion


# region what differs here
# tensorflow 2.21.0: the weight gradient of einsum("...i,oi->...o")
# is a (..., O, I) array, summed in the dtype of x (bfloat16: 9.6 error
# budgets off); tensordot, one matrix product, is within 0.2. A bias
# gradient in float16 is summed in float16 (2.1 off): y goes wide
# keras 3.15.1: a layer casts a floating x to its own dtype, float32
# unless dtype= or the global policy says otherwise
# endregion

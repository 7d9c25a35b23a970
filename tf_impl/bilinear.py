"""TensorReduction: each output is a quadratic form of the input.

It multiplies every pair of inputs and sums the products with weights,
so that it can learn how two features act together.

y_k = sum_ij W_ijk x_i x_j;  W need not be symmetric

Axes:   I, J both in_features, K out_features, ... any leading axes
Params: weight (I, J, K), starts uniform in +-sqrt(3) / I
Raises: TypeError if x is not of a real floating dtype
        ValueError if x is not (..., I)
Ref:    Zhang, Lipton, Li, Smola 2023, Dive into Deep Learning, 6.5.4
"""

# region imports
import math

import tensorflow as tf

from tf_impl.arguments import fitting, whole
from tf_impl.checks import check_input

# endregion


# region function
def bilinear(x, weight):
    size = weight.shape[0]
    check_input("bilinear", x, "... I", like=[weight], I=size)
    wx = tf.tensordot(x, weight, [[-1], [0]])  # ... J K
    return tf.einsum("...jk,...j->...k", wx, x)  # ... K


# endregion


# region layer
class TensorReduction(tf.keras.layers.Layer):
    def __init__(self, in_features: int, out_features: int, **kwargs):
        super().__init__(**kwargs)
        in_features = whole("in_features", in_features, 1)
        out_features = whole("out_features", out_features, 1)
        bound = math.sqrt(3) / in_features
        shape = fitting(in_features, in_features, out_features)
        start = tf.keras.initializers.RandomUniform(-bound, bound)
        self.weight = self.add_weight(shape, start, name="weight")

    def call(self, x):
        return bilinear(x, self.weight)


# endregion


# region try
if __name__ == "__main__":
    layer = TensorReduction(in_features=3, out_features=2)
    y = layer(tf.ones((4, 3)))
    print(y.shape)
# endregion


# region what differs here
# tensorflow 2.21.0: tensordot, not einsum("...i,ijk->...jk"), whose
# weight gradient is a (..., I, J, K) array: see linear.py
# keras 3.15.1: a layer casts a floating x to its own dtype, float32
# unless dtype= or the global policy says otherwise
# endregion

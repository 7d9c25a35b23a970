"""WeightedSum, ManualLinear: gradients written by hand, as a pattern.

weighted_sum:  y = sum_ni x_ni w_i, one number for the whole batch
manual_linear: y_no = sum_i x_ni W_oi + b_o, as in linear

Axes:   N batch, or all leading axes; I in_features, O out_features
Params: WeightedSum weight (I); ManualLinear weight (O, I), bias (O)
        weights start as glorot, bias as zeros
Grads:  weighted_sum: dx_ni = dy w_i;  dw_i = dy sum_n x_ni
        manual_linear: dx_ni = sum_o dy_no W_oi
        dW_oi = sum_n dy_no x_ni;  db_o = sum_n dy_no
Raises: TypeError if x is of no real floating dtype; ValueError if it
        is not (N, I), for weighted_sum (..., I)
Ref:    Griewank, Walther 2008, Evaluating Derivatives, 3.2
"""

# region imports
import tensorflow as tf

from tf_impl.checks import check_input
from tf_impl.custom_gradient import custom_gradient
from tf_impl.glorot import glorot, sizes

# endregion


# region gradient rule
def weighted_sum_forward(x, weight):
    return tf.reduce_sum(tf.einsum("ni,i->n", x, weight))


def weighted_sum_backward(dy, x, weight):
    dx = dy * tf.broadcast_to(weight, tf.shape(x))  # N I
    return dx, dy * tf.reduce_sum(x, axis=0)


def manual_linear_forward(x, weight, bias):
    return tf.einsum("ni,oi->no", x, weight) + bias  # N O


def manual_linear_backward(dy, x, weight):
    dx = tf.einsum("no,oi->ni", dy, weight)  # N I
    dweight = tf.einsum("no,ni->oi", dy, x)  # O I
    return dx, dweight, tf.reduce_sum(dy, axis=0)


@custom_gradient
def weighted_sum_rule(x, weight):
    def backward(dy):
        return weighted_sum_backward(dy, x, weight)

    return weighted_sum_forward(x, weight), backward


@custom_gradient
def manual_linear_rule(x, weight, bias):
    def backward(dy):
        return manual_linear_backward(dy, x, weight)

    return manual_linear_forward(x, weight, bias), backward


# endregion


# region function
def weighted_sum(x, weight):
    size = weight.shape[0]
    check_input("weighted_sum", x, "... I", like=[weight], I=size)
    x = tf.reshape(x, (-1, size))  # N I
    weight = tf.convert_to_tensor(weight)
    return weighted_sum_rule(x, weight)


def manual_linear(x, weight, bias):
    size, like = weight.shape[1], (weight, bias)
    check_input("manual_linear", x, "N I", like=like, I=size)
    weight, bias = map(tf.convert_to_tensor, (weight, bias))
    return manual_linear_rule(x, weight, bias)


# endregion


# region layer
class WeightedSum(tf.keras.layers.Layer):
    def __init__(self, in_features: int, **kwargs):
        super().__init__(**kwargs)
        start = glorot(in_features)
        shape = (in_features,)
        self.weight = self.add_weight(shape, start, name="weight")

    def call(self, x):
        return weighted_sum(x, self.weight)


class ManualLinear(tf.keras.layers.Layer):
    def __init__(self, in_features: int, out_features: int, **kwargs):
        super().__init__(**kwargs)
        shape = sizes(out_features, in_features)
        start = glorot(*shape)
        self.weight = self.add_weight(shape, start, name="weight")
        self.bias = self.add_weight(shape[:1], "zeros", name="bias")

    def call(self, x):
        return manual_linear(x, self.weight, self.bias)


# endregion


# region try
if __name__ == "__main__":
    layer = ManualLinear(in_features=3, out_features=2)
    print(layer(tf.ones((4, 3))).shape)
# endregion

"""code_linear: a linear layer of quantized numbers, summed as codes.

A number that a quantizer gave is a whole number of steps; sums of whole
numbers are exact, so y is what an int8 layer gives, to the last bit
a_i = round(x_i / x_scale), w_oi = round(W_oi / w_scale_o) are codes
s_o = x_scale w_scale_o
y_o = (sum_i a_i w_oi + round(b_o / s_o)) s_o, rounded once, by s_o

Axes:   I in_features, O out_features, ... any leading axes
        x_scale (), w_scale (O)
Grads:  those of linear, as if nothing were rounded:
        x receives sum_o dy_o W_oi, weight sum dy_o x_i, bias sum dy_o;
        the scales receive 0: x and weight carry their gradients
Raises: TypeError, ValueError as linear
Ref:    Jacob et al. 2018, CVPR, 2.2 and 2.4 (the bias in steps of s)
"""

# region imports
import tensorflow as tf

from tf_impl.checks import check_input
from tf_impl.custom_gradient import custom_gradient

# endregion


# region gradient rule
def exact_matmul(x, weight):
    """Of whole numbers, below 2^53 in every sum."""
    x, weight = tf.cast(x, tf.float64), tf.cast(weight, tf.float64)
    return tf.tensordot(x, weight, [[-1], [1]])  # ... O


def code_linear_forward(x, weight, bias, x_scale, w_scale):
    scale = x_scale * w_scale  # O
    a = tf.round(x * (1 / x_scale))  # ... I
    w = tf.round(weight * (1 / w_scale)[:, None])  # O I
    bias = tf.cast(tf.round(bias * (1 / scale)), tf.float64)
    total = exact_matmul(a, w) + bias
    return tf.cast(total, x.dtype) * scale  # ... O


def code_linear_backward(dy, x, weight):
    dx = tf.einsum("...o,oi->...i", dy, weight)  # ... I
    dy, x = (tf.reshape(a, (-1, a.shape[-1])) for a in (dy, x))
    dweight = tf.einsum("no,ni->oi", dy, x)  # O I
    return dx, dweight, tf.einsum("no->o", dy)


def code_linear_rule(x, weight, bias, *scales):
    @custom_gradient
    def rule(x, weight, bias, *scales):
        def backward(dy):
            grads = code_linear_backward(dy, x, weight)
            return *grads, *(tf.zeros_like(s) for s in scales)

        return code_linear_forward(x, weight, bias, *scales), backward

    return rule(x, weight, bias, *scales)


# endregion


# region function
def code_linear(x, weight, bias, x_scale, w_scale):
    size, like = weight.shape[1], (weight, bias, x_scale, w_scale)
    check_input("code_linear", x, "... I", like=like, I=size)
    if bias is None:
        bias = tf.zeros_like(w_scale)
    weight, bias = map(tf.convert_to_tensor, (weight, bias))
    return code_linear_rule(x, weight, bias, x_scale, w_scale)


# endregion


# region try
if __name__ == "__main__":
    x = tf.constant([[0.5, -1.0]])
    weight = tf.constant([[0.25, 0.75]])
    scales = tf.constant(0.5), tf.constant([0.25])
    print(code_linear(x, weight, tf.constant([0.3]), *scales))
# endregion


# region what differs here
# tensorflow 2.21.0: exact_matmul(...) + float32 is an error, hence the
# cast of the bias; einsum refuses "...o,...i->oi", where ... is summed
# endregion

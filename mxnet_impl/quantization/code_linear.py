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
from mxnet import np

from mxnet_impl.checks import check_input
from mxnet_impl.custom_function import Function, empty_result

# endregion


# region gradient rule
def exact_matmul(x, weight):
    """Of whole numbers, below 2^53 in every sum."""
    x, weight = x.astype(np.float64), weight.astype(np.float64)
    return np.dot(x, weight.T)  # ... O


def code_linear_forward(x, weight, bias, x_scale, w_scale):
    scale = x_scale * w_scale  # O
    a = np.around(x * (1 / x_scale))  # ... I
    w = np.around(weight * (1 / w_scale)[:, None])  # O I
    total = exact_matmul(a, w) + np.around(bias * (1 / scale))
    return total.astype(x.dtype) * scale  # ... O


def code_linear_backward(dy, x, weight):
    dx = np.dot(dy, weight)  # ... I
    dy = np.reshape(dy, (-1, weight.shape[0]))
    x = np.reshape(x, (-1, weight.shape[1]))
    dweight = np.dot(dy.T, x)  # O I
    return dx, dweight, np.sum(dy, axis=0)


class CodeLinearRule(Function):
    def forward(self, x, weight, bias, *scales):
        self.save_for_backward(x, weight, *scales)
        return code_linear_forward(x, weight, bias, *scales)

    def backward(self, dy):
        x, weight, *scales = self.saved_tensors
        grads = code_linear_backward(dy, x, weight)
        return *grads, *(np.zeros_like(s) for s in scales)


# endregion


# region function
def code_linear(x, weight, bias, x_scale, w_scale):
    size, like = weight.shape[1], (weight, bias, x_scale, w_scale)
    check_input("code_linear", x, "... I", like=like, I=size)
    if bias is None:
        bias = np.zeros_like(w_scale)
    if 0 in x.shape[:-1]:
        shape = (*x.shape[:-1], weight.shape[0])
        return empty_result(shape, x, weight, bias, x_scale, w_scale)
    return CodeLinearRule()(x, weight, bias, x_scale, w_scale)


# endregion


# region try
if __name__ == "__main__":
    x = np.array([[0.5, -1.0]])
    weight = np.array([[0.25, 0.75]])
    scales = np.array(0.5), np.array([0.25])
    print(code_linear(x, weight, np.array([0.3]), *scales))
# endregion


# region what differs here
# alignment: dot for einsum, and a branch for the empty batch
# mxnet 1.9.1: on an empty batch gradients are stale: empty_result
# einsum is a plain loop: dot, on rows where leading axes are summed
# endregion

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
from mxnet import np
from mxnet.gluon import nn

from mxnet_impl.checks import check_input
from mxnet_impl.custom_function import Function
from mxnet_impl.glorot import glorot, sizes

# endregion


# region gradient rule
def weighted_sum_forward(x, weight):
    return np.sum(np.einsum("ni,i->n", x, weight))


def weighted_sum_backward(dy, x, weight):
    dx = dy * np.broadcast_to(weight, x.shape)  # N I
    return dx, dy * np.sum(x, axis=0)


def manual_linear_forward(x, weight, bias):
    return np.einsum("ni,oi->no", x, weight) + bias  # N O


def manual_linear_backward(dy, x, weight):
    dx = np.einsum("no,oi->ni", dy, weight)  # N I
    dweight = np.einsum("no,ni->oi", dy, x)  # O I
    return dx, dweight, np.sum(dy, axis=0)


class WeightedSumRule(Function):
    def forward(self, x, weight):
        self.save_for_backward(x, weight)
        return weighted_sum_forward(x, weight)

    def backward(self, dy):
        return weighted_sum_backward(dy, *self.saved_tensors)


class ManualLinearRule(Function):
    def forward(self, x, weight, bias):
        self.save_for_backward(x, weight)
        return manual_linear_forward(x, weight, bias)

    def backward(self, dy):
        return manual_linear_backward(dy, *self.saved_tensors)


# endregion


# region function
def weighted_sum(x, weight):
    size = weight.shape[0]
    check_input("weighted_sum", x, "... I", like=[weight], I=size)
    return WeightedSumRule()(np.reshape(x, (-1, size)), weight)


def manual_linear(x, weight, bias):
    size, like = weight.shape[1], (weight, bias)
    check_input("manual_linear", x, "N I", like=like, I=size)
    return ManualLinearRule()(x, weight, bias)


# endregion


# region layer
class WeightedSum(nn.Block):
    def __init__(self, in_features: int, **kwargs):
        super().__init__(**kwargs)
        shape, get = sizes(in_features), self.params.get
        self.weight = get("weight", shape=shape, init=glorot(*shape))

    def forward(self, x):
        return weighted_sum(x, self.weight.data())


class ManualLinear(nn.Block):
    def __init__(self, in_features: int, out_features: int, **kwargs):
        super().__init__(**kwargs)
        shape, get = sizes(out_features, in_features), self.params.get
        self.weight = get("weight", shape=shape, init=glorot(*shape))
        self.bias = get("bias", shape=shape[:1], init="zeros")

    def forward(self, x):
        return manual_linear(x, self.weight.data(), self.bias.data())


# endregion


# region try
if __name__ == "__main__":
    layer = ManualLinear(in_features=3, out_features=2)
    layer.initialize()
    print(layer(np.ones((4, 3))).shape)
# endregion


# region what differs here
# mxnet 1.9.1: no second derivative; Function is custom_function's
# endregion

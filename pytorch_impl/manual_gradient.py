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
import functools

import torch
from torch import nn

from pytorch_impl.checks import check_input
from pytorch_impl.glorot import glorot, sizes
from pytorch_impl.transforms import Function, alike, apply

# endregion


# region gradient rule
def weighted_sum_forward(x, weight):
    return torch.sum(torch.einsum("ni,i->n", x, weight))


def weighted_sum_backward(dy, x, weight):
    dx = dy * torch.broadcast_to(weight, x.shape)  # N I
    return dx, dy * torch.sum(x, axis=0)


def manual_linear_forward(x, weight, bias):
    return torch.einsum("ni,oi->no", x, weight) + bias  # N O


def manual_linear_backward(dy, x, weight):
    dx = torch.einsum("no,oi->ni", dy, weight)  # N I
    dweight = torch.einsum("no,ni->oi", dy, x)  # O I
    return dx, dweight, torch.sum(dy, axis=0)


class WeightedSumRule(Function):
    forward = staticmethod(weighted_sum_forward)

    @staticmethod
    def backward(ctx, dy):
        return weighted_sum_backward(dy, *ctx.saved_tensors)


class ManualLinearRule(Function):
    forward = staticmethod(manual_linear_forward)

    @staticmethod
    def backward(ctx, dy):
        x, weight, _ = ctx.saved_tensors
        return manual_linear_backward(dy, x, weight)


weighted_sum_rule = functools.partial(apply, WeightedSumRule)
manual_linear_rule = functools.partial(apply, ManualLinearRule)
# endregion


# region function
def weighted_sum(x, weight):
    size = weight.shape[0]
    check_input("weighted_sum", x, "... I", like=[weight], I=size)
    x = torch.reshape(x, (-1, size))  # N I
    return weighted_sum_rule(*alike(x, weight))


def manual_linear(x, weight, bias):
    size, like = weight.shape[1], (weight, bias)
    check_input("manual_linear", x, "N I", like=like, I=size)
    return manual_linear_rule(*alike(x, weight, bias))


# endregion


# region layer
class WeightedSum(nn.Module):
    def __init__(self, in_features: int):
        super().__init__()
        start = glorot(in_features)
        self.weight = nn.Parameter(start)

    def forward(self, x):
        return weighted_sum(x, self.weight)


class ManualLinear(nn.Module):
    def __init__(self, in_features: int, out_features: int):
        super().__init__()
        shape = sizes(out_features, in_features)
        start = glorot(*shape)
        self.weight = nn.Parameter(start)
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x):
        return manual_linear(x, self.weight, self.bias)


# endregion


# region try
if __name__ == "__main__":
    layer = ManualLinear(in_features=3, out_features=2)
    print(layer(torch.ones((4, 3))).shape)
# endregion

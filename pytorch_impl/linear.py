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
import torch
from torch import nn

from pytorch_impl.checks import check_input
from pytorch_impl.glorot import glorot, sizes
from pytorch_impl.precision import cast_like, widen

# endregion


# region function
def linear(x, weight, bias=None):
    size, like = weight.shape[1], (weight, bias)
    check_input("linear", x, "... I", like=like, I=size)
    y = torch.einsum("...i,oi->...o", x, weight)  # ... O
    y = y if bias is None else widen(y) + widen(bias)
    return cast_like(y, x)


def linear_relu(x, weight, bias=None):
    y = linear(x, weight, bias)
    return torch.where(y <= 0, torch.zeros_like(y), y)


# endregion


# region layer
class Linear(nn.Module):
    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
    ):
        super().__init__()
        shape = sizes(out_features, in_features)
        start = glorot(*shape)
        self.weight = nn.Parameter(start)
        self.bias = None
        if bias:
            self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x):
        return linear(x, self.weight, self.bias)


class LinearReLU(nn.Module):
    def __init__(self, in_features: int, out_features: int):
        super().__init__()
        shape = sizes(out_features, in_features)
        start = glorot(*shape)
        self.weight = nn.Parameter(start)
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x):
        return linear_relu(x, self.weight, self.bias)


# endregion


# region try
if __name__ == "__main__":
    layer = Linear(in_features=3, out_features=2)
    y = layer(torch.ones((4, 3)))
    print(y.shape)
# endregion

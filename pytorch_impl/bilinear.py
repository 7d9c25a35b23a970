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

import torch
from torch import nn

from pytorch_impl.arguments import fitting, whole
from pytorch_impl.checks import check_input

# endregion


# region function
def bilinear(x, weight):
    size = weight.shape[0]
    check_input("bilinear", x, "... I", like=[weight], I=size)
    wx = torch.einsum("...i,ijk->...jk", x, weight)  # ... J K
    return torch.einsum("...jk,...j->...k", wx, x)  # ... K


# endregion


# region layer
class TensorReduction(nn.Module):
    def __init__(self, in_features: int, out_features: int):
        super().__init__()
        in_features = whole("in_features", in_features, 1)
        out_features = whole("out_features", out_features, 1)
        bound = math.sqrt(3) / in_features
        shape = fitting(in_features, in_features, out_features)
        start = torch.empty(shape).uniform_(-bound, bound)
        self.weight = nn.Parameter(start)

    def forward(self, x):
        return bilinear(x, self.weight)


# endregion


# region try
if __name__ == "__main__":
    layer = TensorReduction(in_features=3, out_features=2)
    y = layer(torch.ones((4, 3)))
    print(y.shape)
# endregion

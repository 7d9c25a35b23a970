"""Centered: subtract the mean of all elements, so that they sum to 0.

It has no parameters: the smallest layer there is, to read first. The
mean is over every element, not over the batch or the last axis alone.

y_n = x_n - (1/N) sum_m x_m

Axes:   N, M every element of x, whatever its shape
Params: none
Raises: TypeError if x is not of a real floating dtype
Ref:    Zhang, Lipton, Li, Smola 2023, Dive into Deep Learning, 6.5.1
"""

# region imports
import torch
from torch import nn

from pytorch_impl.checks import check_input
from pytorch_impl.precision import cast_like, widen

# endregion


# region function
def centered(x):
    check_input("centered", x, "...")
    wide = widen(x)
    return cast_like(wide - torch.mean(wide), x)


# endregion


# region layer
class CenteredLayer(nn.Module):
    def __init__(self):
        super().__init__()

    def forward(self, x):
        return centered(x)


# endregion


# region try
if __name__ == "__main__":
    layer = CenteredLayer()
    print(layer(torch.linspace(1.0, 6.0, 3)))
# endregion

"""RMSNorm: bring each vector to the same size, then scale its features.

It divides by the root mean square of the last axis, which keeps the
numbers in a deep network from growing or vanishing. Low precision goes
through float32, so that x_d^2 cannot overflow.

y_c = x_c / sqrt((1/C) sum_d x_d^2 + eps) * weight_c

Axes:   C, D features, ... any leading axes
Params: weight (C), starts as ones
Raises: TypeError if x is not of a real floating dtype
        ValueError if x is not (..., C)
Ref:    Zhang, Sennrich 2019, NeurIPS, eq. 4
"""

# region imports
import torch
from torch import nn

from pytorch_impl.arguments import fitting, real, whole
from pytorch_impl.checks import check_input
from pytorch_impl.precision import cast_like, widen

# endregion


# region function
def rms_norm(x, weight, eps: float = 1e-6):
    size = weight.shape[0]
    check_input("rms_norm", x, "... C", like=[weight], C=size)
    eps = real("rms_norm: eps", eps)
    wide = widen(x)
    mean = torch.mean(wide * wide, axis=-1, keepdims=True)  # ... 1
    y = wide / torch.sqrt(mean + eps) * widen(weight)
    return cast_like(y, x)


# endregion


# region layer
class RMSNorm(nn.Module):
    def __init__(self, dim: int, eps: float = 1e-6):
        super().__init__()
        (dim,) = fitting(whole("RMSNorm: dim", dim, 1))
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = real("RMSNorm: eps", eps)

    def forward(self, x):
        return rms_norm(x, self.weight, self.eps)


# endregion


# region try
if __name__ == "__main__":
    layer = RMSNorm(dim=2)
    print(layer(torch.linspace(3.0, 4.0, 2)))
# endregion

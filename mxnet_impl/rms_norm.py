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
from mxnet import np
from mxnet.gluon import nn

from mxnet_impl.arguments import fitting, real, whole
from mxnet_impl.checks import check_input
from mxnet_impl.custom_function import empty_result
from mxnet_impl.precision import cast_like, widen

# endregion


# region function
def rms_norm(x, weight, eps: float = 1e-6):
    size = weight.shape[0]
    check_input("rms_norm", x, "... C", like=[weight], C=size)
    eps = real("rms_norm: eps", eps)
    if 0 in x.shape:
        return empty_result(x.shape, x, weight)
    wide = widen(x)
    mean = np.mean(wide * wide, axis=-1, keepdims=True)  # ... 1
    y = wide / np.sqrt(mean + eps) * widen(weight)
    return cast_like(y, x)


# endregion


# region layer
class RMSNorm(nn.Block):
    def __init__(self, dim: int, eps: float = 1e-6, **kwargs):
        super().__init__(**kwargs)
        (dim,) = fitting(whole("RMSNorm: dim", dim, 1))
        self.weight = self.params.get("weight", shape=dim, init="ones")
        self.eps = real("RMSNorm: eps", eps)

    def forward(self, x):
        return rms_norm(x, self.weight.data(), self.eps)


# endregion


# region try
if __name__ == "__main__":
    layer = RMSNorm(dim=2)
    layer.initialize()
    print(layer(np.linspace(3.0, 4.0, 2)))
# endregion


# region what differs here
# mxnet 1.9.1: the mean over an axis of an empty batch fails, with an
# error that may surface in a later operation: empty_result
# endregion

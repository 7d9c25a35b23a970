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

from mxnet import init, np
from mxnet.gluon import nn

from mxnet_impl.arguments import fitting, whole
from mxnet_impl.checks import check_input

# endregion


# region function
def bilinear(x, weight):
    size = weight.shape[0]
    check_input("bilinear", x, "... I", like=[weight], I=size)
    wx = np.einsum("...i,ijk->...jk", x, weight)  # ... J K
    return np.einsum("...jk,...j->...k", wx, x)  # ... K


# endregion


# region layer
class TensorReduction(nn.Block):
    def __init__(self, in_features: int, out_features: int, **kwargs):
        super().__init__(**kwargs)
        in_features = whole("in_features", in_features, 1)
        out_features = whole("out_features", out_features, 1)
        bound = math.sqrt(3) / in_features
        shape = fitting(in_features, in_features, out_features)
        start = init.Uniform(bound)
        self.weight = self.params.get("weight", shape=shape, init=start)

    def forward(self, x):
        return bilinear(x, self.weight.data())


# endregion


# region try
if __name__ == "__main__":
    layer = TensorReduction(in_features=3, out_features=2)
    layer.initialize()
    y = layer(np.ones((4, 3)))
    print(y.shape)
# endregion

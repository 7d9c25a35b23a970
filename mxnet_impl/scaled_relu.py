"""ScaledReLU: an activation, a rectifier times a constant.

What is negative becomes 0, the rest is multiplied by scale. At x = 0,
where the slope jumps, the gradient is 0 in all four; NaN stays NaN.

y = scale * x where x > 0, else 0

Axes:   any
Params: none
Raises: TypeError if x is not of a real floating dtype
Ref:    Nair, Hinton 2010, ICML, section 2
"""

# region imports
from mxnet import np
from mxnet.gluon import nn

from mxnet_impl.arguments import real
from mxnet_impl.checks import check_input

# endregion


# region function
def scaled_relu(x, scale: float = 1.0):
    check_input("scaled_relu", x, "...")
    scale = real("scaled_relu: scale", scale)
    return np.where(x <= 0, np.zeros_like(x), scale * x)


# endregion


# region layer
class ScaledReLU(nn.Block):
    def __init__(self, scale: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.scale = real("ScaledReLU: scale", scale)

    def forward(self, x):
        return scaled_relu(x, self.scale)


# endregion


# region try
if __name__ == "__main__":
    layer = ScaledReLU(scale=0.5)
    print(layer(np.linspace(-2.0, 3.0, 6)))
# endregion


# region what differs here
# mxnet 1.9.1: where(c, x, 0.0), one branch a number, sends the gradient
# to the wrong branch: both branches are arrays
# endregion

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
from mxnet import np
from mxnet.gluon import nn

from mxnet_impl.checks import check_input
from mxnet_impl.precision import cast_like, widen

# endregion


# region function
def centered(x):
    check_input("centered", x, "...")
    wide = widen(x)
    return cast_like(wide - np.mean(wide), x)


# endregion


# region layer
class CenteredLayer(nn.Block):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def forward(self, x):
        return centered(x)


# endregion


# region try
if __name__ == "__main__":
    layer = CenteredLayer()
    print(layer(np.linspace(1.0, 6.0, 3)))
# endregion


# region what differs here
# mxnet 1.9.1: a Block, not a HybridBlock: hybridize() compiles only
# hybrid_forward, and does nothing, silently, where forward is defined
# endregion

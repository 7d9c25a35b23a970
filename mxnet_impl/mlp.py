"""MLP: two linear layers with a scaled rectifier between them.

The smallest network that is not linear, and the pattern for a layer
that is made of other layers.

h_j = sum_i x_i W1_ji + b1_j;  a_j = scale * max(h_j, 0)
y_o = sum_j a_j W2_oj + b2_o

Axes:   I input_size, J hidden_size, O output_size, ... leading axes
Params: layer1.weight (J, I), layer1.bias (J)
        layer2.weight (O, J), layer2.bias (O)
Raises: TypeError if x is not of a real floating dtype
        ValueError if x is not (..., I)
Ref:    Rumelhart, Hinton, Williams 1986, Nature 323, eq. 1
"""

# region imports
from mxnet import np
from mxnet.gluon import nn

from mxnet_impl.linear import Linear
from mxnet_impl.scaled_relu import ScaledReLU

# endregion


# region layer
class MLP(nn.Block):
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        scale: float = 0.5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.layer1 = Linear(input_size, hidden_size)
        self.relu = ScaledReLU(scale)
        self.layer2 = Linear(hidden_size, output_size)

    def forward(self, x):
        h = self.layer1(x)  # ... J
        a = self.relu(h)
        return self.layer2(a)  # ... O


# endregion


# region try
if __name__ == "__main__":
    layer = MLP(input_size=3, hidden_size=5, output_size=2)
    layer.initialize()
    y = layer(np.ones((4, 3)))
    print(y.shape)
# endregion

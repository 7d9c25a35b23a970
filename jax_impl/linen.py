"""Linen: two layers once more, in the API of older Flax books.

CenteredLayer: y_n = x_n - (1/N) sum_m x_m
LinearReLU:    y_o = sum_i x_i W_oi + b_o where > 0, else 0

Axes:   I in_features, O out_features, ... any leading axes
Params: CenteredLayer none; LinearReLU weight (O, I), bias (O), as in
        linear.py, in the collection "params" of `variables`
Raises: TypeError if x is not of a real floating dtype
        ValueError if x is not (..., I)
Ref:    Zhang, Lipton, Li, Smola 2023, Dive into Deep Learning, 6.5
"""

# region imports
import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from jax_impl.centered import centered
from jax_impl.linear import linear_relu

# endregion


# region layer
class CenteredLayer(nn.Module):
    def __call__(self, x):
        return centered(x)


class LinearReLU(nn.Module):
    in_features: int
    out_features: int

    def setup(self):
        bound = math.sqrt(6 / (self.in_features + self.out_features))
        shape = (self.out_features, self.in_features)
        self.weight = self.param(
            "weight",
            jax.random.uniform,
            shape,
            minval=-bound,
            maxval=bound,
        )
        self.bias = self.param(
            "bias", nn.initializers.zeros, (self.out_features,)
        )

    def __call__(self, x):
        return linear_relu(x, self.weight, self.bias)


# endregion


# region try
if __name__ == "__main__":
    layer = LinearReLU(in_features=3, out_features=2)
    x = jnp.ones((4, 3))
    variables = layer.init(jax.random.key(0), x)
    print(layer.apply(variables, x).shape)
# endregion


# region what differs here
# flax 0.12.8: sizes are dataclass fields, and parameters do not live
# in the layer: init makes them, apply takes them
# endregion

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
import jax.numpy as jnp
from flax import nnx

from jax_impl.checks import check_input
from jax_impl.glorot import glorot, sizes
from jax_impl.precision import cast_like, widen

# endregion


# region function
def linear(x, weight, bias=None):
    size, like = weight.shape[1], (weight, bias)
    check_input("linear", x, "... I", like=like, I=size)
    y = jnp.einsum("...i,oi->...o", x, weight)  # ... O
    y = y if bias is None else widen(y) + widen(bias)
    return cast_like(y, x)


def linear_relu(x, weight, bias=None):
    y = linear(x, weight, bias)
    return jnp.where(y <= 0, jnp.zeros_like(y), y)


# endregion


# region layer
class Linear(nnx.Module):
    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rngs,
    ):
        super().__init__()
        shape = sizes(out_features, in_features)
        start = glorot(*shape, rngs=rngs)
        self.weight = nnx.Param(start)
        self.bias = nnx.data(None)
        if bias:
            self.bias = nnx.Param(jnp.zeros(out_features))

    def __call__(self, x):
        return linear(x, self.weight, self.bias)


class LinearReLU(nnx.Module):
    def __init__(self, in_features: int, out_features: int, *, rngs):
        super().__init__()
        shape = sizes(out_features, in_features)
        start = glorot(*shape, rngs=rngs)
        self.weight = nnx.Param(start)
        self.bias = nnx.Param(jnp.zeros(out_features))

    def __call__(self, x):
        return linear_relu(x, self.weight, self.bias)


# endregion


# region try
if __name__ == "__main__":
    layer = Linear(in_features=3, out_features=2, rngs=nnx.Rngs(0))
    y = layer(jnp.ones((4, 3)))
    print(y.shape)
# endregion


# region what differs here
# jax 0.10.2: the gradient of a broadcast bias is summed in the dtype of
# y; in bfloat16 that was up to 26 error budgets off, so y goes wide
# float64 needs jax_enable_x64, else it is float32, silently
# flax 0.12.8: an nnx.Param goes into jnp.einsum as it is; .value is
# deprecated for weight[...], and weight[...] = a keeps the old dtype
# endregion

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
import jax.numpy as jnp
from flax import nnx

from jax_impl.arguments import real
from jax_impl.checks import check_input

# endregion


# region function
def scaled_relu(x, scale: float = 1.0):
    check_input("scaled_relu", x, "...")
    scale = real("scaled_relu: scale", scale)
    return jnp.where(x <= 0, jnp.zeros_like(x), scale * x)


# endregion


# region layer
class ScaledReLU(nnx.Module):
    def __init__(self, scale: float = 1.0):
        super().__init__()
        self.scale = real("ScaledReLU: scale", scale)

    def __call__(self, x):
        return scaled_relu(x, self.scale)


# endregion


# region try
if __name__ == "__main__":
    layer = ScaledReLU(scale=0.5)
    print(layer(jnp.linspace(-2.0, 3.0, 6)))
# endregion

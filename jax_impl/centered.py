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
import jax.numpy as jnp
from flax import nnx

from jax_impl.checks import check_input
from jax_impl.precision import cast_like, widen

# endregion


# region function
def centered(x):
    check_input("centered", x, "...")
    wide = widen(x)
    return cast_like(wide - jnp.mean(wide), x)


# endregion


# region layer
class CenteredLayer(nnx.Module):
    def __init__(self):
        super().__init__()

    def __call__(self, x):
        return centered(x)


# endregion


# region try
if __name__ == "__main__":
    layer = CenteredLayer()
    print(layer(jnp.linspace(1.0, 6.0, 3)))
# endregion


# region what differs here
# jax 0.10.2: the gradient of a broadcast mean is summed in the dtype of
# x; in bfloat16 that was 1.4 error budgets off, so x goes wide
# endregion

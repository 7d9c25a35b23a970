"""Glorot: random numbers that weights start from.

They are uniform in +-sqrt(6 / (I + O)). The variance of what passes
through a layer, and of the gradient that comes back, then stays about
the same. For weights (O, I, ...) the product of the trailing sizes
multiplies I + O; a vector (I) has O = 1.

Ref:    Glorot, Bengio 2010, AISTATS, eq. 16
"""

# region imports
import math

from flax import nnx

from jax_impl.arguments import fitting, whole

# endregion


# region function
def sizes(*shape: int):
    return fitting(*(whole(f"size in {shape}", n, 1) for n in shape))


def glorot_bound(*shape: int):
    rows, columns = (1, *shape) if len(shape) == 1 else shape[:2]
    return math.sqrt(6 / ((rows + columns) * math.prod(shape[2:])))


def glorot(*shape: int, rngs):
    shape = sizes(*shape)
    bound = glorot_bound(*shape)
    return rngs.params.uniform(shape, minval=-bound, maxval=bound)


# endregion


# region try
if __name__ == "__main__":
    print(glorot_bound(2, 4), glorot(2, 4, rngs=nnx.Rngs(0)))
# endregion

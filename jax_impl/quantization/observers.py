"""Observers: the range of the numbers that pass, for the qparams.

low', high' are the least and the greatest number of a batch:
MinMaxObserver         low = min(low, low'), high = max(high, high')
MovingAverageObserver  low = (1 - m) low + m low', and so for high, with
                       momentum m; m = 1 keeps the last batch alone
PercentileObserver     the same, where high' is the least number that
                       percent of the batch do not exceed; low' mirrored
The range of the first batch is taken as it is

Axes:   x any shape; C its size along axis, num_channels
State:  bounds (2) or, along axis, (2, C): low and high; start as NaN
Raises: TypeError if x is not of float32 or float64
        ValueError for a batch that is empty, not finite or of another
        number of channels (compiled, numbers that are not finite pass)
Ref:    Jacob et al. 2018, CVPR, 3.1; Wu et al. 2020, arXiv 2004.09602
"""

# region imports
import math

import jax
import jax.numpy as jnp
from flax import nnx

from jax_impl.arguments import channels, check_axis, real
from jax_impl.quantization.codes import rows
from jax_impl.quantization.qparams import check_batch

# endregion


# region function
def no_range(axis=None, num_channels=None):
    shape = (2, *channels(axis, num_channels))
    return jnp.full(shape, jnp.nan)


def batch_range(x, bounds, axis=None, percent: float = 100.0):
    """low' and high', in the shape of bounds."""
    check_batch("observe", x)
    want, got = tuple(bounds.shape[1:]), check_axis("observe", x, axis)
    if got != want:
        raise ValueError(f"observe: shape expected {want}, got {got}")
    x = rows(jax.lax.stop_gradient(x), axis).astype(bounds.dtype)
    if percent == 100:
        low, high = jnp.amin(x, axis=-1), jnp.amax(x, axis=-1)
        return jnp.stack((low, high))
    x = jnp.sort(x, axis=-1)
    rank = math.ceil(percent / 100 * x.shape[-1])
    return jnp.stack((x[..., -rank], x[..., rank - 1]))


def widest(bounds, new):
    low = jnp.minimum(bounds[0], new[0])
    high = jnp.maximum(bounds[1], new[1])
    mixed = jnp.stack((low, high))
    return jnp.where(jnp.isnan(bounds), new, mixed)


def average(bounds, new, momentum: float):
    mixed = (1 - momentum) * bounds + momentum * new
    return jnp.where(jnp.isnan(bounds), new, mixed)


# endregion


# region layer
class MinMaxObserver(nnx.Module):
    def __init__(self, axis=None, num_channels=None):
        super().__init__()
        self.axis = axis
        self.bounds = nnx.BatchStat(no_range(axis, num_channels))

    def observe(self, x):
        new = batch_range(x, self.bounds[...], self.axis)
        self.bounds[...] = widest(self.bounds[...], new)


class MovingAverageObserver(nnx.Module):
    def __init__(self, momentum=0.01, axis=None, num_channels=None):
        super().__init__()
        self.axis, self.momentum = axis, real("momentum", momentum)
        self.bounds = nnx.BatchStat(no_range(axis, num_channels))

    def observe(self, x):
        new = batch_range(x, self.bounds[...], self.axis)
        mixed = average(self.bounds[...], new, self.momentum)
        self.bounds[...] = mixed


class PercentileObserver(nnx.Module):
    def __init__(
        self, percent=99.9, momentum=0.01, axis=None, num_channels=None
    ):
        super().__init__()
        self.axis, self.momentum = axis, real("momentum", momentum)
        self.percent = real("percent", percent)
        self.bounds = nnx.BatchStat(no_range(axis, num_channels))

    def observe(self, x):
        new = batch_range(x, self.bounds[...], self.axis, self.percent)
        mixed = average(self.bounds[...], new, self.momentum)
        self.bounds[...] = mixed


# endregion


# region try
if __name__ == "__main__":
    observer = MovingAverageObserver(0.5)
    observer.observe(jnp.asarray([-1.0, 0.5, 3.0]))
    observer.observe(jnp.asarray([0.0, 1.0]))
    print(observer.bounds[...])
# endregion

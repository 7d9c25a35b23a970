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
import tensorflow as tf

from tf_impl.arguments import channels, check_axis, real
from tf_impl.quantization.codes import rows
from tf_impl.quantization.qparams import check_batch

# endregion


# region function
def no_range(axis=None, num_channels=None):
    start = tf.keras.initializers.Constant(float("nan"))
    own = dict(initializer=start, trainable=False, autocast=False)
    return own | dict(shape=(2, *channels(axis, num_channels)))


def batch_range(x, bounds, axis=None, percent: float = 100.0):
    """low' and high', in the shape of bounds."""
    check_batch("observe", x)
    want, got = tuple(bounds.shape[1:]), check_axis("observe", x, axis)
    if not tf.TensorShape(got).is_compatible_with(want):
        raise ValueError(f"observe: shape expected {want}, got {got}")
    x = tf.cast(rows(tf.stop_gradient(x), axis), bounds.dtype)
    if percent == 100:
        low, high = tf.reduce_min(x, axis=-1), tf.reduce_max(x, axis=-1)
        return tf.stack((low, high))
    x = tf.sort(x, axis=-1)
    size = tf.cast(tf.shape(x)[-1], tf.float64)
    rank = tf.cast(tf.math.ceil(percent / 100 * size), tf.int32)
    return tf.stack((x[..., -rank], x[..., rank - 1]))


def widest(bounds, new):
    low = tf.minimum(bounds[0], new[0])
    high = tf.maximum(bounds[1], new[1])
    mixed = tf.stack((low, high))
    return tf.where(tf.math.is_nan(bounds), new, mixed)


def average(bounds, new, momentum: float):
    mixed = (1 - momentum) * bounds + momentum * new
    return tf.where(tf.math.is_nan(bounds), new, mixed)


# endregion


# region layer
class MinMaxObserver(tf.keras.layers.Layer):
    def __init__(self, axis=None, num_channels=None, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis
        self.bounds = self.add_weight(**no_range(axis, num_channels))

    def observe(self, x):
        new = batch_range(x, self.bounds, self.axis)
        self.bounds.assign(widest(self.bounds, new))


class MovingAverageObserver(tf.keras.layers.Layer):
    def __init__(
        self, momentum=0.01, axis=None, num_channels=None, **kwargs
    ):
        super().__init__(**kwargs)
        self.axis, self.momentum = axis, real("momentum", momentum)
        self.bounds = self.add_weight(**no_range(axis, num_channels))

    def observe(self, x):
        new = batch_range(x, self.bounds, self.axis)
        self.bounds.assign(average(self.bounds, new, self.momentum))


class PercentileObserver(tf.keras.layers.Layer):
    def __init__(
        self,
        percent=99.9,
        momentum=0.01,
        axis=None,
        num_channels=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.axis, self.momentum = axis, real("momentum", momentum)
        self.percent = real("percent", percent)
        self.bounds = self.add_weight(**no_range(axis, num_channels))

    def observe(self, x):
        new = batch_range(x, self.bounds, self.axis, self.percent)
        self.bounds.assign(average(self.bounds, new, self.momentum))


# endregion


# region try
if __name__ == "__main__":
    observer = MovingAverageObserver(0.5)
    observer.observe(tf.constant([-1.0, 0.5, 3.0]))
    observer.observe(tf.constant([0.0, 1.0]))
    print(observer.bounds)
# endregion

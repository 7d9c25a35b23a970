"""Grid: the scale and zero point whose codes cover a range.

affine_grid     low = min(low, 0), high = max(high, 0)
                scale = (high - low) (1 / (qmax - qmin))
                zero_point = qmin - round(low inv), inv = 1 / scale:
                0 has a code of its own, also where nothing is below it
symmetric_grid  scale = max(-low, high) (1 / qmax), zero_point = 0
A scale below 2^-126, a range of almost nothing, is replaced by 1

Axes:   bounds (2) or, by channel, (2, C): low and high; scale and
        zero_point (int32) () or (C)
Raises: ValueError for bounds that are NaN, as before the first batch;
        compiled, the scale is NaN. check_batch: ValueError for numbers
        that are none, or not finite
Ref:    Jacob et al. 2018, CVPR, 3.1; Wu et al. 2020, arXiv 2004.09602
"""

# region imports
import numpy as np
import tensorflow as tf

from tf_impl.checks import check_input
from tf_impl.quantization.codes import code_range

# endregion


# region function
def check_bounds(where: str, bounds):
    bounds = tf.convert_to_tensor(bounds)
    if not hasattr(bounds, "numpy"):  # inside a tf.function
        return
    if np.isnan(bounds).any():
        want, got = "a batch to be observed first", "none"
        raise ValueError(f"{where}: bounds expected {want}, got {got}")


def check_batch(where: str, x):
    """Numbers to start from: some, and finite."""
    check_input(where, x, "...", only=("float32", "float64"))
    if x.shape and 0 in x.shape:  # of unknown rank it is false
        want, got = "a batch that is not empty", tuple(x.shape)
        raise ValueError(f"{where}: x expected {want}, got {got}")
    x = tf.convert_to_tensor(x)
    if not hasattr(x, "numpy"):  # inside a tf.function
        return
    wrong = x.numpy()[~np.isfinite(x)]
    if len(wrong):
        want, got = "finite numbers", float(wrong[0])
        raise ValueError(f"{where}: x expected {want}, got {got}")


def usable(scale):
    return tf.where(scale < 2**-126, tf.ones_like(scale), scale)


def affine_grid(bounds, bits: int = 8, signed: bool = True):
    qmin, qmax = code_range(bits, signed)
    check_bounds("affine_grid", bounds)
    bounds = tf.unstack(bounds)  # each [0] takes ten times as long
    nothing = tf.zeros_like(bounds[0])
    low = tf.minimum(bounds[0], nothing)
    high = tf.maximum(bounds[1], nothing)
    scale = usable((high - low) * (1 / (qmax - qmin)))
    inv = 1 / scale
    zero_point = qmin - tf.round(low * inv)
    return scale, tf.cast(zero_point, tf.int32)


def symmetric_grid(bounds, bits: int = 8, signed: bool = True):
    _, qmax = code_range(bits, signed)
    check_bounds("symmetric_grid", bounds)
    bounds = tf.unstack(bounds)
    peak = tf.maximum(-bounds[0], bounds[1])
    scale = usable(peak * (1 / qmax))
    return scale, tf.zeros_like(scale, dtype=tf.int32)


# endregion


# region try
if __name__ == "__main__":
    bounds = tf.constant([-0.5, 2.0])
    print(affine_grid(bounds, bits=4), symmetric_grid(bounds, bits=4))
# endregion

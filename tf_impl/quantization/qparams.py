"""Qparams: the scale and the zero point that a quantizer works with.

They are chosen from the range of the numbers, so that the codes cover
it: affine_qparams takes low = min(low, 0) and high = max(high, 0), then
    scale = (high - low) (1 / (qmax - qmin)), and
    zero_point = qmin - round(low / scale), so 0 has an exact code;
symmetric_qparams takes scale = max(-low, high) (1 / qmax), zero point 0
A scale below 2^-126, as where all numbers are 0, is replaced by 1
first_step: 2 mean |x| / sqrt(qmax), where a learned step starts, or 1

Axes:   bounds (2) or, by channel, (2, C): low and high; scale and
        zero_point (int32) () or (C)
Raises: ValueError for bounds that are NaN, as before the first batch
        (compiled, the scale is NaN), and for a batch that is empty or
        not finite (compiled, only for an empty one)
Ref:    Jacob et al. 2018, CVPR, 3.1; Wu et al. 2020, arXiv 2004.09602
"""

# region imports
import math

import numpy as np
import tensorflow as tf

from tf_impl.arguments import counted
from tf_impl.checks import check_input, has_numbers
from tf_impl.precision import widen
from tf_impl.quantization.codes import code_range, rows

# endregion


# region function
def check_bounds(caller: str, bounds):
    bounds = tf.convert_to_tensor(bounds)
    if not has_numbers(bounds):
        return
    if np.isnan(bounds).any():
        want, got = "a batch to be observed first", "none"
        raise ValueError(f"{caller}: bounds expected {want}, got {got}")


def check_batch(caller: str, x):
    """A range needs numbers, and finite ones."""
    check_input(caller, x, "...")
    if x.shape and 0 in x.shape:  # of unknown rank it is false
        want, got = "a batch that is not empty", tuple(x.shape)
        raise ValueError(f"{caller}: x expected {want}, got {got}")
    x = tf.convert_to_tensor(x)
    if not has_numbers(x):
        return
    wrong = x.numpy()[~np.isfinite(x)]
    if len(wrong):
        want, got = "finite numbers", float(wrong[0])
        raise ValueError(f"{caller}: x expected {want}, got {got}")


def inverse(step):
    """Rounded once; NaN for a compiled step that is not positive."""
    return 1 / tf.where(step > 0, step, float("nan"))


def nonzero(scale):
    return tf.where(scale < 2**-126, tf.ones_like(scale), scale)


def affine_qparams(bounds, bits: int = 8, signed: bool = True):
    qmin, qmax = code_range(bits, signed)
    check_bounds("affine_qparams", bounds)
    low, high = tf.unstack(
        widen(bounds)
    )  # bounds[0] takes ten times as long
    zero = tf.zeros_like(low)
    low = tf.minimum(low, zero)
    high = tf.maximum(high, zero)
    scale = nonzero((high - low) * (1 / (qmax - qmin)))
    inv = 1 / scale
    zero_point = qmin - tf.round(low * inv)
    return scale, tf.cast(zero_point, tf.int32)


def symmetric_qparams(bounds, bits: int = 8, signed: bool = True):
    _, qmax = code_range(bits, signed)
    check_bounds("symmetric_qparams", bounds)
    low, high = tf.unstack(widen(bounds))
    peak = tf.maximum(-low, high)
    scale = nonzero(peak * (1 / qmax))
    return scale, tf.zeros_like(scale, dtype=tf.int32)


def count(num_elements, x, axis):
    """How many numbers share a step, or count as if they did."""
    n = counted(num_elements) or tf.shape(rows(x, axis))[-1]
    return tf.maximum(tf.cast(n, tf.float64), 1)


def first_step(x, codes):
    check_batch("start", x)
    _, qmax = code_range(codes.bits, codes.signed)
    mean = tf.reduce_mean(rows(tf.abs(x), codes.axis), axis=-1)
    return nonzero(mean * (2 / math.sqrt(qmax)))


# endregion


# region try
if __name__ == "__main__":
    bounds = tf.constant([-0.5, 2.0])
    print(affine_qparams(bounds, bits=4))
    print(symmetric_qparams(bounds, bits=4))
# endregion

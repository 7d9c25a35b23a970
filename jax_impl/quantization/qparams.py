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

import jax
import jax.numpy as jnp
import numpy as np

from jax_impl.arguments import counted
from jax_impl.checks import check_input, has_numbers
from jax_impl.precision import widen
from jax_impl.quantization.codes import code_range, rows

# endregion


# region function
def check_bounds(caller: str, bounds):
    if not has_numbers(bounds):
        return
    if np.isnan(np.asarray(bounds)).any():
        want, got = "a batch to be observed first", "none"
        raise ValueError(f"{caller}: bounds expected {want}, got {got}")


def check_batch(caller: str, x):
    """A range needs numbers, and finite ones."""
    check_input(caller, x, "...")
    if 0 in x.shape:
        want, got = "a batch that is not empty", tuple(x.shape)
        raise ValueError(f"{caller}: x expected {want}, got {got}")
    x = jax.lax.stop_gradient(x)
    if not has_numbers(x):
        return
    x = np.asarray(x)  # under jax.jit, jnp would trace it
    finite = np.isfinite(x)
    if not finite.all():
        want, got = "finite numbers", float(x[~finite][0])
        raise ValueError(f"{caller}: x expected {want}, got {got}")


def inverse(step):
    """Rounded once; NaN for a compiled step that is not positive."""
    return 1 / jnp.where(step > 0, step, jnp.nan)


# jax 0.10.2: op by op this takes 20 times as long
@jax.jit
def nonzero(scale):
    return jnp.where(scale < 2**-126, jnp.ones_like(scale), scale)


def affine_qparams(bounds, bits: int = 8, signed: bool = True):
    qmin, qmax = code_range(bits, signed)
    check_bounds("affine_qparams", bounds)
    low, high = widen(bounds)
    zero = jnp.zeros_like(low)
    low = jnp.minimum(low, zero)
    high = jnp.maximum(high, zero)
    scale = nonzero((high - low) * (1 / (qmax - qmin)))
    inv = 1 / scale
    zero_point = qmin - jnp.round(low * inv)
    return scale, zero_point.astype(jnp.int32)


def symmetric_qparams(bounds, bits: int = 8, signed: bool = True):
    _, qmax = code_range(bits, signed)
    check_bounds("symmetric_qparams", bounds)
    low, high = widen(bounds)
    peak = jnp.maximum(-low, high)
    scale = nonzero(peak * (1 / qmax))
    return scale, jnp.zeros_like(scale, dtype=jnp.int32)


def count(num_elements, x, axis):
    """How many numbers share a step, or count as if they did."""
    n = counted(num_elements) or max(rows(x, axis).shape[-1], 1)
    return n if isinstance(n, int) else jnp.asarray(n, x.dtype)


def first_step(x, codes):
    check_batch("start", x)
    _, qmax = code_range(codes.bits, codes.signed)
    mean = jnp.mean(rows(jnp.abs(x), codes.axis), axis=-1)
    return nonzero(mean * (2 / math.sqrt(qmax)))


# endregion


# region try
if __name__ == "__main__":
    bounds = jnp.asarray([-0.5, 2.0])
    print(affine_qparams(bounds, bits=4))
    print(symmetric_qparams(bounds, bits=4))
# endregion

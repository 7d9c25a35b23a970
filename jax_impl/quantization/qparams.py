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
import jax
import jax.numpy as jnp

from jax_impl.checks import check_input
from jax_impl.quantization.codes import code_range

# endregion


# region function
def check_bounds(where: str, bounds):
    if isinstance(bounds, jax.core.Tracer):
        return
    if jnp.isnan(bounds).any():
        want, got = "a batch to be observed first", "none"
        raise ValueError(f"{where}: bounds expected {want}, got {got}")


def check_batch(where: str, x):
    """Numbers to start from: some, and finite."""
    check_input(where, x, "...", only=("float32", "float64"))
    if 0 in x.shape:
        want, got = "a batch that is not empty", tuple(x.shape)
        raise ValueError(f"{where}: x expected {want}, got {got}")
    x = jax.lax.stop_gradient(x)
    if isinstance(x, jax.core.Tracer):
        return
    finite = jnp.isfinite(x)
    if not finite.all():
        want, got = "finite numbers", float(x[~finite][0])
        raise ValueError(f"{where}: x expected {want}, got {got}")


# jax 0.10.2: op by op this takes 20 times as long
@jax.jit
def usable(scale):
    return jnp.where(scale < 2**-126, jnp.ones_like(scale), scale)


def affine_grid(bounds, bits: int = 8, signed: bool = True):
    qmin, qmax = code_range(bits, signed)
    check_bounds("affine_grid", bounds)
    low, high = bounds
    low, high = jnp.minimum(low, 0), jnp.maximum(high, 0)
    scale = usable((high - low) * (1 / (qmax - qmin)))
    inv = 1 / scale
    zero_point = qmin - jnp.round(low * inv)
    return scale, zero_point.astype(jnp.int32)


def symmetric_grid(bounds, bits: int = 8, signed: bool = True):
    _, qmax = code_range(bits, signed)
    check_bounds("symmetric_grid", bounds)
    low, high = bounds
    peak = jnp.maximum(-low, high)
    scale = usable(peak * (1 / qmax))
    return scale, jnp.zeros_like(scale, dtype=jnp.int32)


# endregion


# region try
if __name__ == "__main__":
    bounds = jnp.asarray([-0.5, 2.0])
    print(affine_grid(bounds, bits=4), symmetric_grid(bounds, bits=4))
# endregion

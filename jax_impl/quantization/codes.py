"""Codes: the whole numbers that a quantizer may give, step by step.

A quantizer replaces a number by a code, which counts steps of one size;
this page says which codes there are, and every quantizer begins with it
Codes: bits are 2 to 8, or 16; axis is the axis of x along which each
    index has a step of its own, or None: one step for all
code_range: signed -2^(bits-1) .. 2^(bits-1) - 1, without the first if
    narrow_range; unsigned 0 .. 2^bits - 1
along: the step, in a shape that broadcasts against x
rows: the numbers that share a step, as one row each

Axes:   x any shape; a step () or, along an axis of x, (C)
Raises: TypeError, ValueError for bits, axes, steps and shapes that do
        not fit. A compiled function does not see numbers: there a
        learned step that is not positive gives NaN
Ref:    Jacob et al. 2018, CVPR, 2.1
"""

# region imports
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jax_impl.arguments import check_axis, whole
from jax_impl.checks import check_input, dtype_name, has_numbers
from jax_impl.precision import widen

# endregion


# region function
class Codes(NamedTuple):
    bits: int = 8
    signed: bool = True
    axis: int | None = None
    narrow_range: bool = False


def code_range(
    bits: int, signed: bool = True, narrow_range: bool = False
):
    bits = whole("bits", bits, 0)
    if bits not in (*range(2, 9), 16):
        raise ValueError(f"bits expected 2 to 8 or 16, got {bits!r}")
    if narrow_range and not signed:
        want = "signed codes for narrow_range"
        raise ValueError(f"signed expected {want}, got {signed!r}")
    if signed:
        half, left_out = 2 ** (bits - 1), bool(narrow_range)
        return left_out - half, half - 1
    return 0, 2**bits - 1


def make_codes(bits, signed=True, axis=None, narrow_range=False):
    code_range(bits, signed, narrow_range)
    axis = None if axis is None else whole("axis", axis)
    return Codes(int(bits), signed, axis, narrow_range)


def check_step(caller: str, step, shape, array: str = "scale"):
    if tuple(step.shape) != shape:
        got = tuple(step.shape)
        raise ValueError(
            f"{caller}: {array} expected shape {shape}, got {got}"
        )
    step = jax.lax.stop_gradient(step)
    if not has_numbers(step):
        return
    step = np.asarray(step)  # jax 0.10.2: x[mask] takes 1 ms
    wrong = step[~((step > 0) & (step < np.inf))]
    if len(wrong):
        want, got = "positive and finite", float(wrong[0])
        text = f"{caller}: {array} expected {want}, got {got}"
        raise ValueError(text)


def check_quantizer(caller: str, x, step, axis=None, array="scale"):
    check_input(caller, x, "...")
    check_input(caller, step, "...", array=array)
    x, step = widen(x), widen(step)
    check_input(caller, step, "...", [dtype_name(x)], array)
    shape = check_axis(caller, x, axis)
    check_step(caller, step, shape, array)
    return x, step, None if axis is None else int(axis)


def along(step, x, axis=None):
    if axis is None:
        return step
    shape = [1] * len(x.shape)
    shape[axis] = -1
    return jnp.reshape(step, shape)


def rows(x, axis=None):
    """(n), all of x, or along axis (C, n); of 16 bits in float32."""
    if axis is None:
        return jnp.reshape(widen(x), (-1,))
    first = jnp.swapaxes(widen(x), 0, int(axis))  # C ...
    return jnp.reshape(first, (x.shape[axis], -1))


# endregion


# region try
if __name__ == "__main__":
    print(code_range(4), code_range(4, signed=False))
    x, step = jnp.ones((2, 3)), jnp.asarray([0.5, 0.25, 2.0])
    print(x / along(step, x, axis=1), rows(x, axis=1))
# endregion


# region what differs here
# jax 0.10.2: grad without jit still lets the check see the numbers, as
# stop_gradient gives back the array; under jit and vmap it sees none
# on the CPU a subnormal step counts as 0: ValueError, here only
# endregion

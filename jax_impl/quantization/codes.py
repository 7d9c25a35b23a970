"""What the quantizers share: codes, steps along an axis, checks.

code_range: signed -2^(bits-1) .. 2^(bits-1) - 1, without the first if
    narrow_range; unsigned 0 .. 2^bits - 1
along: a step, or one for each index of an axis of x, as an array that
    broadcasts against x; rows: the numbers that share a step, in rows
first_step: 2 mean |x| / sqrt(qmax), where a learned step may start
bits are 2 to 8, or 16; steps are positive and finite

Axes:   x any shape; a step () or, along an axis of x, (C)
Raises: TypeError, ValueError for bits, axes, steps and shapes that do
        not fit. A compiled function does not see numbers: there a
        learned step that is not positive gives NaN
Ref:    Jacob et al. 2018, CVPR, 2.1
"""

# region imports
import math

import jax
import jax.numpy as jnp
import numpy as np

from jax_impl.checks import check_input

# endregion


# region function
def code_range(bits: int, signed: bool = True, narrow: bool = False):
    if bits not in (*range(2, 9), 16):
        want = "2 to 8 or 16"
        raise ValueError(f"bits expected {want}, got {bits!r}")
    if narrow and not signed:
        want = "signed codes for narrow_range"
        raise ValueError(f"signed expected {want}, got {signed!r}")
    if signed:
        return -(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1
    return 0, 2**bits - 1


def check_axis(where: str, x, axis=None):
    """The shape of a step along that axis."""
    if axis is None:
        return ()
    rank = len(x.shape)
    if not isinstance(axis, int) or not -rank <= axis < rank:
        want = f"None or an axis of {rank}"
        raise ValueError(f"{where}: axis expected {want}, got {axis!r}")
    return (x.shape[axis],)


def check_step(where: str, step, shape, array: str = "scale"):
    if tuple(step.shape) != shape:
        got = tuple(step.shape)
        raise ValueError(
            f"{where}: {array} expected shape {shape}, got {got}"
        )
    step = jax.lax.stop_gradient(step)
    if isinstance(step, jax.core.Tracer):
        return
    step = np.asarray(step)  # jax 0.10.2: x[mask] takes 1 ms
    wrong = step[~((step > 0) & (step < np.inf))]
    if len(wrong):
        want, got = "positive and finite", float(wrong[0])
        raise ValueError(f"{where}: {array} expected {want}, got {got}")


def check_quantizer(where: str, x, step, axis=None, array="scale"):
    check_input(where, x, "...", only=("float32", "float64"))
    same = [x.dtype.name]
    check_input(where, step, "...", same, array)
    check_step(where, step, check_axis(where, x, axis), array)


def along(step, x, axis=None):
    if step is None or axis is None:
        return step
    shape = [1] * len(x.shape)
    shape[axis] = -1
    return jnp.reshape(step, shape)


def rows(x, axis=None):
    """What shares one step, as one row: (n) or, along axis, (C, n)."""
    if axis is None:
        return jnp.reshape(x, (-1,))
    return jnp.reshape(jnp.swapaxes(x, 0, axis), (x.shape[axis], -1))


def first_step(x, bits: int = 4, signed: bool = True, axis=None):
    _, qmax = code_range(bits, signed)
    mean = jnp.mean(rows(jnp.abs(x), axis), axis=-1)
    return mean * (2 / math.sqrt(qmax))


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

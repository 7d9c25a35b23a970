"""Input checks: the same errors, in the same words, in all four.

Each page calls these first, so that bad input is refused by a sentence
that names the caller, what it expected and what it got.
    check_input(caller, x, axes, **sizes) checks one array:
        axes    a word for each axis, "B I"; "... I" allows leading ones
        only    the names of the dtypes allowed, else any real float
        array   what the message calls it
        like    parameters: no layer mixes their dtypes with that of x
        sizes   the sizes that are known, I=7
    has_numbers(x): a compiled function knows shapes, not numbers

Raises: TypeError if x is not an array of the right dtype; ValueError
        if its shape does not fit the axes, or a number its bounds
"""

# region imports
import jax
import jax.numpy as jnp
import numpy as np

# endregion


# region function
def dtype_name(x):
    return jax.dtypes.canonicalize_dtype(x.dtype).name


def has_numbers(x):
    """In compiled code an array stands for any numbers."""
    return not isinstance(x, jax.core.Tracer)


def check_input(
    caller: str,
    x,
    axes: str,
    only=None,
    array: str = "x",
    like=(),
    **sizes: int,
):
    what = f"{caller}: {array}"
    if not isinstance(x, (jax.Array, np.ndarray)):
        got = f"{type(x).__module__}.{type(x).__name__}"
        got = got.removeprefix("builtins.")
        want = "an array of jax or numpy"
        raise TypeError(f"{what} expected {want}, got {got}")
    got = dtype_name(x)
    if only is not None and got not in only:
        want = " or ".join(only)
        raise TypeError(f"{what} expected {want}, got {got}")
    real = jnp.issubdtype(x.dtype, jnp.floating)
    real = real and x.dtype.itemsize <= 8  # NumPy has long doubles
    if only is None and not real:
        want = "a real floating dtype"
        raise TypeError(f"{what} expected {want}, got {got}")
    for parameter in like:
        if parameter is not None and dtype_name(parameter) != got:
            want = dtype_name(parameter)
            raise TypeError(f"{what} expected {want}, got {got}")
    check_shape(what, x.shape, axes, **sizes)


def check_shape(what: str, shape, axes: str, **sizes: int):
    names = [axis for axis in axes.split() if axis != "..."]
    last = tuple(shape)[len(shape) - len(names) :]
    fits = len(last) == len(names) <= len(shape)
    fits = fits and ("..." in axes or len(shape) == len(names))
    if not fits or any(
        sizes.get(axis, size) != size for axis, size in zip(names, last)
    ):
        known = [
            f"{axis}={sizes[axis]}" if axis in sizes else axis
            for axis in axes.split()
        ]
        want, got = ", ".join(known), tuple(shape)
        raise ValueError(f"{what} expected shape ({want}), got {got}")


def check_least(what: str, value: int, least: int):
    if value < least:
        want = f"an integer of at least {least}"
        raise ValueError(f"{what} expected {want}, got {value}")


def check_multiple(what: str, value: int, of: str, unit: int):
    check_least(of, unit, 1)
    if value % unit:
        want = f"a multiple of {of}={unit}"
        raise ValueError(f"{what} expected {want}, got {value}")


# endregion

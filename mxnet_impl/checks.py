"""Input checks: the same errors, in the same words, in all four.

check_input(where, x, axes, **sizes) names what it expected and got:
    axes    one word an axis, "B I"; "... I" allows any leading axes
    sizes   the sizes that are known, I=7
Raises: TypeError if x is not an array of a floating dtype (or not of
    one in `only`); ValueError if its shape does not fit the axes
"""

# region imports
import numpy
from mxnet import np

# endregion


# region function
def check_input(where: str, x, axes: str, only=None, **sizes: int):
    if not isinstance(x, np.ndarray):
        got = type(x).__name__
        raise TypeError(f"{where}: x expected an array, got {got}")
    got = numpy.dtype(x.dtype).name
    if only is not None and got not in only:
        want = " or ".join(only)
        raise TypeError(f"{where}: x expected {want}, got {got}")
    if not got.startswith("float"):
        want = "a real floating dtype"
        raise TypeError(f"{where}: x expected {want}, got {got}")
    check_shape(f"{where}: x", x.shape, axes, **sizes)


def check_shape(what: str, shape, axes: str, **sizes: int):
    names = [axis for axis in axes.split() if axis != "..."]
    last = tuple(shape)[len(shape) - len(names) :]
    fits = len(last) == len(names) <= len(shape)
    fits = fits and ("..." in axes or len(shape) == len(names))
    if not fits or any(
        sizes.get(n, s) != s for n, s in zip(names, last)
    ):
        known = [
            f"{n}={sizes[n]}" if n in sizes else n for n in axes.split()
        ]
        want, got = ", ".join(known), tuple(shape)
        raise ValueError(f"{what} expected shape ({want}), got {got}")


# endregion

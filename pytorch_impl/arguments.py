"""Arguments: sizes and other numbers, as Python's own or an error.

NumPy's numbers are taken for what they are, and become Python's: a sum
of small integers such as np.int8 would wrap, and np.float64 would make
float64 of float32. True is no number.

whole(what, value, least)     a size: an integer of at least that much
real(what, value)             a factor, an eps: a float; an array stays
    what it is, since a transformation may trace or learn it
channels(axis, num_channels)  the shape of what there is once for each
    index along an axis, or () without an axis
check_axis(caller, x, axis)   the same for the array x
counted(num_elements)         how many there are, or None
fitting(*shape)  the shape, if 63 bits can count the bytes in it

Raises: ValueError for anything else, naming expected and got
"""

# region imports
import math
import operator

import torch

# endregion


# region function
def scalar(value, convert):
    """NaN for what is no number, as True, "8", a list and an array."""
    truth = "bool" in str(getattr(value, "dtype", type(value)))
    text = isinstance(value, (str, bytes, bytearray))  # float(b"1")
    if truth or text or getattr(value, "shape", ()):
        return math.nan
    try:
        return convert(value)
    except TypeError:
        return math.nan


def whole(what: str, value, least: float = -math.inf):
    number = scalar(value, operator.index)
    if not number >= least:
        bound = "" if least == -math.inf else f" of at least {least}"
        want = f"an integer{bound}"
        raise ValueError(f"{what} expected {want}, got {value!r}")
    return number


def real(what: str, value):
    if isinstance(value, torch.Tensor):
        return value
    number = scalar(value, float)
    if number != number:
        raise ValueError(f"{what} expected a number, got {value!r}")
    return number


def channels(axis=None, num_channels=None):
    if axis is None:
        return ()
    whole("axis", axis)
    return fitting(whole("num_channels", num_channels, 1))


def check_axis(caller: str, x, axis=None):
    if axis is None:
        return ()
    rank = len(x.shape)
    if not -rank <= scalar(axis, operator.index) < rank:
        want = f"None or an axis of {rank}"
        text = f"{caller}: axis expected {want}, got {axis!r}"
        raise ValueError(text)
    return (x.shape[axis],)


def counted(num_elements=None):
    if num_elements is None:
        return None
    return whole("num_elements", num_elements, 1)


def fitting(*shape: int):
    """A shape beyond that ends the process in some frameworks."""
    if math.prod(shape) >= 2**60:
        want = "fewer than 2^60 numbers"
        raise ValueError(f"shape expected {want}, got {shape}")
    return shape


# endregion


# region try
if __name__ == "__main__":
    print(whole("size", 100, 1), real("eps", 1), channels(1, 7))
# endregion

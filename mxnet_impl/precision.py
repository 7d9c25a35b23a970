"""Precision: numbers of 16 bits are summed in float32.

widen(x)         x in float32, or in float64 where it is that already
cast_like(y, x)  y in the dtype of x
lowest_like(x)   the lowest number of that dtype, in the shape of x

A sum of many float16 or bfloat16 numbers would lose digits with every
addition. So a sum, mean or softmax is taken in float32 and rounded
once, at the end. The gradient of a cast is cast back: each array has a
gradient of its own dtype.
"""

# region imports
from mxnet import np

# endregion


# region function
def widen(x):
    wide = np.promote_types(x.dtype, np.float32)
    return x if x.dtype == wide else (x * 1.0).astype(wide)


def cast_like(y, x):
    return y.astype(x.dtype)


def lowest_like(x):
    return np.full_like(x, np.finfo(x.dtype).min)


# endregion


# region try
if __name__ == "__main__":
    x = np.ones((2,), dtype=np.float16)
    y = cast_like(widen(x), x)
    print(widen(x).dtype, y.dtype, lowest_like(x))
# endregion


# region what differs here
# mxnet 1.9.1: the gradient of astype overwrites an array that has
# grad_req="add", where it should add: a product stands before it
# endregion

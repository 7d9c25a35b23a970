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
import torch

# endregion


# region function
def widen(x):
    wide = torch.promote_types(x.dtype, torch.float32)
    return x.to(wide)


def cast_like(y, x):
    return y.to(x.dtype)


def lowest_like(x):
    return torch.full_like(x, torch.finfo(x.dtype).min)


# endregion


# region try
if __name__ == "__main__":
    x = torch.ones((2,), dtype=torch.float16)
    y = cast_like(widen(x), x)
    print(widen(x).dtype, y.dtype, lowest_like(x))
# endregion

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
import tensorflow as tf

# endregion


# region function
def widen(x):
    wide = tf.float64 if x.dtype == tf.float64 else tf.float32
    return tf.cast(x, wide)


def cast_like(y, x):
    return tf.cast(y, x.dtype)


def lowest_like(x):
    return tf.zeros_like(x) + x.dtype.min


# endregion


# region try
if __name__ == "__main__":
    x = tf.ones((2,), dtype=tf.float16)
    y = cast_like(widen(x), x)
    print(widen(x).dtype, y.dtype, lowest_like(x))
# endregion


# region what differs here
# tensorflow 2.21.0 has promote_types and full_like only in
# tf.experimental.numpy
# endregion

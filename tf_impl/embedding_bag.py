"""EmbeddingBag: the mean of the vectors that a bag of ids names.

It turns the ids of the words of a text into one vector, without their
order. Each id names a row of weight; bag_mask is False where an id only
fills up a shorter bag, and may be any number.

y_be = (1/n_b) sum_l m_bl W_(x_bl)e,  n_b = sum_l m_bl; 0 where n_b = 0

Axes:   B bags, L places in a bag, V num_embeddings, E embedding_dim
Params: weight (V, E), starts as glorot
Raises: TypeError if x is not int32 or int64, or bag_mask not bool
        ValueError if they are not (B, L), L at least 1, or an id that
        counts names no row. Compiled code does not see ids: there such
        a bag is NaN
"""

# region imports
import math

import tensorflow as tf

from tf_impl.checks import check_input, check_least, has_numbers
from tf_impl.glorot import glorot, sizes
from tf_impl.precision import cast_like, widen

# endregion


# region function
def check_bags(x, bag_mask):
    """Which places count; all without a mask."""
    caller = "embedding_bag"
    check_input(caller, x, "B L", ["int32", "int64"])
    batch, length = x.shape
    check_least(f"{caller}: L of x", length, 1)
    if bag_mask is None:
        return tf.ones_like(x, dtype=tf.bool)
    known = dict(B=batch, L=length)
    check_input(caller, bag_mask, "B L", ["bool"], "bag_mask", **known)
    return bag_mask


def check_ids(x, size: int):
    if 0 in x.shape or not has_numbers(x):
        return
    low, high = int(tf.reduce_min(x)), int(tf.reduce_max(x))
    wrong = low if low < 0 else high
    if not 0 <= wrong < size:
        text = f"x expected ids from 0 to {size - 1}, got {wrong}"
        raise ValueError(f"embedding_bag: {text}")


def embedding_bag(x, weight, bag_mask=None):
    counts, size = check_bags(x, bag_mask), weight.shape[0]
    x = tf.where(counts, x, tf.zeros_like(x))
    check_ids(x, size)
    known = (x >= 0) & (x < size)
    wide = tf.reshape(widen(weight), weight.shape)
    ids = tf.where(known, x, tf.zeros_like(x))
    rows = tf.gather(wide, ids)  # B L E
    zeros = tf.zeros_like(rows)
    rows = tf.where(counts[..., None], rows, zeros)
    total = tf.reduce_sum(rows, axis=1)  # B E
    n = tf.where(counts, tf.ones_like(x), tf.zeros_like(x))
    n = tf.reduce_sum(n, axis=1, keepdims=True)  # B 1
    n = tf.where(n == 0, tf.ones_like(n), n)
    y = total / cast_like(n, total)
    known = tf.reduce_all(known, axis=1, keepdims=True)  # B 1
    y = tf.where(known, y, tf.constant(math.nan, y.dtype))
    return cast_like(y, weight)


# endregion


# region layer
class EmbeddingBag(tf.keras.layers.Layer):
    takes = "int32"

    def __init__(
        self, num_embeddings: int, embedding_dim: int, **kwargs
    ):
        super().__init__(**kwargs)
        shape = sizes(num_embeddings, embedding_dim)
        start = glorot(*shape)
        self.weight = self.add_weight(shape, start, name="weight")

    def call(self, x, bag_mask=None):
        return embedding_bag(x, self.weight, bag_mask)


# endregion


# region try
if __name__ == "__main__":
    layer = EmbeddingBag(num_embeddings=5, embedding_dim=2)
    y = layer(tf.constant([[4, 4, 0], [1, 2, 3]]))
    print(y.shape)
# endregion


# region what differs here
# tensorflow 2.21.0: gather refuses a wrong id, but clamps it under XLA
# the gradient of gather is tf.IndexedSlices, a row for each place that
# is summed only where a tensor is needed: after the cast, so that 1000
# times 1 is 256 in bfloat16; reshape makes it dense, summed in float32
# keras 3.15.1: takes is the dtype that compute_output_shape assumes
# endregion

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
from mxnet import np
from mxnet.gluon import nn

from mxnet_impl.checks import check_input, check_least, has_numbers
from mxnet_impl.custom_function import empty_result
from mxnet_impl.glorot import glorot, sizes
from mxnet_impl.precision import cast_like, widen

# endregion


# region function
def check_bags(x, bag_mask):
    """Which places count; all without a mask."""
    caller = "embedding_bag"
    check_input(caller, x, "B L", ["int32", "int64"])
    batch, length = x.shape
    check_least(f"{caller}: L of x", length, 1)
    if bag_mask is None:
        return np.ones_like(x, dtype="bool")
    known = dict(B=batch, L=length)
    check_input(caller, bag_mask, "B L", ["bool"], "bag_mask", **known)
    return bag_mask


def check_ids(x, size: int):
    if 0 in x.shape or not has_numbers(x):
        return
    low, high = int(np.amin(x)), int(np.amax(x))
    wrong = low if low < 0 else high
    if not 0 <= wrong < size:
        text = f"x expected ids from 0 to {size - 1}, got {wrong}"
        raise ValueError(f"embedding_bag: {text}")


def embedding_bag(x, weight, bag_mask=None):
    counts, size = check_bags(x, bag_mask), weight.shape[0]
    if 0 in x.shape:
        return empty_result((*x.shape[:1], weight.shape[1]), weight)
    x = np.where(counts, x, np.zeros_like(x))
    check_ids(x, size)
    rows = np.take(widen(weight), x, axis=0)  # B L E
    zeros = np.zeros_like(rows)
    rows = np.where(counts[..., None], rows, zeros)
    total = np.sum(rows, axis=1)  # B E
    n = np.where(counts, np.ones_like(x), np.zeros_like(x))
    n = np.sum(n, axis=1, keepdims=True)  # B 1
    n = np.where(n == 0, np.ones_like(n), n)
    y = total / cast_like(n, total)
    return cast_like(y, weight)


# endregion


# region layer
class EmbeddingBag(nn.Block):
    def __init__(
        self, num_embeddings: int, embedding_dim: int, **kwargs
    ):
        super().__init__(**kwargs)
        shape = sizes(num_embeddings, embedding_dim)
        start = glorot(*shape)
        self.weight = self.params.get("weight", shape=shape, init=start)

    def forward(self, x, bag_mask=None):
        return embedding_bag(x, self.weight.data(), bag_mask)


# endregion


# region try
if __name__ == "__main__":
    layer = EmbeddingBag(num_embeddings=5, embedding_dim=2)
    layer.initialize()
    y = layer(np.array([[4, 4, 0], [1, 2, 3]], "int32"))
    print(y.shape)
# endregion


# region what differs here
# mxnet 1.9.1: take refuses a wrong id, but npx.embedding clamps it; no
# page is compiled, so a check of all ids is enough
# on an empty batch gradients are stale: empty_result
# gradients are dense; the row-sparse ones of gluon.nn.Embedding are for
# legacy arrays: mx.np has no row_sparse
# endregion

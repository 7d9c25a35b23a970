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
import jax.numpy as jnp
from flax import nnx

from jax_impl.checks import check_input, check_least, has_numbers
from jax_impl.glorot import glorot, sizes
from jax_impl.precision import cast_like, widen

# endregion


# region function
def check_bags(x, bag_mask):
    """Which places count; all without a mask."""
    caller = "embedding_bag"
    check_input(caller, x, "B L", ["int32", "int64"])
    batch, length = x.shape
    check_least(f"{caller}: L of x", length, 1)
    if bag_mask is None:
        return jnp.ones_like(x, dtype=bool)
    known = dict(B=batch, L=length)
    check_input(caller, bag_mask, "B L", ["bool"], "bag_mask", **known)
    return bag_mask


def check_ids(x, size: int):
    if 0 in x.shape or not has_numbers(x):
        return
    low, high = int(jnp.amin(x)), int(jnp.amax(x))
    wrong = low if low < 0 else high
    if not 0 <= wrong < size:
        text = f"x expected ids from 0 to {size - 1}, got {wrong}"
        raise ValueError(f"embedding_bag: {text}")


def embedding_bag(x, weight, bag_mask=None):
    counts, size = check_bags(x, bag_mask), weight.shape[0]
    x = jnp.where(counts, x, jnp.zeros_like(x))
    check_ids(x, size)
    known = (x >= 0) & (x < size)
    ids = jnp.where(known, x, jnp.zeros_like(x))
    rows = jnp.take(widen(weight), ids, axis=0)  # B L E
    zeros = jnp.zeros_like(rows)
    rows = jnp.where(counts[..., None], rows, zeros)
    total = jnp.sum(rows, axis=1)  # B E
    n = jnp.where(counts, jnp.ones_like(x), jnp.zeros_like(x))
    n = jnp.sum(n, axis=1, keepdims=True)  # B 1
    n = jnp.where(n == 0, jnp.ones_like(n), n)
    y = total / cast_like(n, total)
    known = jnp.all(known, axis=1, keepdims=True)  # B 1
    y = jnp.where(known, y, jnp.full_like(y, jnp.nan))
    return cast_like(y, weight)


# endregion


# region layer
class EmbeddingBag(nnx.Module):
    def __init__(
        self, num_embeddings: int, embedding_dim: int, *, rngs
    ):
        super().__init__()
        shape = sizes(num_embeddings, embedding_dim)
        start = glorot(*shape, rngs=rngs)
        self.weight = nnx.Param(start)

    def __call__(self, x, bag_mask=None):
        return embedding_bag(x, self.weight, bag_mask)


# endregion


# region try
if __name__ == "__main__":
    layer = EmbeddingBag(
        num_embeddings=5, embedding_dim=2, rngs=nnx.Rngs(0)
    )
    y = layer(jnp.array([[4, 4, 0], [1, 2, 3]]))
    print(y.shape)
# endregion


# region what differs here
# jax 0.10.2: weight[ids] clamps an id that is out of range and leaves
# it out of the gradient; take makes it NaN, but counts -1 from the end:
# ids are checked, and under jit such a bag is NaN
# all gradients are dense: there are no sparse ones
# endregion

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
import torch
from torch import nn
from torch.nn import functional

from pytorch_impl.checks import check_input, check_least, has_numbers
from pytorch_impl.glorot import glorot, sizes
from pytorch_impl.precision import cast_like, widen

# endregion


# region function
def check_bags(x, bag_mask):
    """Which places count; all without a mask."""
    caller = "embedding_bag"
    check_input(caller, x, "B L", ["int32", "int64"])
    batch, length = x.shape
    check_least(f"{caller}: L of x", length, 1)
    if bag_mask is None:
        return torch.ones_like(x, dtype=torch.bool)
    known = dict(B=batch, L=length)
    check_input(caller, bag_mask, "B L", ["bool"], "bag_mask", **known)
    return bag_mask


def check_ids(x, size: int):
    if 0 in x.shape or not has_numbers(x):
        return
    low, high = int(torch.amin(x)), int(torch.amax(x))
    wrong = low if low < 0 else high
    if not 0 <= wrong < size:
        text = f"x expected ids from 0 to {size - 1}, got {wrong}"
        raise ValueError(f"embedding_bag: {text}")


def embedding_bag(x, weight, bag_mask=None):
    counts, size = check_bags(x, bag_mask), weight.shape[0]
    x = torch.where(counts, x, torch.zeros_like(x))
    check_ids(x, size)
    known = (x >= 0) & (x < size)
    ids = torch.where(known, x, torch.zeros_like(x))
    rows = functional.embedding(ids, widen(weight))  # B L E
    zeros = torch.zeros_like(rows)
    rows = torch.where(counts[..., None], rows, zeros)
    total = torch.sum(rows, axis=1)  # B E
    n = torch.where(counts, torch.ones_like(x), torch.zeros_like(x))
    n = torch.sum(n, axis=1, keepdims=True)  # B 1
    n = torch.where(n == 0, torch.ones_like(n), n)
    y = total / cast_like(n, total)
    known = torch.all(known, axis=1, keepdims=True)  # B 1
    y = torch.where(known, y, torch.full_like(y, torch.nan))
    return cast_like(y, weight)


# endregion


# region layer
class EmbeddingBag(nn.Module):
    def __init__(self, num_embeddings: int, embedding_dim: int):
        super().__init__()
        shape = sizes(num_embeddings, embedding_dim)
        start = glorot(*shape)
        self.weight = nn.Parameter(start)

    def forward(self, x, bag_mask=None):
        return embedding_bag(x, self.weight, bag_mask)


# endregion


# region try
if __name__ == "__main__":
    layer = EmbeddingBag(num_embeddings=5, embedding_dim=2)
    y = layer(torch.tensor([[4, 4, 0], [1, 2, 3]]))
    print(y.shape)
# endregion

"""TextClassifier: tells which class a text, a bag of word ids, is of.

The simplest one there is, and hard to beat on short texts: the mean of
the vectors of its words, then a dense layer. It knows which words there
are, not their order.

logits_bo = linear(bag(x)_b)_o, one for each class

Axes:   B texts, L words, V num_embeddings, E embedding_dim,
        O num_classes
Params: bag.weight (V, E), linear.weight (O, E), linear.bias (O)
Raises: TypeError, ValueError as embedding_bag
Ref:    Joulin, Grave, Bojanowski, Mikolov 2017, EACL, 2 (fastText)
"""

# region imports
import jax.numpy as jnp
from flax import nnx

from jax_impl.embedding_bag import EmbeddingBag
from jax_impl.linear import Linear

# endregion


# region layer
class TextClassifier(nnx.Module):
    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        num_classes: int,
        *,
        rngs,
    ):
        super().__init__()
        self.bag = EmbeddingBag(
            num_embeddings, embedding_dim, rngs=rngs
        )
        self.linear = Linear(embedding_dim, num_classes, rngs=rngs)

    def __call__(self, x, bag_mask=None):
        y = self.bag(x, bag_mask)  # B E
        return self.linear(y)  # B O


# endregion


# region try
if __name__ == "__main__":
    layer = TextClassifier(5, 3, num_classes=2, rngs=nnx.Rngs(0))
    y = layer(jnp.array([[4, 4, 0], [1, 2, 3]]))
    print(y.shape)
# endregion

"""TransformerClassifier: tells which class a sequence of tokens is of.

h = embed(x) + position; each block adds attention(norm1(h)) to h, then
mlp(norm2(h)); logits = head(mean over n of norm(h)), one for each class
position_nc = sin(n / 10^4^(c/C)) for even c, cos(n / 10^4^((c-1)/C))
for odd c; mlp: C to 4 C to C with a rectifier between

Axes:   B batch, N tokens, I input_dim, C embed_dim, O num_classes
Params: embed.*, head.*, norm.weight, and for every l < num_layers
        blocks.l.norm1.weight, .attention.*, .norm2.weight, .mlp.*
Raises: TypeError if x is not of a real floating dtype
        ValueError if x is not (B, N, I)
Ref:    Vaswani et al. 2017, NeurIPS, 3.5; Xiong et al. 2020, ICML,
        fig. 1 b (normalise first)
"""

# region imports
import math

import jax.numpy as jnp
from flax import nnx

from jax_impl.arguments import whole
from jax_impl.checks import check_input
from jax_impl.linear import Linear
from jax_impl.mlp import MLP
from jax_impl.multi_head_attention import MultiHeadAttention
from jax_impl.rms_norm import RMSNorm

# endregion


# region function
def position(tokens: int, width: int):
    def wave(n, c):
        angle = n / 1e4 ** ((c - c % 2) / width)
        return math.cos(angle) if c % 2 else math.sin(angle)

    return [
        [wave(n, c) for c in range(width)] for n in range(tokens)
    ]  # N C


# endregion


# region layer
class Block(nnx.Module):
    def __init__(self, embed_dim: int, num_heads: int, *, rngs):
        super().__init__()
        embed_dim = whole("embed_dim", embed_dim, 1)
        self.norm1 = RMSNorm(embed_dim)
        self.attention = MultiHeadAttention(
            embed_dim, num_heads, rngs=rngs
        )
        self.norm2 = RMSNorm(embed_dim)
        self.mlp = MLP(
            embed_dim, 4 * embed_dim, embed_dim, scale=1.0, rngs=rngs
        )

    def __call__(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))  # B N C


class TransformerClassifier(nnx.Module):
    def __init__(
        self,
        input_dim: int,
        embed_dim: int,
        num_heads: int,
        num_layers: int,
        num_classes: int,
        *,
        rngs,
    ):
        super().__init__()
        layers = whole("num_layers", num_layers, 0)
        self.embed = Linear(input_dim, embed_dim, rngs=rngs)
        blocks = [
            Block(embed_dim, num_heads, rngs=rngs)
            for _ in range(layers)
        ]
        self.blocks = nnx.List(blocks)
        self.norm = RMSNorm(embed_dim)
        self.head = Linear(embed_dim, num_classes, rngs=rngs)

    def __call__(self, x):
        width = self.embed.weight.shape[1]
        check_input("TransformerClassifier", x, "B N I", I=width)
        h = self.embed(x)  # B N C
        positions = position(h.shape[1], h.shape[2])
        h = h + jnp.array(positions, dtype=h.dtype)
        for block in self.blocks:
            h = block(h)
        h = jnp.mean(self.norm(h), axis=1)  # B C
        return self.head(h)  # B O


# endregion


# region try
if __name__ == "__main__":
    layer = TransformerClassifier(8, 32, 4, 2, 10, rngs=nnx.Rngs(0))
    y = layer(jnp.ones((5, 8, 8)))
    print(y.shape)
# endregion

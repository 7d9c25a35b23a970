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
import tensorflow as tf

from tf_impl.arguments import whole
from tf_impl.checks import check_input
from tf_impl.linear import Linear
from tf_impl.mlp import MLP
from tf_impl.multi_head_attention import MultiHeadAttention
from tf_impl.rms_norm import RMSNorm

# endregion


# region function
def position(tokens: int, width: int):
    n = tf.cast(tf.range(tokens), tf.float64)[:, None]
    c = range(width)
    angle = n / [1e4 ** ((i - i % 2) / width) for i in c]
    odd = [i % 2 == 1 for i in c]
    return tf.where(odd, tf.cos(angle), tf.sin(angle))  # N C


# endregion


# region layer
class Block(tf.keras.layers.Layer):
    def __init__(self, embed_dim: int, num_heads: int, **kwargs):
        super().__init__(**kwargs)
        embed_dim = whole("embed_dim", embed_dim, 1)
        own, width = dict(dtype=self.dtype_policy), 4 * embed_dim
        self.norm1 = RMSNorm(embed_dim, **own)
        self.attention = MultiHeadAttention(embed_dim, num_heads, **own)
        self.norm2 = RMSNorm(embed_dim, **own)
        self.mlp = MLP(embed_dim, width, embed_dim, scale=1.0, **own)

    def call(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))  # B N C


class TransformerClassifier(tf.keras.layers.Layer):
    def __init__(
        self,
        input_dim: int,
        embed_dim: int,
        num_heads: int,
        num_layers: int,
        num_classes: int,
        **kwargs,
    ):
        super().__init__(**kwargs)
        own = dict(dtype=self.dtype_policy)
        layers = whole("num_layers", num_layers, 0)
        self.embed = Linear(input_dim, embed_dim, **own)
        blocks = [
            Block(embed_dim, num_heads, **own) for _ in range(layers)
        ]
        self.blocks = blocks
        self.norm = RMSNorm(embed_dim, **own)
        self.head = Linear(embed_dim, num_classes, **own)

    def call(self, x):
        width = self.embed.weight.shape[1]
        check_input("TransformerClassifier", x, "B N I", I=width)
        h = self.embed(x)  # B N C
        positions = position(tf.shape(h)[1], h.shape[2])
        h = h + tf.cast(positions, h.dtype)
        for block in self.blocks:
            h = block(h)
        h = tf.reduce_mean(self.norm(h), axis=1)  # B C
        return self.head(h)  # B O


# endregion


# region try
if __name__ == "__main__":
    layer = TransformerClassifier(8, 32, 4, 2, num_classes=10)
    y = layer(tf.ones((5, 8, 8)))
    print(y.shape)
# endregion

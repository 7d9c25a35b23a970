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

from mxnet import np
from mxnet.gluon import nn

from mxnet_impl.arguments import whole
from mxnet_impl.checks import check_input
from mxnet_impl.custom_function import empty_result
from mxnet_impl.linear import Linear
from mxnet_impl.mlp import MLP
from mxnet_impl.multi_head_attention import MultiHeadAttention
from mxnet_impl.rms_norm import RMSNorm

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
class Block(nn.Block):
    def __init__(self, embed_dim: int, num_heads: int, **kwargs):
        super().__init__(**kwargs)
        embed_dim = whole("embed_dim", embed_dim, 1)
        self.norm1 = RMSNorm(embed_dim)
        self.attention = MultiHeadAttention(embed_dim, num_heads)
        self.norm2 = RMSNorm(embed_dim)
        self.mlp = MLP(embed_dim, 4 * embed_dim, embed_dim, scale=1.0)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))  # B N C


class TransformerClassifier(nn.Block):
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
        layers = whole("num_layers", num_layers, 0)
        self.embed = Linear(input_dim, embed_dim)
        blocks = [Block(embed_dim, num_heads) for _ in range(layers)]
        self.blocks = nn.Sequential()
        self.blocks.add(*blocks)
        self.norm = RMSNorm(embed_dim)
        self.head = Linear(embed_dim, num_classes)

    def forward(self, x):
        width = self.embed.weight.shape[1]
        check_input("TransformerClassifier", x, "B N I", I=width)
        if 0 in x.shape:
            params = self.collect_params().values()
            shape = (*x.shape[:1], self.head.weight.shape[0])
            return empty_result(shape, x, *(p.data() for p in params))
        h = self.embed(x)  # B N C
        positions = position(h.shape[1], h.shape[2])
        h = h + np.array(positions, dtype=h.dtype)
        for block in self.blocks:
            h = block(h)
        h = np.mean(self.norm(h), axis=1)  # B C
        return self.head(h)  # B O


# endregion


# region try
if __name__ == "__main__":
    layer = TransformerClassifier(8, 32, 4, 2, num_classes=10)
    layer.initialize()
    y = layer(np.ones((5, 8, 8)))
    print(y.shape)
# endregion


# region what differs here
# mxnet 1.9.1: on an empty batch gradients are stale: empty_result
# endregion

"""MultiHeadAttention: several heads attend, each to its own part of x.

Two Linear layers are around the attention: qkv makes queries, keys and
values, out mixes the heads. attention is any variant of that function
(q | k | v)_bnr = sum_c x_bnc W_rc + b_r, the rows r by head: H heads of
D rows for q, then G for k, then G for v;  y = attention(q, k, v), the
heads side by side again;  out_bnc = sum_e y_bne U_ce + u_c if out_proj

Axes:   B batch, N tokens, C embed_dim = H D, H num_heads
        G num_kv_heads; attn_mask as in attention
Params: qkv.weight ((H + 2G) D, C), qkv.bias ((H + 2G) D)
        out.weight (C, C), out.bias (C)
Raises: TypeError, ValueError as attention; ValueError if x is not
        (B, N, C), C no multiple of H, or H no multiple of G
Ref:    Vaswani et al. 2017, NeurIPS, 3.2.2; Ainslie et al. 2023, EMNLP
"""

# region imports
from mxnet import np
from mxnet.gluon import nn

from mxnet_impl.arguments import whole
from mxnet_impl.attention import attention
from mxnet_impl.checks import check_input, check_multiple
from mxnet_impl.custom_function import empty_result
from mxnet_impl.linear import Linear

# endregion


# region layer
class MultiHeadAttention(nn.Block):
    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        num_kv_heads: int | None = None,
        bias: bool = True,
        out_proj: bool = True,
        causal: bool = False,
        attention=attention,
        **kwargs,
    ):
        super().__init__(**kwargs)
        groups = num_heads if num_kv_heads is None else num_kv_heads
        embed_dim = whole("embed_dim", embed_dim, 1)
        num_heads = whole("num_heads", num_heads, 1)
        groups = whole("num_kv_heads", groups, 1)
        check_multiple("embed_dim", embed_dim, "num_heads", num_heads)
        check_multiple("num_heads", num_heads, "num_kv_heads", groups)
        self.num_heads, self.num_kv_heads = num_heads, groups
        self.causal, self.attention = causal, attention
        rows = embed_dim // num_heads * (num_heads + 2 * groups)
        self.qkv = Linear(embed_dim, rows, bias)
        self.out = None
        if out_proj:
            self.out = Linear(embed_dim, embed_dim, bias)

    def forward(self, x, attn_mask=None):
        rows, columns = self.qkv.weight.shape
        check_input("MultiHeadAttention", x, "B N C", C=columns)
        h, g = self.num_heads, self.num_kv_heads
        x = self.qkv(x)
        if 0 in x.shape:
            y = empty_result((*x.shape[:2], columns), x)
            return y if self.out is None else self.out(y)
        shape = (-1, x.shape[1], h + 2 * g, rows // (h + 2 * g))
        x = np.reshape(x, shape)  # B N H+2G D
        x = np.swapaxes(x, 1, 2)  # B H+2G N D
        q, k, v = x[:, :h], x[:, h : h + g], x[:, h + g :]
        y = self.attention(q, k, v, attn_mask, self.causal)  # B H N D
        y = np.swapaxes(y, 1, 2)  # B N H D
        y = np.reshape(y, (-1, y.shape[1], columns))  # B N C
        return y if self.out is None else self.out(y)


# endregion


# region try
if __name__ == "__main__":
    layer = MultiHeadAttention(embed_dim=6, num_heads=2, causal=True)
    layer.initialize()
    y = layer(np.ones((4, 3, 6)))
    print(y.shape)
# endregion


# region what differs here
# mxnet 1.9.1: on an empty batch gradients are stale: empty_result
# endregion

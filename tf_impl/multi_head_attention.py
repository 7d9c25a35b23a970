"""MultiHeadAttention: each head attends with its own projections.

(q | k | v)_bnr = sum_c x_bnc W_rc + b_r, the rows r by head: H heads of
D rows for q, then G for k, then G for v;  y = attention(q, k, v), the
heads side by side again;  out_bnc = sum_e y_bne U_ce + u_c if out_proj

Axes:   B batch, N tokens, C embed_dim = H D, H num_heads
        G num_kv_heads; attn_mask as in attention
Params: qkv_weight ((H + 2G) D, C), qkv_bias ((H + 2G) D)
        out_weight (C, C), out_bias (C)
        weights start as glorot, biases as zeros
Raises: TypeError, ValueError as attention; ValueError if x is not
        (B, N, C), C no multiple of H, or H no multiple of G
Ref:    Vaswani et al. 2017, NeurIPS, 3.2.2; Ainslie et al. 2023, EMNLP
"""

# region imports
import tensorflow as tf

from tf_impl.attention import attention
from tf_impl.checks import check_input, check_multiple
from tf_impl.glorot import glorot
from tf_impl.linear import linear

# endregion


# region layer
class MultiHeadAttention(tf.keras.layers.Layer):
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
        check_multiple("embed_dim", embed_dim, "num_heads", num_heads)
        check_multiple("num_heads", num_heads, "num_kv_heads", groups)
        self.num_heads, self.num_kv_heads = num_heads, groups
        self.causal, self.attention = causal, attention
        rows = embed_dim // num_heads * (num_heads + 2 * groups)
        shape = (rows, embed_dim)
        start = glorot(*shape)
        add = self.add_weight
        self.qkv_weight = add(shape, start, name="qkv_weight")
        self.qkv_bias = self.out_weight = self.out_bias = None
        if bias:
            self.qkv_bias = add((rows,), "zeros", name="qkv_bias")
        if out_proj:
            shape = (embed_dim, embed_dim)
            start = glorot(*shape)
            self.out_weight = add(shape, start, name="out_weight")
        if out_proj and bias:
            shape = (embed_dim,)
            self.out_bias = add(shape, "zeros", name="out_bias")

    def call(self, x, attn_mask=None):
        rows, columns = self.qkv_weight.shape
        check_input("MultiHeadAttention", x, "B N C", C=columns)
        h, g = self.num_heads, self.num_kv_heads
        x = linear(x, self.qkv_weight, self.qkv_bias)
        shape = (-1, x.shape[1], h + 2 * g, rows // (h + 2 * g))
        x = tf.reshape(x, shape)  # B N H+2G D
        x = tf.transpose(x, (0, 2, 1, 3))  # B H+2G N D
        q, k, v = x[:, :h], x[:, h : h + g], x[:, h + g :]
        y = self.attention(q, k, v, attn_mask, self.causal)  # B H N D
        y = tf.transpose(y, (0, 2, 1, 3))  # B N H D
        y = tf.reshape(y, (-1, y.shape[1], columns))  # B N C
        if self.out_weight is None:
            return y
        return linear(y, self.out_weight, self.out_bias)


# endregion


# region try
if __name__ == "__main__":
    layer = MultiHeadAttention(embed_dim=6, num_heads=2, causal=True)
    y = layer(tf.ones((4, 3, 6)))
    print(y.shape)
# endregion

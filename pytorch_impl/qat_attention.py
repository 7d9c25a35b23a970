"""QATMultiHeadAttention: attention with quantized projections.

MultiHeadAttention, whose two linear layers are QATLinear: qkv gives
q, k and v, out takes the heads side by side. Between them everything is
as it was: the softmax has no codes

Axes:   B batch, N tokens, C embed_dim = H D, H num_heads
        G num_kv_heads; attn_mask as in attention
Params: qkv.weight ((H + 2G) D, C), qkv.bias, out.weight (C, C),
        out.bias, and those of their quantizers
options: as QATLinear, for both
Raises: TypeError, ValueError as MultiHeadAttention and QATLinear
Ref:    Vaswani et al. 2017, NeurIPS, 3.2.2; Zafrir et al. 2019,
        arXiv 1910.06188, 2
"""

# region imports
import torch
from torch import nn

from pytorch_impl.attention import attention
from pytorch_impl.checks import check_input, check_multiple
from pytorch_impl.quantization.qat_linear import QATLinear

# endregion


# region layer
class QATMultiHeadAttention(nn.Module):
    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        num_kv_heads: int | None = None,
        bias: bool = True,
        out_proj: bool = True,
        causal: bool = False,
        attention=attention,
        **options,
    ):
        super().__init__()
        groups = num_heads if num_kv_heads is None else num_kv_heads
        check_multiple("embed_dim", embed_dim, "num_heads", num_heads)
        check_multiple("num_heads", num_heads, "num_kv_heads", groups)
        self.num_heads, self.num_kv_heads = num_heads, groups
        self.causal, self.attention = causal, attention
        rows = embed_dim // num_heads * (num_heads + 2 * groups)
        self.qkv = QATLinear(embed_dim, rows, bias, **options)
        self.out = None
        if out_proj:
            self.out = QATLinear(embed_dim, embed_dim, bias, **options)

    def forward(self, x, attn_mask=None):
        check_input("QATMultiHeadAttention", x, "B N C")
        columns, h, g = x.shape[2], self.num_heads, self.num_kv_heads
        x = self.qkv(x)
        shape = (-1, x.shape[1], h + 2 * g, x.shape[2] // (h + 2 * g))
        x = torch.reshape(x, shape)  # B N H+2G D
        x = torch.swapaxes(x, 1, 2)  # B H+2G N D
        q, k, v = x[:, :h], x[:, h : h + g], x[:, h + g :]
        y = self.attention(q, k, v, attn_mask, self.causal)  # B H N D
        y = torch.swapaxes(y, 1, 2)  # B N H D
        y = torch.reshape(y, (-1, y.shape[1], columns))  # B N C
        return y if self.out is None else self.out(y)


# endregion


# region try
if __name__ == "__main__":
    layer = QATMultiHeadAttention(6, 2, causal=True, weight_bits=4)
    y = layer(torch.ones((4, 3, 6)))
    print(y.shape)
# endregion

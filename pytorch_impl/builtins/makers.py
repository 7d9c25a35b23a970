"""Built-in makers: a layer of ours for a built-in one, and back.

OURS[kind](builtin)   a layer of ours, with the sizes of that one
BUILTIN[kind](layer)  the built-in layer of that kind, with our sizes
made(make, layer)     what one of these gives, numbers to be written
options(layer)        {name: value} of what it computes by

Makers take over what both sides have: sizes, bias, eps, stride and
padding. To find what that left out, from_builtin and to_builtin make a
layer of the first kind again, of what they made, and compare the
options of the two. Where only StandardizedConv2d would come out there
is no maker in OURS: see LAYOUTS.
"""

# region imports
import torch
from torch import nn

from pytorch_impl.bilinear import TensorReduction
from pytorch_impl.builtins.encoder import block, encoder, norm
from pytorch_impl.linear import Linear
from pytorch_impl.multi_head_attention import MultiHeadAttention

# endregion


# region function
def made(make, layer):
    with torch.device("meta"):
        return make(layer)


def options(layer):
    found = {}
    for path, part in layer.named_modules():
        own = {"type": type(part).__name__} | vars(part)
        for name, value in own.items():
            if name[0] != "_" and name not in ELSEWHERE:
                relu = value is nn.functional.relu
                value = torch.relu if relu else value
                found[f"{path}.{name}".lstrip(".")] = value
    return found


# training and eps are taken over; activation says what the last does
ELSEWHERE = "training", "eps", "activation_relu_or_gelu"
OURS = {
    "Linear": lambda b: Linear(
        b.in_features, b.out_features, b.bias is not None
    ),
    "RMSNorm": norm,
    "Bilinear": lambda b: TensorReduction(
        b.in1_features, b.out_features
    ),
    "MultiheadAttention": lambda b: MultiHeadAttention(
        b.embed_dim, b.num_heads, bias=b.in_proj_bias is not None
    ),
    "TransformerEncoderLayer": block,
}
BUILTIN = {
    "Linear": lambda ours: nn.Linear(
        *reversed(ours.weight.shape), ours.bias is not None
    ),
    "Conv2d": lambda ours: nn.Conv2d(
        *reversed(ours.weight.shape[:2]),
        ours.weight.shape[2:],
        ours.stride,
        ours.padding,
    ),
    "RMSNorm": lambda ours: nn.RMSNorm(ours.weight.shape, ours.eps),
    "Bilinear": lambda ours: nn.Bilinear(
        *ours.weight.shape, bias=False
    ),
    "MultiheadAttention": lambda ours: nn.MultiheadAttention(
        ours.qkv.weight.shape[1],
        ours.num_heads,
        bias=ours.qkv.bias is not None,
        batch_first=True,
    ),
    "TransformerEncoderLayer": encoder,
}
# endregion

"""Built-in encoder: nn.TransformerEncoderLayer and its norms.

norm(builtin)    RMSNorm for an nn.RMSNorm
block(builtin)   Block for an nn.TransformerEncoderLayer
encoder(layer)   and back

A Block normalises first, by RMSNorm, and its mlp is 4 C wide. So the
encoder layer has norm_first=True, and nn.RMSNorm in the place of its
two nn.LayerNorm: PyTorch has no option for that. It has torch.relu for
"relu", which computes the same: with "relu" PyTorch 2.13.0 tries a fast
path in eval() that asks the norms for a bias, and raises.
"""

# region imports
import torch
from torch import nn

from pytorch_impl.rms_norm import RMSNorm
from pytorch_impl.transformer import Block

# endregion


# region function
def norm(builtin):
    eps = builtin.eps
    if eps is None:  # then it is that of the dtype
        dtype = getattr(builtin.weight, "dtype", torch.float32)
        eps = torch.finfo(dtype).eps
    return RMSNorm(builtin.normalized_shape[-1], eps)


def block(builtin):
    heads = builtin.self_attn
    layer = Block(heads.embed_dim, heads.num_heads)
    for name in ("norm1", "norm2"):
        own = getattr(builtin, name)
        if isinstance(own, nn.RMSNorm):  # else its type is refused
            setattr(layer, name, norm(own))
    return layer


def encoder(layer):
    made = nn.TransformerEncoderLayer(
        layer.attention.qkv.weight.shape[1],
        layer.attention.num_heads,
        layer.mlp.layer1.weight.shape[0],
        dropout=0.0,
        activation=torch.relu,
        batch_first=True,
        norm_first=True,
    )
    for name in ("norm1", "norm2"):
        own = getattr(layer, name)
        setattr(made, name, nn.RMSNorm(own.weight.shape, own.eps))
    return made


# endregion

"""Built-in layouts: where the built-in layers have our parameters.

LAYOUTS is {layer of ours: {built-in layer: {its parameter: entry}}}. An
entry says what that parameter holds: the name of one of ours, which is
the same array, or {"from": name, STEPS}, the same numbers elsewhere:
    "slice": [0, start, stop]  some of its rows
    "transpose": [axis, ...]   as numpy.transpose
    "reshape": [size, ...]     as numpy.reshape
STEPS are done in this order. Every number of ours is in one place, so
that each entry can be undone. Sizes are known when there is a layer:
C embed_dim, H num_heads, G num_kv_heads, D width of a head; "HD" is the
product, "HD+GD" where the rows of the keys end and those of the values
start. A StandardizedConv2d gives its standardised weight, and has no
way back: a free filter has a mean and a size, which ours cannot have.
"""

# region function
SAME = {"weight": "weight", "bias": "bias"}

LAYOUTS = {
    "Linear": {"Linear": SAME},
    "StandardizedConv2d": {"Conv2d": SAME},
    "RMSNorm": {"RMSNorm": {"weight": "weight"}},
    "TensorReduction": {
        "Bilinear": {
            "weight": {"from": "weight", "transpose": [2, 0, 1]}
        }
    },
    "MultiHeadAttention": {
        "MultiheadAttention": {
            "in_proj_weight": "qkv.weight",
            "in_proj_bias": "qkv.bias",
            "out_proj.weight": "out.weight",
            "out_proj.bias": "out.bias",
        }
    },
    "Block": {
        "TransformerEncoderLayer": {
            "norm1.weight": "norm1.weight",
            "self_attn.in_proj_weight": "attention.qkv.weight",
            "self_attn.in_proj_bias": "attention.qkv.bias",
            "self_attn.out_proj.weight": "attention.out.weight",
            "self_attn.out_proj.bias": "attention.out.bias",
            "norm2.weight": "norm2.weight",
            "linear1.weight": "mlp.layer1.weight",
            "linear1.bias": "mlp.layer1.bias",
            "linear2.weight": "mlp.layer2.weight",
            "linear2.bias": "mlp.layer2.bias",
        }
    },
}
# endregion

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
TURNED = {"transpose": [1, 0]}  # (out, in) to (in, out)
DENSE = {"kernel": {"from": "weight", **TURNED}, "bias": "bias"}
CONV = {
    "kernel": {"from": "weight", "transpose": [2, 3, 1, 0]},
    "bias": "bias",
}
# of the rows of qkv those of the queries, the keys and the values
Q = {"slice": [0, 0, "HD"]}
K = {"slice": [0, "HD", "HD+GD"]}
V = {"slice": [0, "HD+GD", "HD+2GD"]}
WEIGHT, BIAS = {"from": "qkv.weight"}, {"from": "qkv.bias"}
OF_H, OF_G = {"reshape": ["C", "H", "D"]}, {"reshape": ["C", "G", "D"]}
TO_H, TO_G = {"reshape": ["H", "D"]}, {"reshape": ["G", "D"]}
OUT = {"from": "out.weight", **TURNED, "reshape": ["H", "D", "C"]}
HEADS = {
    "query.kernel": {**WEIGHT, **Q, **TURNED, **OF_H},
    "query.bias": {**BIAS, **Q, **TO_H},
    "key.kernel": {**WEIGHT, **K, **TURNED, **OF_G},
    "key.bias": {**BIAS, **K, **TO_G},
    "value.kernel": {**WEIGHT, **V, **TURNED, **OF_G},
    "value.bias": {**BIAS, **V, **TO_G},
    "attention_output.kernel": OUT,
    "attention_output.bias": "out.bias",
}

LAYOUTS = {
    "Linear": {"Dense": DENSE, "EinsumDense": DENSE},
    "StandardizedConv2d": {"Conv2D": CONV},
    "RMSNorm": {"RMSNormalization": {"scale": "weight"}},
    "MultiHeadAttention": {
        "MultiHeadAttention": HEADS,
        "GroupQueryAttention": HEADS,
    },
}
# endregion


# region what differs here
# alignment: the built-in layers and their parameters are the page
# keras 3.15.1: Conv2D has images (B, H, W, C), channels last
# keras 3.15.1: EinsumDense takes one rank of x: for (B, N, C) here
# keras 3.15.1 has no layer for TensorReduction
# endregion

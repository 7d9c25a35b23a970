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
    "Linear": {"Dense": SAME},
    "StandardizedConv2d": {"Conv2D": SAME},
}
# endregion


# region what differs here
# alignment: the built-in layers and their parameters are the page
# mxnet 1.9.1 has no layer for RMSNorm, TensorReduction and attention
# endregion

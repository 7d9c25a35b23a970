"""Built-in Keras: what its layers alone ask for.

build(builtin, layer)          the same, with weights, for x of ours
padding(layer)                 "valid" or "same" of a StandardizedConv2d
is_dense(equation, bias_axes)  does this EinsumDense what Dense does?

keras 3.15.1: Conv2D knows these two words only. With stride 1 and an
odd kernel "same" puts as many zeros on both sides, else not always.

Raises: ValueError for a padding that Conv2D has no word for
"""


# region function
def build(builtin, layer):
    weight = getattr(layer, "qkv", layer).weight
    axes = max(len(weight.shape) - 1, 2)  # B N C, or B H W C
    shape = *[None] * axes, weight.shape[:2][-1]
    builtin.build(*[shape] * (2 if hasattr(layer, "qkv") else 1))
    return builtin


def padding(layer):
    most, stride = layer.weight.shape[2] - 1, layer.stride
    if layer.padding == 0:
        return "valid"
    if 2 * layer.padding == most and stride == 1:
        return "same"
    want = "0: put ZeroPadding2D before it"
    got = f"{layer.padding} with kernel {most + 1}, stride {stride}"
    raise ValueError(f"to_builtin: padding expected {want}, got {got}")


def is_dense(equation, bias_axes):
    """Any leading axes, one axis in, one out: "abc,cd->abd"."""
    if equation is None:
        return False
    inputs, out = equation.split("->")
    x, kernel = inputs.split(",")
    same = x[:-1] == out[:-1] and kernel == x[-1] + out[-1]
    return same and bias_axes in (None, out[-1])


# endregion

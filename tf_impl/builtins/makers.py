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
from keras import layers

from tf_impl.builtins.arrays import is_ours, named
from tf_impl.builtins.keras_layers import build, is_dense, padding
from tf_impl.linear import Linear
from tf_impl.multi_head_attention import MultiHeadAttention
from tf_impl.rms_norm import RMSNorm

# endregion


# region function
def made(make, layer):
    if not layer.weights:
        raise ValueError(f"{layer.name} has no weights yet: call it")
    found = make(layer)
    return found if is_ours(found) else build(found, layer)


def options(layer):
    if is_ours(layer):
        found = {n: getattr(layer, n, None) for n in ASKED}
        return found | {n: type(found[n]).__name__ for n in INSIDE}
    found = layer.get_config()
    if is_dense(found.get("equation"), found.get("bias_axes")):
        found["bias_axes"] = found["bias_axes"] is not None
        found["equation"] = found["output_shape"] = None
    return {n: v for n, v in found.items() if n not in ELSEWHERE}


INSIDE = "qkv", "out"
ASKED = "num_heads", "num_kv_heads", "causal", "attention", *INSIDE
START = {f"{n}_initializer" for n in ("kernel", "bias", "output")}
ELSEWHERE = {"name", "trainable", "seed"} | START
OURS = {
    "Dense": lambda b: Linear(
        *b.kernel.shape, b.use_bias, dtype=b.dtype_policy
    ),
    "EinsumDense": lambda b: Linear(
        *b.kernel.shape[:2],
        b.bias_axes is not None,
        dtype=b.dtype_policy,
    ),
    "RMSNormalization": lambda b: RMSNorm(
        b.scale.shape[-1], b.epsilon, dtype=b.dtype_policy
    ),
    "MultiHeadAttention": lambda b: MultiHeadAttention(
        named(b)["query.kernel"].shape[0],
        b.num_heads,
        bias=b.use_bias,
        dtype=b.dtype_policy,
    ),
    "GroupQueryAttention": lambda b: MultiHeadAttention(
        named(b)["query.kernel"].shape[0],
        b.num_query_heads,
        b.num_key_value_heads,
        b.use_bias,
        dtype=b.dtype_policy,
    ),
}
BUILTIN = {
    "Dense": lambda ours: layers.Dense(
        ours.weight.shape[0],
        use_bias=ours.bias is not None,
        dtype=ours.dtype_policy,
    ),
    "EinsumDense": lambda ours: layers.EinsumDense(
        "bni,io->bno",
        (None, ours.weight.shape[0]),
        bias_axes=None if ours.bias is None else "o",
        dtype=ours.dtype_policy,
    ),
    "Conv2D": lambda ours: layers.Conv2D(
        ours.weight.shape[0],
        ours.weight.shape[2:],
        ours.stride,
        padding(ours),
        "channels_last",
        dtype=ours.dtype_policy,
    ),
    "RMSNormalization": lambda ours: layers.RMSNormalization(
        epsilon=ours.eps, dtype=ours.dtype_policy
    ),
    "MultiHeadAttention": lambda ours: layers.MultiHeadAttention(
        ours.num_heads,
        ours.qkv.weight.shape[1] // ours.num_heads,
        use_bias=ours.qkv.bias is not None,
        dtype=ours.dtype_policy,
    ),
    "GroupQueryAttention": lambda ours: layers.GroupQueryAttention(
        ours.qkv.weight.shape[1] // ours.num_heads,
        ours.num_heads,
        ours.num_kv_heads,
        use_bias=ours.qkv.bias is not None,
        dtype=ours.dtype_policy,
    ),
}
# endregion


# region what differs here
# alignment: every framework has other layers, with other options
# keras 3.15.1: build draws numbers, which are then replaced
# endregion

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
from flax import nnx

from jax_impl.linear import Linear
from jax_impl.multi_head_attention import MultiHeadAttention
from jax_impl.rms_norm import RMSNorm

# endregion


# region function
def made(make, layer):
    return nnx.eval_shape(lambda: make(layer))


def options(layer):
    found = {}
    for path, part in nnx.iter_modules(layer):
        path = ".".join(map(str, path))
        own = {"type": type(part).__name__} | vars(part)
        for name, value in own.items():
            skip = isinstance(value, (nnx.Pytree, nnx.Variable))
            if not skip and name[0] != "_" and name not in ELSEWHERE:
                found[f"{path}.{name}".lstrip(".")] = value or None
    return found


# dtypes are those of the arrays; the others are about dropout
ELSEWHERE = "param_dtype", "deterministic", "broadcast_dropout"
OURS = {
    "Linear": lambda b: Linear(
        b.in_features, b.out_features, b.use_bias, rngs=nnx.Rngs(0)
    ),
    "RMSNorm": lambda b: RMSNorm(b.num_features, b.epsilon),
    "MultiHeadAttention": lambda b: MultiHeadAttention(
        b.in_features,
        b.num_heads,
        b.num_kv_heads,
        b.use_bias,
        rngs=nnx.Rngs(0),
    ),
}
BUILTIN = {
    "Linear": lambda ours: nnx.Linear(
        *reversed(ours.weight.shape),
        use_bias=ours.bias is not None,
        rngs=nnx.Rngs(0),
    ),
    "Conv": lambda ours: nnx.Conv(
        *reversed(ours.weight.shape[:2]),
        ours.weight.shape[2:],
        ours.stride,
        padding=[(ours.padding, ours.padding)] * 2,
        rngs=nnx.Rngs(0),
    ),
    "RMSNorm": lambda ours: nnx.RMSNorm(
        *ours.weight.shape, epsilon=ours.eps, rngs=nnx.Rngs(0)
    ),
    "MultiHeadAttention": lambda ours: nnx.MultiHeadAttention(
        ours.num_heads,
        ours.qkv.weight.shape[1],
        num_kv_heads=ours.num_kv_heads,
        use_bias=ours.qkv.bias is not None,
        decode=False,
        rngs=nnx.Rngs(0),
    ),
}
# endregion


# region what differs here
# alignment: every framework has other layers, with other options
# flax 0.12.8: a layer draws from rngs, under eval_shape nothing
# endregion

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
from mxnet.gluon import nn

from mxnet_impl.builtins.arrays import named
from mxnet_impl.linear import Linear

# endregion


# region function
def made(make, layer):
    own = [*named(layer).values()]
    if any(parameter._data is None for parameter in own):
        raise ValueError(f"{layer.name} has no weights yet: call it")
    devices, found = own[0].list_ctx(), make(layer)
    for parameter in named(found).values():
        parameter.initialize("zeros", devices)
    return found


def options(layer):
    found = {n: getattr(layer, n, None) for n in ("_flatten", "act")}
    return found | {"act": getattr(found["act"], "_act_type", None)}


OURS = {
    "Dense": lambda b: Linear(
        *reversed(b.weight.shape), b.bias is not None
    )
}
BUILTIN = {
    "Dense": lambda ours: nn.Dense(
        ours.weight.shape[0],
        use_bias=ours.bias is not None,
        flatten=False,
        in_units=ours.weight.shape[1],
    ),
    "Conv2D": lambda ours: nn.Conv2D(
        ours.weight.shape[0],
        ours.weight.shape[2:],
        ours.stride,
        ours.padding,
        in_channels=ours.weight.shape[1],
    ),
}
# endregion


# region what differs here
# alignment: every framework has other layers, with other options
# mxnet 1.9.1: parameters start as zeros, which draws nothing
# endregion

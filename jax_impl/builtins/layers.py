"""Built-in layers: from the framework's own layers to ours, and back.

from_builtin(builtin)         our layer, with the same numbers
to_builtin(layer, kind=None)  the built-in layer of that kind, or of the
    first that LAYOUTS has for it, with the same numbers

Sizes, bias, eps and dtype are those of the layer given, which stays as
it is: the other has copies. What the other side has no option for, as
dropout there and causal here, is refused by its name. What was frozen
trains again. A Block is one of those in TransformerClassifier.

Raises: TypeError for a layer that has no twin on the other side
        ValueError for an option, a parameter or a shape it cannot have
"""

# region imports
from flax import nnx

from jax_impl.builtins.arrays import (
    check_same,
    is_ours,
    lay_back,
    lay_out,
    named,
    read,
    shapes_of,
    sizes_of,
    write,
)
from jax_impl.builtins.layouts import LAYOUTS
from jax_impl.builtins.makers import BUILTIN, OURS, made, options
from jax_impl.conv import standardize
from jax_impl.linear import Linear

# endregion


# region function
def from_builtin(builtin):
    got = type(builtin).__name__
    kinds = [k for k in OURS if type(builtin) is getattr(nnx, k)]
    if not kinds:
        want = f"one of {', '.join(OURS)}"
        raise TypeError(f"from_builtin expected {want}, got {got}")
    kind = kinds[0]
    layer = made(OURS[kind], builtin)
    again = made(BUILTIN[kind], layer)
    check_same(
        f"from_builtin: {kind}", options(again), options(builtin)
    )
    shapes, sizes = shapes_of(named(layer)), sizes_of(layer)
    layout = LAYOUTS[type(layer).__name__][kind]
    write(layer, lay_back(layout, read(builtin), shapes, sizes))
    return layer


def to_builtin(layer, kind=None):
    ours = type(layer).__name__
    if not is_ours(layer) or ours not in LAYOUTS:
        want = f"a layer of ours, one of {', '.join(LAYOUTS)}"
        raise TypeError(f"to_builtin expected {want}, got {ours}")
    kind = next(iter(LAYOUTS[ours])) if kind is None else kind
    if kind not in LAYOUTS[ours]:
        want = f"one of {', '.join(LAYOUTS[ours])}"
        raise ValueError(
            f"to_builtin: kind expected {want}, got {kind}"
        )
    builtin = made(BUILTIN[kind], layer)
    if kind in OURS:
        again = made(OURS[kind], builtin)
        check_same(
            f"to_builtin: {ours}", options(again), options(layer)
        )
    arrays, sizes = read(layer), sizes_of(layer)
    if ours == "StandardizedConv2d":
        arrays["weight"] = standardize(arrays["weight"], layer.eps)
    write(builtin, lay_out(LAYOUTS[ours][kind], arrays, sizes))
    return builtin


# endregion


# region try
if __name__ == "__main__":
    layer = Linear(in_features=3, out_features=2, rngs=nnx.Rngs(0))
    builtin = to_builtin(layer)
    print(builtin, from_builtin(builtin))
# endregion

"""Model layers: those of ours in a model, where nothing else is.

find_layers(model)  {place: layer}, the model at "". What a QATLinear
    has inside is its own

Raises: ValueError for what a file could not bring back: other classes,
        subclasses, hooks, and what a user has set on a layer
"""

# region imports
from flax import nnx

from jax_impl.mlp import MLP
from jax_impl.portable.expect import expect
from jax_impl.portable.layer_arguments import LAYERS
from jax_impl.quantization import observers, quantizers
from jax_impl.quantization.attached import check_attached
from jax_impl.quantization.modes import Mode
from jax_impl.quantization.places import find
from jax_impl.quantization.qat_linear import QATLinear
from jax_impl.transformer import Block

KINDS = tuple(LAYERS.values())
INNER = (
    Block,
    Mode,
    quantizers.FakeQuantizer,
    observers.MinMaxObserver,
    observers.MovingAverageObserver,
    observers.PercentileObserver,
)
EVERY, CONTAINERS = nnx.Module, (nnx.List,)
# endregion


# region function
def check_ours(model):
    for place, part in find(model, EVERY).items():
        kind, what = type(part), place or "the model"
        if kind not in CONTAINERS:
            known = kind in KINDS or kind in INNER
            expect(known, what, "a layer of ours", kind.__name__)
            way = "take it off"
            check_attached("save_portable", place, part, kind, way)


def find_layers(model):
    check_ours(model)
    found = find(model, KINDS)
    for place in find(model, QATLinear):
        inside = f"{place}." if place else ""
        for name in list(found):
            if name != place and name.startswith(inside):
                del found[name]
    got = type(model).__name__
    expect("" in found, "the model", "a layer of ours", got)
    return found


# endregion


# region try
if __name__ == "__main__":
    print(*find_layers(MLP(3, 5, 2, rngs=nnx.Rngs(0))))
# endregion

"""Prepare: make a trained float model ready for training in few bits.

prepare(model, config)  every Linear, those inside other layers too,
    becomes a QATLinear with the same weight and bias. config maps
    patterns of their names, such as "*" or "blocks.*.mlp.*", to options
    of QATLinear, or to None: stays as it is. Of the patterns that fit a
    name, the last counts
set_mode(model, mode)   "observe", "quantize" or "frozen", everywhere:
    see modes; where ranges move, those of the weights do it once more

Both change the model and return it; a model that is a Linear itself,
whose name is "", comes back as a new layer

Raises: ValueError for a pattern that fits no layer and an unknown mode
        TypeError, ValueError as QATLinear for its options
Ref:    Jacob et al. 2018, CVPR, 3 (alg. 1)
"""

# region imports
import fnmatch

import tensorflow as tf

from tf_impl.linear import Linear
from tf_impl.quantization.modes import place_of, show
from tf_impl.quantization.qat_linear import QATLinear

NESTED = tf.keras.layers.Layer, list
# endregion


# region function
def find(model, kinds):
    """{name: layer} of those kinds."""
    found = {"": model} if isinstance(model, kinds) else {}
    inside = vars(model) if hasattr(model, "call") else enumerate(model)
    for name, value in dict(inside).items():
        if isinstance(value, NESTED) and not str(name).startswith("_"):
            below = find(value, kinds).items()
            found |= {f"{name}.{n}".rstrip("."): p for n, p in below}
    return found


def replace(model, name: str, layer):
    if not name:
        return layer
    parent, _, attribute = name.rpartition(".")
    inside = find(model, NESTED)
    parent, old = inside[parent], inside[name]
    tracker = getattr(parent, "tracker", None) or parent._tracker
    tracker.replace_tracked_value("layers", old, layer)
    if isinstance(parent, list):
        parent[int(attribute)] = layer
    else:
        setattr(
            parent, attribute, layer
        )  # keras 3.15.1: alone, it adds
    return model


def set_arrays(layer, **arrays):
    for name, array in arrays.items():
        if array is not None:
            getattr(layer, name).assign(array)


def to_qat(layer, options):
    shape = layer.weight.shape[::-1]
    options = options | dict(dtype=layer.dtype_policy)
    new = QATLinear(*shape, layer.bias is not None, **options)
    set_arrays(new, weight=layer.weight, bias=layer.bias)
    return new


def prepare(model, config):
    found = find(model, Linear)
    for pattern in config:
        if not fnmatch.filter(found, pattern):
            want = f"one that fits {', '.join(found) or 'a Linear'}"
            raise ValueError(
                f"prepare: pattern expected {want}, got {pattern!r}"
            )
    for name, layer in found.items():
        fits = [p for p in config if fnmatch.fnmatchcase(name, p)]
        if fits and config[fits[-1]] is not None:
            new = to_qat(layer, config[fits[-1]])
            model = replace(model, name, new)
    return model


def set_mode(model, mode: str):
    place_of(mode)  # or an error, before anything moves
    for layer in find(model, QATLinear).values():
        # what trained since the last call moved the weights
        weight, place = layer.weight.value, layer.state.place.value
        show(layer.weight_quantizer, weight, place, True)
        layer.mode = mode
    return model


# endregion


# region try
if __name__ == "__main__":
    from tf_impl.mlp import MLP

    model, x = MLP(3, 5, 2), tf.ones((4, 3))
    config = {"*": dict(weight_bits=4), "layer2": None}
    set_mode(prepare(model, config), "observe")(x)
    print(set_mode(model, "frozen"), model(x))
# endregion

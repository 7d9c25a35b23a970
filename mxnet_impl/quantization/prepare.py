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

from mxnet import gluon, np

from mxnet_impl.linear import Linear
from mxnet_impl.quantization.modes import place_of, show
from mxnet_impl.quantization.qat_linear import QATLinear

# endregion


# region function
def find(model, kinds):
    """{name: layer} of those kinds."""
    named = {"": model}
    for name, child in model._children.items():
        below = find(child, gluon.Block).items()
        named |= {f"{name}.{n}".rstrip("."): b for n, b in below}
    return {n: b for n, b in named.items() if isinstance(b, kinds)}


def replace(model, name: str, layer):
    if not name:
        return layer
    parent, _, attribute = name.rpartition(".")
    parent = find(model, gluon.Block)[parent]
    vars(parent).pop(attribute, None)  # 1.9.1: no other class
    setattr(parent, attribute, layer)
    return model


def set_arrays(layer, **arrays):
    for name, array in arrays.items():
        if isinstance(array, gluon.Parameter):
            array = array.data()
        if array is not None:
            getattr(layer, name).data()[()] = array


def to_qat(layer, options):
    shape = layer.weight.shape[::-1]
    new = QATLinear(*shape, layer.bias is not None, **options)
    new.initialize()
    new.cast(layer.weight.dtype)
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
        weight = layer.weight.data()
        show(layer.weight_quantizer, weight, layer.mode, True)
        layer.mode = mode
    return model


# endregion


# region try
if __name__ == "__main__":
    from mxnet_impl.mlp import MLP

    model, x = MLP(3, 5, 2), np.ones((4, 3))
    model.initialize()
    config = {"*": dict(weight_bits=4), "layer2": None}
    set_mode(prepare(model, config), "observe")(x)
    print(set_mode(model, "frozen"), model(x))
# endregion

"""Prepare: make a trained float model ready for training in few bits.

prepare(model, config)  every Linear, those inside other layers too,
    becomes a QATLinear that has its weight and bias. config maps
    patterns of their names, such as "*" or "blocks.*.mlp.*", to options
    of QATLinear, or to None: stays as it is. Of the patterns that fit a
    name, the last counts; two names of one layer have to agree
set_mode(model, mode)   "observe", "quantize" or "frozen", see modes

Both change the model and return it; a model that is a Linear itself,
whose name is "", comes back as a new layer

Raises: ValueError, before any change, for a pattern that fits no layer,
        an unknown mode, and a Linear that is more than its page says;
        TypeError, ValueError as QATLinear for its options
Ref:    Jacob et al. 2018, CVPR, 3 (alg. 1)
"""

# region imports
import fnmatch

import tensorflow as tf

from tf_impl.linear import Linear
from tf_impl.quantization.attached import check_attached, share
from tf_impl.quantization.modes import place_of, show
from tf_impl.quantization.places import find, replace, together
from tf_impl.quantization.qat_linear import QATLinear

# endregion


# region function
def to_qat(layer, options):
    shape = layer.weight.shape[::-1]
    options = dict(autocast=layer.autocast, name=layer.name) | options
    options = options | dict(dtype=layer.dtype_policy)
    new = QATLinear(*shape, layer.bias is not None, **options)
    share(new, weight=layer.weight, bias=layer.bias)
    if not layer.trainable:
        new.trainable = False
    return new


def chosen(names, config):
    """The options for one layer; None: it stays as it is."""
    fits = {}
    for name in names:
        patterns = [p for p in config if fnmatch.fnmatchcase(name, p)]
        if patterns:
            fits[name] = config[patterns[-1]]
    for name, options in fits.items():
        first, *_ = fits
        if options != fits[first]:
            want = f"the options of {first}, {fits[first]}"
            raise ValueError(
                f"prepare: {name}, the same layer, expected {want}, "
                f"got {options}"
            )
    return next(iter(fits.values()), None)


def prepare(model, config):
    found, made = find(model, Linear), []
    for pattern in config:
        if not fnmatch.filter(found, pattern):
            want = f"one that fits {', '.join(found) or 'a Linear'}"
            raise ValueError(
                f"prepare: pattern expected {want}, got {pattern!r}"
            )
    for names, layer in together(found):
        options = chosen(names, config)
        if options is not None:
            way = f"take it off, or map {names[0]!r} to None"
            check_attached("prepare", names[0], layer, Linear, way)
            made += [(names, to_qat(layer, options))]
    for names, new in made:
        for name in names:
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

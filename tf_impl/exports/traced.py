"""Traced: a layer as a tf.function that takes its inputs by name.

traced(layer, inputs, dynamic)  a tf.Module, whose call(**inputs) gives
    {"y": y}, and {argument: tf.TensorSpec}; as export.py wants them
attempt(what, make, ...)  what make gives; what it raises is a limit of
    what, in one line

Raises: NotImplementedError for what cannot be traced; what the layer
        raises itself for wrong inputs
"""

# region imports
import copy

import tensorflow as tf
from keras.src.backend.common.symbolic_scope import SymbolicScope

from tf_impl.quantization.prepare import set_mode

# endregion


# region function
def ready(layer, inputs):
    if isinstance(layer, tf.keras.layers.Layer):
        layer = set_mode(copy.deepcopy(layer), "frozen")
    layer(**inputs)  # what is wrong with it is no limit of a format
    return layer


def axes(inputs, dynamic):
    if dynamic is None:
        many = [n for n, x in inputs.items() if len(x.shape) > 1]
        dynamic = {name: {0: "batch"} for name in many}
    found = {}
    for name, x in inputs.items():
        sizes = dict(enumerate(x.shape))
        sizes |= dict.fromkeys(dynamic.get(name, {}))  # None is any
        found[name] = tf.TensorSpec([*sizes.values()], x.dtype, name)
    return found


def attempt(what: str, make, *given, **options):
    try:
        return make(*given, **options)
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise NotImplementedError(f"{what}: {first}") from error


def traced(layer, inputs, dynamic):
    held, shapes = tf.Module(), axes(inputs, dynamic)
    held.layer = layer = ready(layer, inputs)

    def call(**xs):
        with SymbolicScope():  # only traced: no range moves
            return {"y": layer(**xs)}

    held.call = tf.function(call, autograph=False)
    what, make = "tf.function", held.call.get_concrete_function
    attempt(f"{what}, tensorflow {tf.__version__}", make, **shapes)
    return held, shapes


# endregion

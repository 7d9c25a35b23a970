"""Attached: what users put on a layer, when another takes its place.

attached(layer, kind)  names of what would be lost: a class other than
    kind, hooks, and attributes, parameters and layers that kind does
    not set itself; of these are parametrizations and pruning masks
check_attached(caller, name, layer, kind, way: str)  there is none
share(layer, **parameters)  the very parameters of another layer become
    those of this one: so what is frozen, what two layers have in
    common and what an optimizer holds stays as it is

Raises: ValueError for a layer with something attached, which says what
        it is, and the way out
"""

# region imports
import tensorflow as tf

from tf_impl.quantization.keras_holders import attributes, tracked

# off, where users leave them alone
SET = "activity_regularizer", "_input_spec", "_supports_masking"

# endregion


# region function
def known(kind):
    """What this kind's __init__ names."""
    code = kind.__init__.__code__
    return {*code.co_names, *code.co_consts}


def attached(layer, kind):
    if type(layer) is not kind:
        return [f"class {type(layer).__name__}"]
    found = sorted(set(attributes(layer)) - known(kind))
    found += [name for name in SET if getattr(layer, name)]
    own = layer._trainable_variables + layer._non_trainable_variables
    held = {id(value) for value in vars(layer).values()}
    return found + [v.name for v in own if id(v) not in held]


def check_attached(caller: str, name: str, layer, kind, way: str):
    found = attached(layer, kind)
    if found:
        want, got = f"a plain {kind.__name__}", ", ".join(found)
        raise ValueError(
            f"{caller}: {name or 'the model'} expected {want}, got "
            f"{got}, which would be lost: {way}"
        )


def share(layer, **parameters):
    for name, parameter in parameters.items():
        store, old = "trainable_variables", getattr(layer, name)
        tracked(layer, store, old, parameter)
        setattr(layer, name, parameter)


# endregion


# region try
if __name__ == "__main__":
    from tf_impl.linear import Linear

    layer = Linear(3, 2)
    layer.activity_regularizer = tf.keras.regularizers.L2(0.5)
    print(attached(layer, Linear))
# endregion


# region what differs here
# keras 3.15.1: a layer has no hooks; constraints and regularizers of a
# Variable go on with it. del and setattr would list it last, and files
# are written in the order of that list
# endregion

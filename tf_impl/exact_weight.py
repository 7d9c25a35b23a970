"""exact_weight: a weight that no dtype policy of Keras casts.

keras 3.15.1: while a layer with the policy "mixed_float16" is called,
its weights are float16. Steps and ranges of a quantizer have to stay
what they are, else convert would find other codes than training had.
change_where(moves, layer, change)  a change of its weights, if moves
"""

# region imports
import tensorflow as tf
from keras.src.backend.common.stateless_scope import in_stateless_scope

# endregion


# region function
def exact_weight(layer, shape, start, name: str):
    return layer.add_weight(shape, start, name=name, autocast=False)


def change_where(moves, layer, change):
    """keras 3.15.1: what a branch of tf.cond sets is lost to a compiled
    stateless_call; there, where nothing moves, it is put back."""
    if tf.executing_eagerly() or not in_stateless_scope():
        tf.cond(moves, change, lambda: None)
        return
    old = [weight.value for weight in layer.variables]
    change()
    for weight, value in zip(layer.variables, old):
        weight.assign(tf.where(moves, weight.value, value))


# endregion

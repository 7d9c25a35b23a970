"""Modes: when the ranges of a quantized layer move.

observe   with every batch, in evaluation too: so one calibrates. The
          layer computes what linear does; what is learned starts anew
quantize  with every batch of training, and with no other
frozen    never
A forward pass that is computed again (activation checkpointing), or one
that is only traced, is no batch: show moves nothing then
Mode is a sublayer, so that the mode is in every saved state, as its
place in MODES; a state from before has none: the mode stays as it was

Raises: ValueError for another word, or another place
"""

# region imports
import io
from traceback import walk_stack

import h5py
import tensorflow as tf
from keras.src.backend.common.symbolic_scope import in_symbolic_scope

from tf_impl.exact_weight import change_where
from tf_impl.weights_file import to_bytes

MODES = ("observe", "quantize", "frozen")
OBSERVE, QUANTIZE, FROZEN = range(3)
KEPT = "state/vars/0"  # so ends its name in a saved state
# endregion


# region function
def place_of(mode: str):
    if mode not in MODES:
        want = ", ".join(MODES)
        raise ValueError(f"mode expected one of {want}, got {mode!r}")
    return MODES.index(mode)


def mode_at(place):
    if int(place) not in (0, 1, 2):
        raise ValueError(f"mode expected 0 to 2, got {int(place)}")
    return MODES[int(place)]


def get_mode(layer):
    return mode_at(layer.state.place.value)


def put_mode(layer, mode: str):
    layer.state.place.assign(place_of(mode))


def saved_modes(layer):
    """{name: place} of the modes inside, as a saved state has them."""
    names = []
    with h5py.File(io.BytesIO(to_bytes(layer))) as file:
        file.visit(names.append)
        return {n: file[n][()] for n in names if n.endswith(KEPT)}


def complete(saved, layer):
    """saved, with the modes of layer where it is from before."""
    saved = saved_modes(layer) | saved
    for name in saved_modes(layer):
        mode_at(saved[name])
    return saved


def show(quantizer, x, mode, training):
    training = training is None or training
    last = QUANTIZE if training and quantizer.observes else OBSERVE
    moves = mode <= last
    if not tf.executing_eagerly():  # an empty batch is no error there
        moves = moves & (tf.size(x) > 0)
    if not Mode.again(x):
        change_where(moves, quantizer, lambda: quantizer.start(x))


in_state = property(get_mode, put_mode)
# endregion


# region layer
class Mode(tf.keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.built = True  # keras 3.15.1: it is not called
        start = tf.keras.initializers.Constant(QUANTIZE)
        self.place = self.add_weight(
            (), start, "int32", trainable=False
        )

    @staticmethod
    def again(x):
        """Run once more, or to look; a function's name tells it."""
        if not tf.executing_eagerly() and x.shape and 0 in x.shape:
            return True
        names = (f.f_code.co_name for f, _ in walk_stack(None))
        return in_symbolic_scope() or "inner_recompute_grad" in names

    def load_own_variables(self, store):
        if len(store):  # else a file from before
            super().load_own_variables(store)


# endregion


# region try
if __name__ == "__main__":
    print(Mode().place)
# endregion


# region what differs here
# alignment: a graph that is there, as that of predict, has to follow
# set_mode: the mode is a variable, and tf.cond asks it
# keras 3.15.1: predict and evaluate say training=False to all layers
# endregion

"""Modes: when the ranges of a quantized layer move, and what keeps it.

observe   with every batch, in evaluation too: so one calibrates. The
          layer computes what linear does; what is learned starts anew
quantize  with every batch of training, and with no other
frozen    never
A forward pass that is computed again, as activation checkpointing does,
or that is only traced, is no batch
show      x to a quantizer, which moves where this is so
Mode      a sublayer that holds the mode, so that it is in every saved
          state, as its place in MODES. A state from before has none:
          the mode stays as it was

Raises: ValueError for another word, or another place
"""

# region imports
import io
import traceback

import h5py
import tensorflow as tf
from keras.src.backend.common.symbolic_scope import in_symbolic_scope

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
    if int(place) not in range(len(MODES)):
        want, got = f"0 to {len(MODES) - 1}", int(place)
        raise ValueError(f"mode expected {want}, got {got}")
    return MODES[int(place)]


def places(layer):
    """{name: place} of the modes inside, as a saved state has them."""
    found = {}

    def visit(name, a):
        if name.endswith(KEPT):
            found[name] = a[()]

    with h5py.File(io.BytesIO(to_bytes(layer))) as file:
        file.visititems(visit)
    return found


def complete(saved, layer):
    """saved, with the modes of layer where it is from before."""
    saved = places(layer) | saved
    for name in places(layer):
        mode_at(saved[name])
    return saved


def show(quantizer, x, mode, training):
    training = training is None or training
    last = QUANTIZE if training and quantizer.observes else OBSERVE
    moves = mode <= last
    if not tf.executing_eagerly():
        if x.shape and 0 in x.shape:  # nothing to observe, in no mode
            return
        moves = moves & (tf.size(x) > 0)
    if not Mode.again():
        tf.cond(moves, lambda: quantizer.start(x), lambda: None)


# endregion


# region layer
class Mode(tf.keras.layers.Layer):
    def __init__(self, word: str = "quantize", **kwargs):
        super().__init__(**kwargs)
        self.built = True  # keras 3.15.1: it is not called
        start = tf.keras.initializers.Constant(place_of(word))
        self.place = self.add_weight(
            (), start, "int32", trainable=False, name="place"
        )

    @property
    def word(self):
        return mode_at(self.place.value)

    @word.setter
    def word(self, mode):
        self.place.assign(place_of(mode))

    @staticmethod
    def again():
        """Run once more, or to look: not for a batch."""
        stack = traceback.walk_stack(None)
        names = (frame.f_code.co_name for frame, _ in stack)
        return in_symbolic_scope() or "inner_recompute_grad" in names

    def load_own_variables(self, store):
        if len(store):  # else a file from before
            super().load_own_variables(store)


# endregion


# region try
if __name__ == "__main__":
    mode = Mode("frozen")
    print(mode.place, mode.word)
# endregion


# region what differs here
# tensorflow 2.21.0: a graph that is there, as that of predict, has to
# follow set_mode: the mode is a variable, and tf.cond asks it
# tensorflow 2.21.0: recompute_grad says nowhere that it runs again, but
# for the name of its function
# keras 3.15.1: training is False in predict and evaluate, and in all
# layers inside of one that is told so; None, as outside of fit, is True
# endregion

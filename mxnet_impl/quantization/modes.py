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
import numpy
from mxnet.gluon import nn

from mxnet_impl.custom_function import Filled

MODES = ("observe", "quantize", "frozen")
KEPT = "state.place"  # so ends its name in a saved state
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
    named = layer._collect_params_with_prefix()
    return {
        n: numpy.array(Mode.place_in(p), p.dtype)
        for n, p in named.items()
        if n.endswith(KEPT)
    }


def complete(saved, layer):
    """saved, with the modes of layer where it is from before."""
    saved = places(layer) | saved
    for name in places(layer):
        mode_at(saved[name])
    return saved


def show(quantizer, x, mode, training):
    moves = mode == "quantize" and training and quantizer.observes
    if moves or mode == "observe":
        quantizer.start(x)


# endregion


# region layer
class Mode(nn.Block):
    def __init__(self, word: str = "quantize", **kwargs):
        super().__init__(**kwargs)
        place = dict(shape=(), dtype="int32", differentiable=False)
        self.place = self.params.get("place", **place)
        self.word = word

    @staticmethod
    def place_in(parameter):
        if parameter._data is None:  # not initialized: how it starts
            return parameter.init.value
        return int(parameter.list_data()[0])

    @property
    def word(self):
        return mode_at(self.place_in(self.place))

    @word.setter
    def word(self, mode):
        self.place.init = Filled(place_of(mode))
        if self.place._data is not None:
            for place in self.place.list_data():
                place[()] = place_of(mode)

    def cast(self, dtype):
        """It stays a whole number."""


# endregion


# region try
if __name__ == "__main__":
    mode = Mode("frozen")
    mode.initialize()
    print(mode.place.data(), mode.word)
# endregion


# region what differs here
# mxnet 1.9.1: state is a parameter that is not differentiable; until
# initialize it has no number, but knows its first one
# mxnet 1.9.1: training is what autograd.record says: outside of it, and
# under record(train_mode=False), no range moves in mode "quantize"
# endregion

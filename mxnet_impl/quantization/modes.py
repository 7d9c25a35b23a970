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
    if int(place) not in (0, 1, 2):
        raise ValueError(f"mode expected 0 to 2, got {int(place)}")
    return MODES[int(place)]


def get_mode(layer):
    return mode_at(Mode.read(layer.state.place))


def put_mode(layer, mode: str):
    layer.state.write(place_of(mode))


def saved_modes(layer):
    """{name: place} of the modes inside, as a saved state has them."""
    named = layer._collect_params_with_prefix()
    return {
        n: numpy.array(Mode.read(p), p.dtype)
        for n, p in named.items()
        if n.endswith(KEPT)
    }


def complete(saved, layer):
    """saved, with the modes of layer where it is from before."""
    saved = saved_modes(layer) | saved
    for name in saved_modes(layer):
        mode_at(saved[name])
    return saved


def show(quantizer, x, mode, training):
    moves = mode == "quantize" and training and quantizer.observes
    if moves or mode == "observe":
        quantizer.start(x)


in_state = property(get_mode, put_mode)
# endregion


# region layer
class Mode(nn.Block):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        kind = dict(shape=(), dtype="int32", differentiable=False)
        start = Filled(place_of("quantize"))
        self.place = self.params.get("place", init=start, **kind)

    @staticmethod
    def read(place):
        if place._data is None:  # before initialize: how it starts
            return place.init.value
        return int(place.list_data()[0])

    def write(self, value):
        self.place.init = Filled(value)
        if self.place._data is not None:
            for place in self.place.list_data():
                place[()] = value

    def cast(self, dtype):
        """It stays a whole number."""


# endregion


# region try
if __name__ == "__main__":
    mode = Mode()
    mode.initialize()
    print(mode.place.data())
# endregion


# region what differs here
# alignment: state is a parameter that is not differentiable; until
# initialize it has no number, but knows its first one
# mxnet 1.9.1: training is what autograd.record says: outside of it, and
# under record(train_mode=False), no range moves in mode "quantize"
# endregion

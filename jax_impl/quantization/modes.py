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
import jax.numpy as jnp
import numpy as np
from flax import nnx

MODES = ("observe", "quantize", "frozen")
KEPT = "state.kept"  # so ends its name in a saved state
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
    return layer.state.kept.get_metadata("word")


def put_mode(layer, mode: str):
    layer.state.kept.set_metadata(word=MODES[place_of(mode)])


def saved_modes(layer):
    """{name: place} of the modes inside, as a saved state has them."""
    flat = nnx.to_flat_state(nnx.state(layer))
    named = {".".join(map(str, at)): v for at, v in flat}
    modes = {n: v.word for n, v in named.items() if n.endswith(KEPT)}
    return {n: np.array(place_of(word)) for n, word in modes.items()}


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
class Mode(nnx.Module):
    def __init__(self):
        super().__init__()
        self.kept = nnx.BatchStat(jnp.zeros(0), word="quantize")
        self.use_running_average = False  # eval() and train() set it


# endregion


# region try
if __name__ == "__main__":
    mode = Mode()
    print(nnx.state(mode))
    mode.eval()
    print(mode.use_running_average)
# endregion


# region what differs here
# flax 0.12.8: compiled code has to know the mode: it is metadata of an
# empty BatchStat, which nnx.state has and jit takes as it is; what has
# arrays alone, as nnx.to_pure_dict, lacks it, and checkpoint.py writes
# its place
# jax 0.10.2: computed again, as by remat, are operations, not layers:
# a range moves once
# endregion

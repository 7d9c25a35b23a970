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
from traceback import walk_stack

import torch
from torch import nn

MODES = ("observe", "quantize", "frozen")
KEPT = "state._extra_state"  # so ends its name in a saved state
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
    return mode_at(layer.state.place)


def put_mode(layer, mode: str):
    layer.state.place = place_of(mode)


def saved_modes(layer):
    """{name: place} of the modes inside, as a saved state has them."""
    state = layer.state_dict()
    return {n: a for n, a in state.items() if n.endswith(KEPT)}


def complete(saved, layer):
    """saved, with the modes of layer where it is from before."""
    saved = saved_modes(layer) | saved
    for name in saved_modes(layer):
        mode_at(saved[name])
    return saved


def show(quantizer, x, mode, training):
    moves = mode == "quantize" and training and quantizer.observes
    if (moves or mode == "observe") and not Mode.again():
        # without autograd: checkpointing counts what that keeps
        quantizer.start(x.detach())


in_state = property(get_mode, put_mode)
# endregion


# region layer
class Mode(nn.Module):
    def __init__(self):
        super().__init__()
        self.place = place_of("quantize")

    @staticmethod
    def again():
        """Run once more, or to look; a function's name tells it."""
        if torch.compiler.is_compiling():  # a graph moves where it runs
            return False
        if torch._C._current_graph_task_id() != -1:  # in a backward
            return True
        names = (f.f_code.co_name for f, _ in walk_stack(None))
        return torch.jit.is_tracing() or "_check_trace" in names

    def get_extra_state(self):
        return torch.tensor(self.place, device="cpu")

    def set_extra_state(self, state):
        self.place = place_of(mode_at(state))

    def _load_from_state_dict(self, state_dict, prefix, *args):
        own = f"{prefix}_extra_state"
        state_dict.setdefault(own, self.get_extra_state())
        super()._load_from_state_dict(state_dict, prefix, *args)


# endregion


# region try
if __name__ == "__main__":
    mode = Mode()
    print(mode.state_dict())
    mode.load_state_dict({"_extra_state": 2})
    print(mode_at(mode.place))
# endregion

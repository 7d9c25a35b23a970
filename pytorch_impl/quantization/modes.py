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
import traceback

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
    if int(place) not in range(len(MODES)):
        want, got = f"0 to {len(MODES) - 1}", int(place)
        raise ValueError(f"mode expected {want}, got {got}")
    return MODES[int(place)]


def places(layer):
    """{name: place} of the modes inside, as a saved state has them."""
    state = layer.state_dict()
    return {n: a for n, a in state.items() if n.endswith(KEPT)}


def complete(saved, layer):
    """saved, with the modes of layer where it is from before."""
    saved = places(layer) | saved
    for name in places(layer):
        mode_at(saved[name])
    return saved


def show(quantizer, x, mode, training):
    moves = mode == "quantize" and training and quantizer.observes
    if (moves or mode == "observe") and not Mode.again():
        # what autograd saves must not depend on it: checkpointing counts
        quantizer.start(x.detach())


# endregion


# region layer
class Mode(nn.Module):
    def __init__(self, word: str = "quantize"):
        super().__init__()
        self.word = word

    @property
    def word(self):
        return MODES[self.place]

    @word.setter
    def word(self, mode):
        self.place = place_of(mode)

    @staticmethod
    def again():
        """Run once more, or to look: not for a batch."""
        if torch.compiler.is_compiling():  # a graph moves where it runs
            return False
        if torch._C._current_graph_task_id() != -1:  # in a backward
            return True
        stack = traceback.walk_stack(None)
        names = (frame.f_code.co_name for frame, _ in stack)
        return torch.jit.is_tracing() or "_check_trace" in names

    def get_extra_state(self):
        return torch.tensor(self.place, device="cpu")

    def set_extra_state(self, state):
        self.word = mode_at(state)

    def _load_from_state_dict(self, state_dict, prefix, *args):
        own = f"{prefix}_extra_state"
        state_dict.setdefault(own, self.get_extra_state())
        super()._load_from_state_dict(state_dict, prefix, *args)


# endregion


# region try
if __name__ == "__main__":
    state = Mode("frozen").state_dict()
    mode = Mode()
    mode.load_state_dict(state)
    print(state, mode.word)
# endregion

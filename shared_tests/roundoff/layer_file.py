"""The layer to port, in a file: torch_layer.py.

INPUTS   {name: what}, in order; what is a shape (normal numbers), an
         array of floats, integers or booleans, or a nest of these
make()   the nn.Module, in the mode to check
"""

import numpy as np
import torch

from .errors import CheckError
from .foreign.port import load_file


def is_shape(what):
    whole = isinstance(what, tuple | list)
    return whole and all(type(n) is int for n in what)


def draw(what, rng):
    if is_shape(what):
        return rng.standard_normal(what).astype(np.float32)
    if isinstance(what, dict):
        return {name: draw(each, rng) for name, each in what.items()}
    if isinstance(what, tuple | list):
        return type(what)(draw(each, rng) for each in what)
    return what


def draw_inputs(given, rng):
    if not isinstance(given, dict) or not given:
        want = "{name: shape or array}"
        raise CheckError(f"INPUTS expected {want}, got {given!r}")
    return draw(given, rng)


def read(path, seed):
    """(module, inputs) of the file at path.

    seed: of the numbers that make() and shapes draw
    Raises: CheckError for a file that is wrong, or fails
    """
    if not path.is_file():
        raise CheckError(f"{path} does not exist")
    torch.manual_seed(seed)
    try:
        file = load_file(path, "make")
        if not hasattr(file, "INPUTS"):
            raise ValueError(f"{path.name} expected INPUTS")
        module = file.make()
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        raise CheckError(f"{path.name}: {text}") from error
    if not isinstance(module, torch.nn.Module):
        got = type(module).__name__
        raise CheckError(f"make() expected an nn.Module, got {got}")
    return module, draw_inputs(file.INPUTS, np.random.default_rng(seed))

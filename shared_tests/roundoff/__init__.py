"""Rounding or bug? The verdict for any model; imports nothing of this repo.

from roundoff import assert_rounding
from roundoff.check import check
"""

import importlib

FROM = {
    "assert_rounding": "check",
    "Report": "report",
    "CheckError": "errors",
    "RoundingError": "errors",
}
__all__ = list(FROM)


def __getattr__(name):
    """Only when asked for: the port's side has no PyTorch."""
    if name not in FROM:
        raise AttributeError(f"{__name__} has no {name}")
    try:
        module = importlib.import_module(f".{FROM[name]}", __name__)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError(
            f"{__name__}.{name} runs the reference in PyTorch, which is"
            " not installed"
        ) from error
    return getattr(module, name)

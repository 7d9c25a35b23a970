"""What a module is given: nests of arrays, and Python scalars."""

import inspect

import numpy as np
import torch

from . import nest
from .errors import CheckError
from .mixed import precisions


def as_array(path, leaf, precision):
    """A leaf of the inputs: Python scalars stay, floats in `precision`."""
    if isinstance(leaf, nest.SCALARS):
        return leaf
    if torch.is_tensor(leaf):
        leaf = leaf.detach().cpu()
        if leaf.dtype in (torch.bfloat16, torch.float16):
            raise CheckError(dtype_text(path, leaf.dtype))
    array = np.asarray(leaf)
    if array.dtype.kind not in "biuf" or array.dtype == np.float16:
        raise CheckError(dtype_text(path, array.dtype))
    return given(precision, array) if array.dtype.kind == "f" else array


def given(precision, array):
    """Numbers as the port gets them: in float32, or in float64, but
    rounded to what is narrower still."""
    dtype = "f8" if precision == "float64" else "f4"
    return precisions.rounded(precision, array).astype(dtype)


def dtype_text(path, dtype):
    want = "floats of 32 or 64 bits, integers or booleans"
    got = str(dtype).removeprefix("torch.")
    return f"input {path!r} expected {want}, got {got}"


def named_inputs(module, inputs):
    """({name: nest}, whether they are keywords) of what forward takes.

    A dict has keywords, as long as forward takes them all; otherwise its
    values are given in order, as those of a tuple or list are.
    """
    if not isinstance(inputs, dict | tuple | list):
        inputs = (inputs,)
    takes = inspect.signature(module.forward)
    if isinstance(inputs, dict):
        try:
            takes.bind(**inputs)
        except TypeError:
            return dict(inputs), False
        return dict(inputs), True
    names = [
        name
        for name, parameter in takes.parameters.items()
        if parameter.kind
        in (parameter.POSITIONAL_OR_KEYWORD, parameter.POSITIONAL_ONLY)
    ]
    names += [str(i) for i in range(len(names), len(inputs))]
    return dict(zip(names, inputs)), False

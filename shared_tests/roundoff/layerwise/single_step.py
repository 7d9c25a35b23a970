"""Each layer judged alone: the port's gets the input of PyTorch's.

In running mode an error that begins in one layer goes on through all that
follow. Here every call of every submodule is a check of its own: the
input that it had in float64, rounded to the working precision, goes to
both sides, and the budget is that of this submodule on this input. A
layer that is wrong is wrong alone, and those after it are right.
"""

import copy
import math
from typing import NamedTuple

import numpy as np
import torch

from .. import budget, nest
from ..reference import Reference, in_double, wide
from ..report import Line, compare, missing
from .layers import PREFIX, expanded, words_of

SEED = 20260101
NO_FORWARD = torch.nn.Module.forward  # of a list of modules


class Call(NamedTuple):
    """One call of a submodule, and its inputs in float64."""

    name: str  # its path, with #2 for the second call
    path: str
    args: list
    kwargs: dict


def single_step(
    module,
    port,
    inputs,
    *,
    layers=None,
    precision="float32",
    runs=budget.RUNS,
    seed=SEED,
):
    """(lines, PyTorch's layers left over, the port's), in the order in
    which the calls end.

    module, inputs: as for check(); forward only
    port: an nn.Module, or {name: function of a layer's arguments as
        NumPy arrays, which returns a nest of arrays}
    layers: {PyTorch's path: the port's}, patterns too; what it does not
        say goes by name
    Raises: CheckError, TypeError, ValueError
    """
    reference = Reference(module, inputs, precision)
    reference.first_run()
    calls = recorded(reference)
    parts = parts_of_port(port, reference.module.training)
    pairs = paired([call.path for call in calls], parts, layers or {})
    lines = []
    for call in calls:
        if call.path in pairs:
            part = parts[pairs[call.path]]
            made = (reference, call, part, precision, runs, seed)
            lines += judge_call(*made)
    return (
        lines,
        list(
            dict.fromkeys(c.path for c in calls if c.path not in pairs)
        ),
        [name for name in parts if name not in pairs.values()],
    )


def recorded(reference):
    """The calls of all submodules, in the order in which they end."""
    counts, running, calls = {}, [], []

    def before(path):
        def hook(part, args, kwargs):
            count = counts[path] = counts.get(path, 0) + 1
            name = f"{path}#{count}" if count > 1 else path
            kept = [
                nest.map_leaves(
                    lambda _, leaf: rounded(leaf, reference.precision),
                    given,
                )
                for given in (list(args), dict(kwargs))
            ]
            running.append(Call(name, path, *kept))

        return hook

    hooks = []
    for path, part in reference.module.named_modules():
        if path:
            hooks += [
                part.register_forward_pre_hook(
                    before(path), with_kwargs=True
                ),
                part.register_forward_hook(
                    lambda *_: calls.append(running.pop())
                ),
            ]
    try:
        with in_double(False):
            reference.forward(reference.fresh_inputs(False)[0])
    finally:
        for hook in hooks:
            hook.remove()
        reference.restore()
    return calls


def rounded(leaf, precision):
    """A copy, in float64, of what the working precision holds of it; a
    mask of the least float64 stays a number."""
    if not torch.is_tensor(leaf):
        return leaf
    leaf = leaf.detach().clone()
    if not leaf.is_floating_point():
        return leaf
    dtype = getattr(torch, precision)
    least = torch.finfo(dtype).min
    inside = leaf.clamp(least, -least)
    return torch.where(leaf.isinf(), leaf, inside).to(dtype).double()


def parts_of_port(port, training):
    """{name: function of arguments in float64 tensors, to a nest}."""
    if isinstance(port, torch.nn.Module):
        port = copy.deepcopy(port).train(training)
        start = copy.deepcopy(port.state_dict())
        return {
            path: in_float32(part, lambda: port.load_state_dict(start))
            for path, part in port.named_modules()
            if path and type(part).forward is not NO_FORWARD
        }
    if isinstance(port, dict) and all(map(callable, port.values())):
        return {name: in_numpy(part) for name, part in port.items()}
    raise TypeError(
        "single step: the port expected an nn.Module or {name: function},"
        f" got {type(port).__name__}"
    )


def in_float32(part, restore):
    """A part of an nn.Module; restore() puts its buffers back."""

    def narrow(_, leaf):
        return leaf.float() if is_double(leaf) else copied(_, leaf)

    def call(args, kwargs):
        args, kwargs = (
            nest.map_leaves(narrow, x) for x in (args, kwargs)
        )
        restore()
        with torch.no_grad():
            return part(*args, **kwargs)

    return call


def in_numpy(part):
    def narrow(_, leaf):
        if is_double(leaf):
            return leaf.float().numpy()
        return np.array(leaf) if torch.is_tensor(leaf) else leaf

    def call(args, kwargs):
        args, kwargs = (
            nest.map_leaves(narrow, x) for x in (args, kwargs)
        )
        return part(*args, **kwargs)

    return call


def is_double(leaf):
    return torch.is_tensor(leaf) and leaf.is_floating_point()


def paired(paths, parts, layers):
    """{PyTorch's path: name of the port's part}."""
    pairs = expanded(layers, paths, parts)
    theirs = {}
    for name in parts:
        if name not in pairs.values():
            theirs.setdefault(words_of(name), []).append(name)
    for path in dict.fromkeys(paths):
        names = theirs.get(words_of(path), ())
        if path not in pairs and len(names) == 1:
            pairs[path] = names[0]
    return pairs


def judge_call(reference, call, part, precision, runs, seed):
    """The lines of the outputs of one call."""
    module = reference.module.get_submodule(call.path)

    def compute():
        reference.restore()
        args, kwargs = (
            nest.map_leaves(copied, given)
            for given in (call.args, call.kwargs)
        )
        with in_double(False):
            output = module(*args, **kwargs)
        return {
            n: wide(t) for n, t in tensors(call.name, output).items()
        }

    try:
        values = tensors(call.name, part(call.args, call.kwargs))
    except Exception as error:  # of somebody's layer
        text = f"{type(error).__name__}: {error}"
        name = PREFIX + call.name
        return [Line(name, math.inf, math.nan, "bug", [text])]
    references, sigmas = budget.estimate(compute, seed, runs)
    reference.restore()
    return [
        compare(
            name, as_array(values[name]), want, sigmas[name], precision
        )
        if name in values
        else missing(name, "the port")
        for name, want in references.items()
    ]


def copied(_, leaf):
    return leaf.clone() if torch.is_tensor(leaf) else leaf


def tensors(name, output):
    """{"layer.<call>.<path>": array} of what a call returned."""
    return {
        path: leaf
        for path, leaf in nest.flatten({PREFIX + name: output}).items()
        if hasattr(leaf, "dtype") and hasattr(leaf, "shape")
    }


def as_array(value):
    if torch.is_tensor(value):
        return value.detach().cpu().numpy()
    return np.asarray(value)

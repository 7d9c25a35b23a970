"""Each layer judged alone: the port's gets the input of PyTorch's.

In running mode an error that begins in one layer goes on through all that
follow. Here every call of every submodule is a check of its own: the
input that it had in float64, rounded to the working precision, goes to
both sides, and the budget is that of this submodule on this input. A
layer that is wrong is wrong alone, and those after it are right.
"""

import math

import numpy as np
import torch

from .. import budget, nest
from ..foreign.asking import make_request
from ..reference import Reference, guarded, in_double, wide
from ..report import Line, compare, missing
from .feeding import Call, as_given, of_object, without
from .layers import PREFIX, expanded, words_of

SEED = 20260101


def single_step(
    module,
    port,
    inputs,
    *,
    layers=None,
    weights=None,
    precision="float32",
    runs=budget.RUNS,
    seed=SEED,
    framework=None,
    python=None,
):
    """(lines, PyTorch's layers left over, the port's), in the order in
    which the calls end.

    module, inputs, weights, framework, python: as for check(); forward
        only
    port: as for check(), if it is an object that has parts; or {name:
        function of a layer's arguments as NumPy arrays, which returns a
        nest of arrays}
    layers: {PyTorch's path: the port's}, patterns too; what it does not
        say goes by name
    Raises: CheckError, TypeError, ValueError
    """
    reference = Reference(module, inputs, precision, layers=True)
    first = guarded("module", reference.first_run)
    calls = recorded(reference)
    if isinstance(port, dict):
        results, *left = of_functions(port, calls, layers or {})
    else:
        request = make_request(reference, None, weights)
        asked = (request, framework, python)
        ours = {n: a for n, a in first.items() if n.startswith(PREFIX)}
        results, *left = of_object(port, ours, calls, layers, asked)
    lines = []
    for call in calls:
        if call.name in results:
            made = (reference, call, results[call.name])
            lines += judge_call(*made, precision, runs, seed)
    return lines, *left


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


def of_functions(port, calls, layers):
    """As of_object, of {name: function}."""
    if not all(map(callable, port.values())):
        raise TypeError(
            "single step: {name: function} expected functions"
        )
    pairs = same_paths([call.path for call in calls], port, layers)
    results = {}
    for call in calls:
        if call.path in pairs:
            function = port[pairs[call.path]]
            try:
                args, kwargs = (
                    nest.map_leaves(lambda _, x: as_given(x), given)
                    for given in (call.args, call.kwargs)
                )
                values = tensors(call.name, function(*args, **kwargs))
                results[call.name] = in_values(values)
            except Exception as error:  # of somebody's layer
                results[call.name] = error
    left = [name for name in port if name not in pairs.values()]
    return results, without(calls, results), left


def in_values(values):
    return lambda name, _: values.get(name)


def same_paths(paths, parts, layers):
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


def judge_call(reference, call, found, precision, runs, seed):
    """The lines of the outputs of one call.

    found: the port's array of a name and shape, or None; or an error
    """
    if isinstance(found, Exception):
        text = f"{type(found).__name__}: {found}"
        name = PREFIX + call.name
        return [Line(name, math.inf, math.nan, "bug", [text])]
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

    references, sigmas = budget.estimate(compute, seed, runs)
    reference.restore()
    lines = []
    for name, want in references.items():
        value = found(name, want.shape)
        made = np.asarray(value), want, sigmas[name], precision
        lines.append(
            missing(name, "the port")
            if value is None
            else compare(name, *made)
        )
    return lines


def copied(_, leaf):
    return leaf.clone() if torch.is_tensor(leaf) else leaf


def tensors(name, output):
    """{"layer.<call>.<path>": array} of what a call returned."""
    return {
        path: leaf
        for path, leaf in nest.flatten({PREFIX + name: output}).items()
        if hasattr(leaf, "dtype") and hasattr(leaf, "shape")
    }

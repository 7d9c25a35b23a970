"""What the port is asked, and its answer under PyTorch's names."""

import os

import numpy as np

from ..maps import weights as weight_maps
from ..mixed import precisions
from ..reference import guarded
from . import child
from . import port as port_side


def is_path(port):
    return isinstance(port, str | os.PathLike)


def make_request(reference, cotangents, weights):
    """What the port is asked; see port.py."""
    params = reference.params
    trainable = set(reference.trainable)
    trainable |= {
        second
        for second, first in reference.aliases.items()
        if first in trainable
    }
    moving = [name for name in params if name in trainable]
    if weights is not None:
        # the port's names in which something of these arrives
        marks = {
            n: np.full(p.shape, float(n in trainable), np.float32)
            for n, p in params.items()
        }
        marked = weight_maps.forward(weights, marks)
        moving = [n for n, mark in marked.items() if np.any(mark)]
        params = weight_maps.forward(weights, params)
    return {
        "params": params,
        "mapped": weights is not None,
        "moving": moving,
        "inputs": reference.inputs,
        "by_name": reference.by_name,
        "cotangents": cotangents,
        "training": reference.module.training,
        "layers": reference.layers,
        "precision": precisions.precision(reference.precision).given,
    }


def run_port(port, request, framework, python):
    if is_path(port):
        name = os.path.basename(port)
        framework = framework or framework_by_name(name)
        return child.ask(
            port, {**request, "framework": framework}, python
        )

    def run():
        training = request["training"]
        layers = request["layers"]
        adopted = port_side.adopt(port, framework, training, layers)
        answer = port_side.run(adopted, request)
        found = port_side.unsteady(adopted, request, answer["results"])
        return {**answer, "unsteady": found}

    return guarded("port", run)


def run_steps(port, request, feeds, framework, python):
    """[{"layer.<path>": ndarray}] of a port that is an object: outputs of
    its parts, one forward pass for each feed (calls.py)."""
    request = {**request, "feeds": feeds}
    if is_path(port):
        name = os.path.basename(port)
        framework = framework or framework_by_name(name)
        request["framework"] = framework
        return child.ask(port, request, python)["steps"]
    return guarded(
        "port",
        lambda: port_side.steps(lambda: port, framework, request),
    )


def framework_by_name(name):
    """jax of jax_port.py; None of other names."""
    head = name.partition("_")[0]
    return head if head in port_side.FRAMEWORKS else None


def port_results(answer, reference, weights):
    """The port's arrays, under PyTorch's names."""
    results = dict(answer["results"])
    if weights is not None:
        for kind in ("grad", "buffer"):
            back(results, kind, reference, weights)
    for second, first in reference.aliases.items():
        part = results.pop(f"grad.{second}", None)
        if part is not None:
            whole = results.get(f"grad.{first}")
            results[f"grad.{first}"] = (
                part if whole is None else whole + part
            )
    return results


def back(results, kind, reference, weights):
    """Names and layouts of the port's gradients, or buffers, undone."""
    inputs = set(reference.fresh_inputs(False)[1])
    theirs = {
        name.partition(".")[2]: results.pop(name)
        for name in list(results)
        if name.startswith(f"{kind}.")
        and not (kind == "grad" and name.partition(".")[2] in inputs)
    }
    full = weight_maps.expand(weights, reference.params)
    used = {name: full[name] for name in theirs if name in full}
    undo = (
        weight_maps.backward if kind == "grad" else weight_maps.inverse
    )
    ours = undo(used, theirs, reference.params)
    results.update((f"{kind}.{name}", a) for name, a in ours.items())

"""`make check LAYER=path/jax_port.py`: is your port's error rounding?

LAYER is a port, named jax_port.py, tf_port.py or mxnet_port.py, beside
the torch_layer.py that it has to equal. docs/check.md has an example.

torch_layer.py   INPUTS   {name: shape, or a NumPy array}, in order
                 make()   the nn.Module, with the parameters to check
<fw>_port.py     forward(params, <the inputs by name>) -> y, a pure
                 function; params: {PyTorch's name: array}, its layout

Both get the same numbers in float32. The output and the gradient of each
input and parameter are judged against the rounding error to expect
(budget.py). Where PyTorch's own result is NaN, or rounding can make it
NaN, there is no verdict. Exit status: 0 rounding, 1 bug, 2 for wrong
files or no verdict.
"""

import argparse
import pathlib
import sys
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from shared_tests import budget
from shared_tests.environments import environment_error
from shared_tests.live.check_port import RUNS, load_module
from shared_tests.live.server import pack, unpack
from shared_tests.processes import Child, Ended, Silent, module
from shared_tests.verdict import LARGEST, UNIT_ROUNDOFF, judge, ratio
from shared_tests.verdict import budget as allowed

SEED = 20260101
SECONDS = 300
WORST = 3  # elements shown of each array that is wrong
U = UNIT_ROUNDOFF["float32"]


class CheckError(Exception):
    """What is wrong with the files, in one sentence."""


def framework_of(port):
    names = {f"{framework}_port.py": framework for framework in RUNS}
    if port.name not in names:
        want = ", ".join(names)
        raise CheckError(f"LAYER expected a file {want}, got '{port}'")
    layer = port.with_name("torch_layer.py")
    for path in (port, layer):
        if not path.is_file():
            raise CheckError(f"{path} does not exist")
    error = environment_error(names[port.name])
    if error:
        raise CheckError(error)
    return names[port.name], layer


def draw_inputs(given, rng):
    if not isinstance(given, dict) or not given:
        want = "{name: shape or array}"
        raise CheckError(f"INPUTS expected {want}, got {given!r}")
    inputs = {}
    for name, what in given.items():
        if isinstance(what, tuple | list):
            what = rng.standard_normal(what)
        array = np.asarray(what)
        if array.dtype.kind != "f":
            got = array.dtype.name
            raise CheckError(
                f"INPUTS[{name!r}] expected floats, got {got}"
            )
        inputs[name] = array.astype(np.float32)
    return inputs


def prepare(layer):
    """(module in float64, params, inputs), the last two as NumPy."""
    torch.manual_seed(SEED)
    try:
        file = load_module(layer, "INPUTS", "make")
        module = file.make()
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        raise CheckError(f"{layer.name}: {text}") from error
    if not isinstance(module, torch.nn.Module):
        got = type(module).__name__
        raise CheckError(f"make() expected an nn.Module, got {got}")
    inputs = draw_inputs(file.INPUTS, np.random.default_rng(SEED))
    module = module.float()
    params = {
        name: param.detach().numpy().copy()
        for name, param in module.named_parameters()
    }
    clash = sorted(set(params) & set(inputs))
    if clash:
        raise CheckError(f"an input and a parameter are both {clash}")
    return module.double(), params, inputs


def run_torch(module, inputs, cotangent=None):
    """out.y and, given a cotangent, every gradient."""
    xs = {
        n: torch.tensor(x, dtype=torch.float64, requires_grad=True)
        for n, x in inputs.items()
    }
    y = module(*xs.values())
    if not torch.is_tensor(y):
        got = type(y).__name__
        raise CheckError(
            f"torch_layer.py: y expected a tensor, got {got}"
        )
    results = {"out.y": y.detach().numpy()}
    if cotangent is not None:
        moving = xs | dict(module.named_parameters())
        upstream = torch.tensor(cotangent, dtype=torch.float64)
        grads = torch.autograd.grad(
            y, list(moving.values()), upstream, allow_unused=True
        )
        for (name, x), grad in zip(moving.items(), grads):
            grad = torch.zeros_like(x) if grad is None else grad
            results[f"grad.{name}"] = grad.detach().numpy()
    return results


def run_port(framework, port, params, inputs, cotangent):
    arrays = {f"param.{n}": p for n, p in params.items()}
    arrays |= {f"in.{n}": x for n, x in inputs.items()}
    arrays["cotangent.y"] = cotangent
    command = module(
        framework,
        "shared_tests.live.check_port",
        *(framework, port.resolve()),
    )
    try:
        with Child(command) as child:
            child.send(pack({}, arrays), SECONDS)
            message, results = unpack(child.block(SECONDS))
    except (Ended, Silent) as error:
        raise CheckError(f"{port.name}: {error}") from None
    if message:
        raise CheckError(f"{port.name}: {message['error']}")
    return results


class Line(NamedTuple):
    """What became of one array."""

    name: str
    ratio: float  # worst |error| / allowed
    rms: float  # rms error / (u sigma), where sigma is not 0
    word: str  # rounding, bug or no verdict
    elements: list  # texts, the worst first

    @property
    def bug(self):
        return self.word == "bug"


def untold(reference, sigma):
    """(where there is no verdict, why)."""
    unknown = np.isnan(reference)
    if unknown.any():
        return unknown, "PyTorch's own result is NaN"
    with np.errstate(over="ignore", invalid="ignore"):
        known = allowed(sigma, "float32") <= LARGEST["float32"]
    unknown = np.isfinite(reference) & ~known
    return unknown, "rounding can make PyTorch's result NaN or infinite"


def compare(name, value, reference, sigma):
    unknown, why = untold(reference, sigma)
    kept = np.isfinite(reference) & ~unknown
    sigma = np.where(kept, sigma, 0.0)
    if value.shape == reference.shape:
        told = np.where(unknown, 0, value).astype(value.dtype)
        reference = np.where(unknown, 0, reference)
    else:
        told = value
    verdict = judge(told, reference, sigma, "float32")
    if verdict.detail.startswith(("shape", "dtype")):
        return Line(name, np.inf, np.nan, "bug", [verdict.detail])
    ratios = ratio(told, reference, sigma, "float32")
    noisy = (sigma > 0) & np.isfinite(reference)
    units = (told[noisy] - reference[noisy]) / (U * sigma[noisy])
    rms = float(np.sqrt(np.mean(units**2))) if units.size else 0.0
    elements = []
    order = np.argsort(-ratios, axis=None)[:WORST]
    for at in zip(*np.unravel_index(order, ratios.shape)):
        budget = np.broadcast_to(allowed(sigma, "float32"), value.shape)
        elements.append(
            f"{[int(i) for i in at]}: got {told[at]:.9g}, expected"
            f" {reference[at]:.9g}, allowed error {budget[at]:.3g}"
        )
    worst = float(ratios.max(initial=0.0))
    if not verdict.passed:
        return Line(name, worst, rms, "bug", elements)
    if not unknown.any():
        return Line(name, worst, rms, "rounding", elements)
    at = [int(i) for i in np.argwhere(unknown)[0]]
    text = f"{at}: {why}: choose other INPUTS; {int(unknown.sum())}"
    text += f" of {unknown.size} elements are like this"
    return Line(name, worst, rms, "no verdict", [text])


def constant(params):
    """A note on each parameter whose elements are all equal."""
    return [
        f"{name} is {p.flat[0]:g} throughout: a wrong layout stays unseen"
        for name, p in params.items()
        if p.size > 1 and (p == p.flat[0]).all()
    ]


def check(port):
    """(lines, notes) of one port."""
    framework, layer = framework_of(pathlib.Path(port))
    module, params, inputs = prepare(layer)
    try:
        y = run_torch(module, inputs)["out.y"]
        rng = np.random.default_rng(SEED + 1)
        cotangent = rng.standard_normal(y.shape).astype(np.float32)
        references, sigmas = budget.estimate(
            lambda: run_torch(module, inputs, cotangent), SEED
        )
    except (TypeError, ValueError, RuntimeError) as error:
        text = f"{type(error).__name__}: {error}"
        raise CheckError(f"{layer.name}: {text}") from error
    results = run_port(
        framework, pathlib.Path(port), params, inputs, cotangent
    )
    lines = [
        compare(name, results[name], references[name], sigmas[name])
        for name in references
    ]
    return lines, constant(params)


def show(lines, notes, console):
    table = Table("array", "worst / allowed", "rms / sigma", "verdict")
    for line in lines:
        word = "" if line.word == "rounding" else "[bold red]"
        numbers = f"{line.ratio:.3g}", f"{line.rms:.3g}"
        table.add_row(line.name, *numbers, word + line.word)
    console.print(table)
    for line in lines:
        for text in line.elements if line.word != "rounding" else ():
            console.print(f"{line.name} {text}", markup=False)
    for note in notes:
        console.print(f"note: {note}", markup=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("layer")
    args = parser.parse_args()
    torch.set_num_threads(1)
    console = Console()
    try:
        lines, notes = check(args.layer)
    except CheckError as error:
        console.print(f"make check: {error}", markup=False)
        return 2
    show(lines, notes, console)
    words = {line.word for line in lines}
    return 1 if "bug" in words else 2 if "no verdict" in words else 0


if __name__ == "__main__":
    sys.exit(main())

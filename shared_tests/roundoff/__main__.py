"""python -m roundoff torch_layer.py port.py: rounding, or a bug?

torch_layer.py has INPUTS and make() (layer_file.py); port.py has
forward(params, <the inputs>), or make(), which gives an object of its
framework (objects.py). Exit status: 0 rounding, 1 a bug, 2 for wrong
files or no verdict.
"""

import argparse
import json
import pathlib
import sys

from . import layer_file, shares
from .budget import RUNS
from .check import SEED, check
from .errors import CheckError
from .explain import explain
from .foreign import child
from .foreign.asking import framework_by_name
from .layerwise.single_step import single_step
from .maps.suggest import suggest
from .reference import Reference, guarded
from .report import Report, show


def check_files(layer, port, seed=SEED, **options):
    """The Report on a port in a file; options as check has them."""
    layer = pathlib.Path(layer)
    module, inputs = layer_file.read(layer, seed)
    try:
        return check(module, str(port), inputs, seed=seed, **options)
    except CheckError as error:
        text = str(error)
        if text.startswith("module: "):
            text = f"{layer.name}: {text.removeprefix('module: ')}"
        raise CheckError(text) from error


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="python -m roundoff", description=__doc__.split("\n")[0]
    )
    add = parser.add_argument
    add("layer", help="torch_layer.py: INPUTS and make()")
    add("port", help="a file with forward(params, <inputs>) or make()")
    add("--python", help="the interpreter of the port; this one if not")
    add("--framework", help="of the port: jax, tf, mxnet, torch, numpy")
    add("--forward-only", action="store_true", help="no gradients")
    add(
        *("--layers",),
        **dict(nargs="?", const=True, metavar="FILE"),
        help="outputs of submodules too; JSON: {torch path: port's name}",
    )
    add(
        "--single-step",
        action="store_true",
        help="each submodule alone, on PyTorch's inputs; forward only",
    )
    add("--weights", metavar="FILE", help="JSON: the port's names")
    add(
        "--suggest-map",
        action="store_true",
        help="only print a map for --weights, and what it leaves open",
    )
    add("--precision", default="float32", help="that the port works in")
    add(
        "--runs",
        type=int,
        default=RUNS,
        help="that sample the rounding",
    )
    add("--seed", type=int, default=SEED, help="of all that is drawn")
    add("--json", metavar="FILE", help="write the report there as well")
    add(
        *("--explain",),
        **dict(nargs="?", const=True, metavar="FOLDER"),
        help="where the rounding of the outputs comes from; as plots there",
    )
    return parser.parse_args(arguments)


def read_json(path):
    try:
        return json.loads(pathlib.Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckError(f"{path}: {error}") from error


def check_steps(layer, port, seed=SEED, **options):
    """The Report on each submodule of a port in a file, judged alone."""
    module, inputs = layer_file.read(pathlib.Path(layer), seed)
    lines, *left = single_step(
        module, str(port), inputs, seed=seed, **options
    )
    notes = [
        f"not compared: {path} of {side}"
        for side, paths in zip(
            ("PyTorch", "the port"), left, strict=True
        )
        for path in paths
    ]
    return Report(
        lines, notes, options["precision"], options["runs"], seed
    )


def judge(args):
    """Prints the report. Returns: the exit status"""
    layers = args.layers
    options = dict(
        weights=read_json(args.weights) if args.weights else None,
        layers=read_json(layers) if isinstance(layers, str) else layers,
        precision=args.precision,
        runs=args.runs,
        framework=args.framework,
        python=args.python,
    )
    if args.single_step:
        options["layers"] = (
            None if layers is True else options["layers"]
        )
        make = check_steps
    else:
        options["gradients"] = not args.forward_only
        make = check_files
    report = make(args.layer, args.port, args.seed, **options)
    show(report)
    if args.json:
        text = json.dumps(report.to_json(), indent=1, allow_nan=False)
        pathlib.Path(args.json).write_text(text + "\n", "utf-8")
    return report.status


def reference_of(args):
    module, inputs = layer_file.read(
        pathlib.Path(args.layer), args.seed
    )
    return Reference(module, inputs, "float32")


def suggest_map(args):
    """Prints a map as JSON, and what is open to standard error. Returns:
    0 where nothing is, else 2"""
    reference = reference_of(args)
    name = pathlib.Path(args.port).name
    request = {
        "framework": args.framework or framework_by_name(name),
        "params": None,
        "training": reference.module.training,
        "layers": False,
        "precision": "float32",
    }
    holds = child.ask(args.port, request, args.python)["holds"]
    if holds is None:
        raise CheckError(
            f"{name}: forward gets its parameters, under PyTorch's names:"
            " a map is for a port that holds them, with make()"
        )
    found = suggest(reference.params, holds)
    print(json.dumps(found.map, indent=1))
    left = [
        *(
            f"{name} is ambiguous: {' or '.join(map(json.dumps, entries))}"
            for name, entries in found.ambiguous.items()
        ),
        *(f"left over of PyTorch: {n}" for n in found.leftover_torch),
        *(f"left over of the port: {n}" for n in found.leftover_port),
    ]
    for text in left:
        print(text, file=sys.stderr)
    return 2 if left else 0


def show_shares(args):
    """Where the rounding errors of the outputs come from (explain.py)."""
    reference = reference_of(args)
    guarded("module", reference.first_run)
    found = guarded(
        "module",
        lambda: explain(reference.run, args.seed, reference.module),
    )
    outputs = {n: e for n, e in found.items() if n.startswith("out.")}
    for name, explanation in outputs.items():
        print(shares.table(name, explanation))
    if args.explain is not True:
        write_plots(outputs, pathlib.Path(args.explain))


def write_plots(explanations, folder):
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for name, explanation in explanations.items():
            shares.plot(name, explanation, folder / f"{name}.svg")
    except ImportError as error:  # the verdict stands without them
        print(f"roundoff: {error}", file=sys.stderr)


def main(arguments=None):
    args = parse(arguments)
    try:
        if args.suggest_map:
            return suggest_map(args)
        status = judge(args)
        if args.explain:
            show_shares(args)
        return status
    except (CheckError, OSError, TypeError, ValueError) as error:
        print(f"roundoff: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())

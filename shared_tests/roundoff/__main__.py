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

from . import layer_file
from .budget import RUNS
from .check import SEED, check
from .errors import CheckError
from .report import show


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
        "--layers",
        action="store_true",
        help="outputs of submodules too",
    )
    add("--weights", help="JSON: map to the port's names and layouts")
    add("--precision", default="float32", help="float32 or float64")
    add(
        "--runs",
        type=int,
        default=RUNS,
        help="that sample the rounding",
    )
    add("--seed", type=int, default=SEED, help="of all that is drawn")
    add("--json", help="write the report to this file as well")
    return parser.parse_args(arguments)


def read_json(path):
    try:
        return json.loads(pathlib.Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckError(f"--weights {path}: {error}") from error


def run(args):
    weights = read_json(args.weights) if args.weights else None
    report = check_files(
        args.layer,
        args.port,
        args.seed,
        weights=weights,
        gradients=not args.forward_only,
        layers=args.layers or None,
        precision=args.precision,
        runs=args.runs,
        framework=args.framework,
        python=args.python,
    )
    show(report)
    if args.json:
        text = json.dumps(report.to_json(), indent=1, allow_nan=False)
        pathlib.Path(args.json).write_text(text + "\n", "utf-8")
    return report.status


def main(arguments=None):
    args = parse(arguments)
    try:
        return run(args)
    except (CheckError, ValueError) as error:
        print(f"roundoff: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())

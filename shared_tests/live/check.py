"""`make check LAYER=path/jax_port.py`: is your port's error rounding?

LAYER is a port, named jax_port.py, tf_port.py or mxnet_port.py, beside
the torch_layer.py that it has to equal; it runs in our environment of
its framework. docs/check.md has an example, and the command for other
interpreters. Exit status: 0 rounding, 1 bug, 2 for wrong files or no
verdict.
"""

import argparse
import pathlib
import sys

import torch

from shared_tests.environments import environment_error, python_of
from shared_tests.roundoff.__main__ import check_files
from shared_tests.roundoff.errors import CheckError
from shared_tests.roundoff.report import compare, constant, show

__all__ = ["check", "compare", "constant", "main"]

FRAMEWORKS = ("jax", "tf", "mxnet")


def framework_of(port):
    names = {
        f"{framework}_port.py": framework for framework in FRAMEWORKS
    }
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


def report(port):
    """The Report on one port."""
    port = pathlib.Path(port)
    framework, layer = framework_of(port)
    return check_files(layer, port, python=python_of(framework))


def check(port):
    """(lines, notes) of one port."""
    found = report(port)
    return found.lines, found.notes


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("layer")
    args = parser.parse_args()
    torch.set_num_threads(1)
    try:
        found = report(args.layer)
    except CheckError as error:
        print(f"make check: {error}")
        return 2
    show(found)
    return found.status


if __name__ == "__main__":
    sys.exit(main())

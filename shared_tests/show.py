"""`make show CASE=Linear-basic`: what a committed fixture holds.

The case's reason, flags and config, then its arrays: shape, dtype, first
numbers, and for a reference the error that verdict.py allows in float32,
16 u sigma + tiny, in its worst and its median element. A layer's name
lists its cases. Exit status: 2 for a case that does not exist, 1 for a
fixture that is missing or damaged.
"""

import argparse
import sys

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared_tests.cases import CASES
from shared_tests.fixture_files import (
    FixtureError,
    check_manifest,
    read_fixture,
    read_manifest,
)
from shared_tests.run import group, runs
from shared_tests.selection import close
from shared_tests.verdict import budget

FIRST = 4  # numbers of an array
PIPED = 120  # columns, where there is no terminal
KINDS = {
    "in": "cyan",
    "param": "magenta",
    "cotangent": "blue",
    "ref": "green",
}


def find(word):
    """The case called that, or the cases of the layer called that."""
    exact = [case for case in CASES if case.id == word]
    return exact or [case for case in CASES if case.layer == word]


def unknown(word):
    """What to say of a word that is no case; names what there is."""
    layers = list(dict.fromkeys(case.layer for case in CASES))
    said = "make show CASE=Linear-basic"
    if word:
        near = close(word, [*(case.id for case in CASES), *layers])
        said = f"no case and no layer is called {word!r}{near}"
    known = "CASE is one of these layers, or one of its cases:"
    return f"{said}\n\n{known} {', '.join(layers)}"


def list_cases(console, cases):
    table = Table(title=f"cases of {cases[0].layer}", box=None)
    table.add_column("case", style="bold", no_wrap=True)
    table.add_column("why it is there")
    table.add_column("flags", style="dim")
    for case in cases:
        flags = " ".join(sorted(case.flags))
        table.add_row(case.id, case.reason, flags)
    console.print(table)
    console.print(f"make show CASE={cases[0].id}", highlight=False)


def numbers(array):
    """The first numbers of an array, in columns."""
    floating = array.dtype.kind == "f"
    shown = [
        f"{x:.4g}" if floating else str(x)
        for x in array.ravel()[:FIRST].tolist()
    ]
    more = " ..." if array.size > FIRST else ""
    return "".join(f"{text:>11}" for text in shown) + more


def allowed(reference, sigma):
    """Worst and median allowed error in float32."""
    if reference.dtype.kind in "iub":
        return "equal", "equal"
    if not reference.size:
        return "", ""
    error = budget(sigma, "float32")
    return f"{error.max():.1e}", f"{np.median(error):.1e}"


def array_table(fixture):
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("array", "shape", "dtype", "first numbers"):
        table.add_column(name, no_wrap=True, vertical="bottom")
    table.add_column("allowed error:\nworst", justify="right")
    table.add_column("\nmedian", justify="right")
    sigma = group(fixture, "sigma")
    for kind, style in KINDS.items():
        for name, array in sorted(group(fixture, kind).items()):
            cells = [str(array.shape), array.dtype.name, numbers(array)]
            if kind == "ref":
                cells += allowed(array, sigma[name])
            table.add_row(Text(f"{kind}.{name}", style), *cells)
    return table


def how_it_is_run(case):
    """Its precisions and modes, and two ways to run it, to copy."""
    every = {}
    for other, precision, mode in runs():
        if other.id == case.id:
            every.setdefault(mode, []).append(precision)
    modes = [f"{mode:9} {', '.join(p)}" for mode, p in every.items()]
    listed = "\n".join(modes)
    test = f"test_within_budget[{case.id}-float32]"
    path = f"shared_tests/fixtures/{case.fixture}.safetensors"
    return f"""\
{listed}

.venv/jax/bin/python -m pytest --framework=jax \\
    "shared_tests/layers/test_layers.py::{test}"

.venv/jax/bin/python
from safetensors.numpy import load_file
from jax_impl.adapter import build, run
from shared_tests.run import group
a = load_file("{path}")
layer = build("{case.layer}", {case.config}, group(a, "param"), "float32")
run(layer, group(a, "in"), group(a, "cotangent"))"""


def show(console, case):
    manifest = read_manifest()
    fixture = read_fixture(case, manifest)
    console.print(Text.assemble((case.id, "bold"), f"  {case.reason}"))
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    facts.add_row("flags", " ".join(sorted(case.flags)))
    facts.add_row("config", str(case.config) if case.config else "none")
    if case.like:
        facts.add_row("numbers", f"those of {case.like}")
    console.print(facts)
    console.print(array_table(fixture))
    console.print(
        "allowed error: 16 u sigma + tiny, in float32; "
        "a worse one is a bug, not rounding",
        style="dim",
        highlight=False,
    )
    console.print("\nhow it is run", style="bold")
    text = how_it_is_run(case)
    console.print(text, markup=False, highlight=False, soft_wrap=True)
    try:
        check_manifest(manifest)
    except FixtureError as error:
        said = f"\nbut {error}"
        console.print(said, style="red", markup=False, soft_wrap=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("case")
    word = parser.parse_args().case
    console = Console()
    if not console.is_terminal:
        console.width = PIPED
    cases = find(word)
    if not cases:
        print(unknown(word), file=sys.stderr)
        return 2
    if cases[0].id != word:
        list_cases(console, cases)
        return 0
    try:
        show(console, cases[0])
    except FixtureError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

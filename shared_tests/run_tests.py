"""`make test-all`: pytest in every environment, one table.

Exit status 0 only if every environment exists, ran at least one test, and
nothing failed or was skipped; 2 for a word that stands for nothing.

--frameworks runs only those environments, --layer only the tests whose
name, file or case has one of its words (pytest -k). Of a part, not every
environment needs to have a test, but one has to. The table says that it
is a part.
"""

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

from rich.console import Console
from rich.table import Table

from shared_tests.environments import (
    ENVIRONMENTS,
    FRAMEWORKS,
    ONE_THREAD,
    environment_error,
)
from shared_tests.files import ROOT, shown, write
from shared_tests.fixture_files import FIXTURES
from shared_tests.machine import machine, sentence
from shared_tests.parity import Framework
from shared_tests.processes import finish, how_it_ended, module
from shared_tests.run import runs
from shared_tests.selection import (
    Unknown,
    cases_of,
    chosen,
    described,
    words,
)

COUNTS = ("ran", "failed", "skipped")
# in the order of their time, so that no long one is left for the end
LONGEST = ("jax", "pytorch", "tf", "mxnet", "triton", "tools")
NO_TEST = 5  # pytest's exit status where none was selected


class Busy(Exception):
    """Another run has the folder of the reports."""


@contextlib.contextmanager
def alone():
    """For as long as this process has build/tests/ for itself; the lock
    is on the folder, and goes with the process. Raises: Busy"""
    folder = ROOT / "build" / "tests"
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(
                "another one runs in this checkout, and writes to"
                f" {shown(folder)}/: wait for its end"
            ) from None
        yield
    finally:
        os.close(descriptor)


def read_counts(path):
    """{"ran", "failed", "skipped"} from a JUnit XML file of pytest."""
    suites = ElementTree.parse(path).getroot().iter("testsuite")
    totals = dict.fromkeys(COUNTS, 0)
    for suite in suites:
        number = {k: int(v) for k, v in suite.items() if v.isdigit()}
        totals["skipped"] += number["skipped"]
        totals["failed"] += number["failures"] + number["errors"]
        totals["ran"] += number["tests"] - number["skipped"]
    return totals


def keyword(layer):
    """What -k takes, which finds each word in file and test names."""
    for word in words(layer):
        cases_of(word)  # raises Unknown
    return " or ".join(word.split("/")[-1] for word in words(layer))


def pytest_command(framework, *options):
    return module(framework, "pytest", "--color=no", *options)


def held(framework, folder):
    """pytest's option that names the runs whose rows make parity keeps:
    the very judging that test_within_budget does, so it need not again.
    None in CI, where everything is computed."""
    if framework not in FRAMEWORKS or os.environ.get("CI"):
        return ()
    kept = Framework(framework, runs(), FIXTURES, fresh=False).kept
    path = folder / f"{framework}-kept.json"
    write(path, json.dumps(sorted(kept)))
    return ("--kept", str(path))


async def run_pytest(framework, slots, console, layer=""):
    """(counts, what went wrong or "") of one environment."""
    none = dict.fromkeys(COUNTS, 0)
    error = environment_error(framework)
    if error:
        return none, error
    folder = ROOT / "build" / "tests"
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / f"{framework}.xml"
    report.unlink(missing_ok=True)
    async with slots:
        console.print(f"{framework}: running", style="dim")
        begin = time.monotonic()
        options = f"--framework={framework}", f"--junitxml={report}"
        options += ("-k", keyword(layer)) if layer else ()
        options += held(framework, folder)
        code, output = await asyncio.to_thread(
            finish,
            pytest_command(framework, *options, "shared_tests"),
            env=ONE_THREAD | os.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    seconds = time.monotonic() - begin
    text = output.decode(errors="replace").strip()
    last = text.splitlines()[-1] if text else "no output"
    console.print(
        f"{framework}: {text if code else last}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    how = f"pytest ended with {how_it_ended(code)}: {last}"
    if not report.exists():
        return none, how
    try:
        counts = read_counts(report)
    except ElementTree.ParseError as error:
        return none, f"{shown(report)} is damaged ({error}); {how}"
    if layer and code == NO_TEST:
        return counts, ""
    if code and not counts["failed"]:
        return counts, how
    if not counts["ran"]:
        return counts, f"ran no test in {seconds:.0f} s"
    return counts, ""


async def run_all(console, environments=ENVIRONMENTS, layer=""):
    slots = asyncio.Semaphore(os.cpu_count() or 1)
    order = sorted(environments, key=LONGEST.index)
    answers = await asyncio.gather(
        *(run_pytest(fw, slots, console, layer) for fw in order)
    )
    found = dict(zip(order, answers))
    return {framework: found[framework] for framework in environments}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--layer", default="")
    parser.add_argument("--frameworks", default="")
    args = parser.parse_args()
    try:
        keyword(args.layer)
        environments = chosen(
            "FRAMEWORKS", args.frameworks, ENVIRONMENTS
        )
    except Unknown as error:
        print(error, file=sys.stderr)
        return 2
    part = described(
        {"LAYER": args.layer, "FRAMEWORKS": args.frameworks}
    )
    console = Console()
    layer = " ".join(words(args.layer))
    try:
        with alone():
            answers = asyncio.run(run_all(console, environments, layer))
    except Busy as error:
        print(f"make test-all: {error}", file=sys.stderr)
        return 1
    return report(console, answers, part)


def report(console, answers, part=""):
    """The table and the closing line; the exit status."""
    title = f"tests: only a part, {part}" if part else "tests"
    table = Table(title=title)
    table.add_column("environment")
    for name in COUNTS:
        table.add_column(name, justify="right")
    table.add_column("missing")
    for framework, (counts, wrong) in answers.items():
        numbers = [str(counts[name]) for name in COUNTS]
        table.add_row(framework, *numbers, wrong)
    console.print(table)
    console.print(
        f"on {sentence(machine())}",
        style="dim",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    total = {n: sum(c[n] for c, _ in answers.values()) for n in COUNTS}
    missing = [fw for fw, (_, wrong) in answers.items() if wrong]
    passed = total["ran"] - total["failed"]
    print(
        f"{f'only a part, {part}: ' if part else ''}"
        f"{passed} passed, {total['failed'] + len(missing)} failed, "
        f"{total['skipped']} skipped"
    )
    if not total["ran"]:
        print("no test was run: expected at least one")
    bad = total["failed"] or total["skipped"] or missing
    bad = bad or not total["ran"]
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

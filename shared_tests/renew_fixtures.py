"""`make fixtures` and `make fixtures-check`: fixtures/ from cases.py.

python -m shared_tests.renew_fixtures            rewrite fixtures/
    --cases PACT-tie,LSQ-basic                   these; the others stay
python -m shared_tests.renew_fixtures --check    compute and compare
    --seed N --output DIR                        other numbers, elsewhere
"""

import argparse
import math
import pathlib
import sys

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from pytorch_impl import adapter
from shared_tests import budget, fixture_files
from shared_tests.cases import CASES
from shared_tests.fixture_files import (
    FIXTURES,
    FixtureError,
    check_manifest,
    check_place,
    read_fixture,
    read_manifest,
    write_fixtures,
)
from shared_tests.make_fixtures import SEED, make_fixture
from shared_tests.verdict import judge


def compare(case, old, new):
    """What differs between a committed fixture and a fresh one.

    Inputs equal, references within their own float64 budget, sigma within
    six standard errors of a spread that is estimated from RUNS samples.
    """
    if old.keys() != new.keys():
        return [f"{case.id}: arrays {sorted(old.keys() ^ new.keys())}"]
    wrong = []
    for key in new:
        kind, name = key.split(".", 1)
        if kind == "ref":
            sigma = new[f"sigma.{name}"]  # the one that is no claim
            verdict = judge(old[key], new[key], sigma, "float64")
            if not verdict.passed:
                wrong.append(f"{case.id} {key}: {verdict.detail}")
        elif kind.startswith("sigma"):
            wrong += compare_sigma(
                f"{case.id} {key}", old[key], new[key]
            )
        elif not np.array_equal(old[key], new[key]):
            wrong.append(f"{case.id} {key}: the drawn numbers differ")
    return wrong


def compare_sigma(what, old, new):
    """Nothing, or that they differ, and in what."""
    if old.shape != new.shape:
        return [f"{what}: shape {old.shape}, now {new.shape}"]
    for word, sigma in (("was", old), ("is now", new)):
        bad = ~np.isfinite(sigma) | (sigma < 0)
        if bad.any():
            return [f"{what}: an element {word} {sigma[bad].flat[0]}"]
    if not np.array_equal(old > 0, new > 0):
        return [f"{what}: exact elements differ"]
    if not (old > 0).any():
        return []
    spread = [
        math.log(np.sum(np.square(s, dtype=float))) for s in (old, new)
    ]
    # of the log of two variances
    error = math.sqrt(2 * 2 / budget.RUNS)
    if abs(spread[0] - spread[1]) > 6 * error:
        return [
            f"{what}: variance ratio {math.exp(spread[1] - spread[0])}"
        ]
    return []


def rows_of(names):
    """The cases that have these names, all without any."""
    own = {case.id: case for case in CASES if not case.like}
    known = {case.id: case.fixture for case in CASES}
    for name in names:
        if name not in known:
            text = f"CASE expected the name of a case, got {name!r}"
            raise FixtureError(f"{text}: such as {next(iter(own))}")
    chosen = {known[name] for name in names} or set(own)
    return [case for name, case in own.items() if name in chosen]


def kept(renewed, folder):
    """(seed, {case id: entry}) of the fixtures that stay.

    Only while what makes numbers is as it was when they were made.
    """
    manifest = read_manifest(folder)
    if manifest["makers"] != fixture_files.maker_digests():
        text = "the code that makes fixtures changed: make all of them"
        raise FixtureError(f"{text}, `make fixtures` without CASE")
    own = {case.id for case in CASES if not case.like}
    stay = own - {case.id for case in renewed}
    entries = {
        name: entry
        for name, entry in manifest["cases"].items()
        if name in stay
    }
    return manifest["seed"], entries


def renew(rows, seed, folder, keep=None):
    check_place(folder)
    arrays = {case.id: make_fixture(case, seed) for case in rows}
    write_fixtures(arrays, seed, adapter.versions(), folder, keep or {})
    return len(arrays)


def differences(rows, folder):
    """What is wrong with the fixtures of these cases, in sentences."""
    manifest = read_manifest(folder)
    check_manifest(manifest)
    wrong = []
    for case in rows:
        old = read_fixture(case, manifest, folder)
        new = make_fixture(case, manifest["seed"])
        wrong += compare(case, old, new)
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--cases", default="")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--output", type=pathlib.Path, default=FIXTURES)
    args = parser.parse_args()
    torch.set_num_threads(1)  # small arrays: a second gets in the way
    console = Console(stderr=True)
    names = [name for name in args.cases.split(",") if name]
    try:
        rows = rows_of(names)
        shown = track(rows, "fixtures", console=console, transient=True)
        if args.check:
            wrong = differences(shown, args.output)
        else:
            seed, keep = args.seed, {}
            if names:
                seed, keep = kept(rows, args.output)
            count = renew(shown, seed, args.output, keep)
            print(f"wrote {count} fixtures to {args.output}")
            return 0
    except FixtureError as error:
        wrong = [str(error)]
    for line in wrong:
        print(line)
    if wrong and args.check:
        print("the fixtures are stale: run `make fixtures`")
    elif not wrong:
        print(f"{len(rows)} fixtures are what the reference computes")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

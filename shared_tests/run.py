"""The parity run of one framework, in that framework's own environment.

python -m shared_tests.run jax [--fixtures DIR] [--share DIR] [--device cuda]

Every case in every precision, eager and, where the case says so, compiled,
is judged against its fixture. Several processes may share the runs of one
framework: each takes from a folder, which parity.py fills, the first name
of a run that is left, until none is. Progress and results leave as JSON
lines on standard output, which parity.py reads:
    {"event": "hello", "total", "versions", "sources"}
    {"event": "start", "case", "mode", "precision"}     before each run
    {"event": "row", ...}                               a row of the report
    {"event": "end", "run", "seconds"}                  after each run
    {"event": "error", "message"}                       cannot go on
    {"event": "done"}
"""

import argparse
import importlib
import json
import math
import os
import pathlib
import sys
import time

import numpy as np

from shared_tests.cases import CASES
from shared_tests.files import ROOT, sha256
from shared_tests.fixture_files import (
    FIXTURES,
    FixtureError,
    asked_of,
    check_manifest,
    read_fixture,
    read_manifest,
)
from shared_tests.verdict import failed, judge


def precisions(case):
    """float64 first: a wrong formula shows there without any rounding."""
    if "low_precision" in case.flags:
        return ("float64", "float32", "bfloat16", "float16")
    return ("float64", "float32")


def runs():
    """(case, precision, mode) of everything a framework has to show."""
    return [
        (case, precision, mode)
        for case in CASES
        for precision in precisions(case)
        for mode in ("eager", "compiled")
        if mode == "eager" or "compiled" in case.flags
    ]


def run_name(case, precision, mode):
    return f"{case.id}.{precision}.{mode}"


def take(share):
    """Yields (case, precision, mode), each one as it is taken.

    To take a run is to remove its file, which only one process can.
    """
    for one in runs():
        try:
            os.unlink(share / run_name(*one))
        except FileNotFoundError:
            continue
        yield one


def group(fixture, kind):
    """{name: array} of one kind of key, such as in, param or ref."""
    head = f"{kind}."
    return {
        key.removeprefix(head): array
        for key, array in fixture.items()
        if key.startswith(head)
    }


def sigmas(fixture, precision):
    low = precision in ("bfloat16", "float16")
    return group(fixture, f"sigma_{precision}" if low else "sigma")


def computed(adapter, case, precision, mode, fixture, device="cpu"):
    """{array: ndarray}: what the framework makes of one case."""
    # of the adapters only two know of devices
    where = {} if device == "cpu" else {"device": device}
    inputs = group(fixture, "in")
    if "non_contiguous" in case.flags:
        inputs = {n: np.asfortranarray(x) for n, x in inputs.items()}
    params = group(fixture, "param")
    built = adapter.build(
        case.layer, case.config, params, precision, **where
    )
    if case.training:
        return adapter.train(built, inputs, **case.training)
    cotangents = group(fixture, "cotangent") or None
    return adapter.run(built, inputs, cotangents, mode == "compiled")


def judge_run(adapter, case, precision, mode, fixture, device="cpu"):
    """{array: Verdict} of one case in one precision and mode.

    A NumPy layout, a missing array, an unexpected one, one without its
    reference and an exception of the framework are verdicts too: nothing
    that goes wrong is left out, and no fixture makes it fewer.
    """
    names = [*asked_of(case, fixture)]
    try:
        results = computed(
            adapter, case, precision, mode, fixture, device
        )
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        return {name: failed(text) for name in names}
    names += sorted(set(results) - set(names))
    references = group(fixture, "ref")
    sigma = sigmas(fixture, precision)
    verdicts = {}
    for name in names:
        if name not in results:
            verdicts[name] = failed("missing from the result")
        elif name not in references:
            verdicts[name] = failed("has no reference")
        elif name not in sigma:
            verdicts[name] = failed("has no sigma")
        else:
            verdicts[name] = judge(
                results[name], references[name], sigma[name], precision
            )
    return verdicts


def kind(case, array, kinds):
    """output, input_grad, param_grad, trained or integer."""
    if array in kinds:
        return kinds[array]
    side, _, name = array.partition(".")
    if side in ("out", "trained"):
        return "output" if side == "out" else "trained"
    return "input_grad" if name in case.inputs else "param_grad"


def rows(
    framework, adapter, case, precision, mode, fixture, device="cpu"
):
    """The report's rows of one run; one an array."""
    references = group(fixture, "ref")
    kinds = asked_of(case, fixture)
    compiled = mode == "compiled"
    reason = adapter.unsupported(case.layer, precision, compiled)
    verdicts = {}
    if not reason:
        verdicts = judge_run(
            adapter, case, precision, mode, fixture, device
        )
    for array in verdicts or kinds:
        verdict = verdicts.get(array)
        reference = references.get(array)
        size = 0 if reason or reference is None else reference.size
        row = {
            "framework": framework,
            "layer": case.layer,
            "case": case.name,
            "mode": mode,
            "precision": precision,
            "array": array,
            "kind": kind(case, array, kinds),
            "elements": int(size),
        }
        if reason:
            row |= {
                "ratio": None,
                "verdict": "unsupported",
                "detail": reason,
            }
        else:
            number = (
                verdict.ratio if math.isfinite(verdict.ratio) else None
            )
            word = "pass" if verdict.passed else "fail"
            row |= {
                "ratio": number,
                "verdict": word,
                "detail": verdict.detail,
            }
        yield row


def sources(framework):
    """SHA-256 of every file of this repo that the run has imported."""
    own = [ROOT / f"{framework}_impl", ROOT / "shared_tests"]
    named = [getattr(m, "__file__", None) for m in sys.modules.values()]
    paths = {pathlib.Path(name) for name in named if name}
    return {
        path.relative_to(ROOT).as_posix(): sha256(path.read_bytes())
        for path in sorted(paths)
        if any(path.is_relative_to(folder) for folder in own)
    }


def run(framework, fixtures, emit, share=None, device="cpu"):
    """Everything one framework has to show, or its share of that; emit
    takes one dict a call."""
    try:
        manifest = read_manifest(fixtures)
        check_manifest(manifest)
        adapter = importlib.import_module(f"{framework}_impl.adapter")
        emit(
            event="hello",
            total=len(runs()),
            versions=adapter.versions(),
            sources=sources(framework),
        )
        fixture = {}
        todo = take(share) if share else runs()
        for case, precision, mode in todo:
            begin = time.monotonic()
            if case.id not in fixture:
                fixture = {
                    case.id: read_fixture(case, manifest, fixtures)
                }
            emit(
                event="start",
                case=case.id,
                mode=mode,
                precision=precision,
            )
            for row in rows(
                framework,
                adapter,
                case,
                precision,
                mode,
                fixture[case.id],
                device,
            ):
                emit(event="row", **row)
            emit(
                event="end",
                run=run_name(case, precision, mode),
                seconds=round(time.monotonic() - begin, 3),
            )
    except (FixtureError, ImportError) as error:
        emit(event="error", message=f"{type(error).__name__}: {error}")
        return 1
    emit(event="done")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("framework")
    parser.add_argument(
        "--fixtures", type=pathlib.Path, default=FIXTURES
    )
    parser.add_argument("--share", type=pathlib.Path)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    # libraries may print: only JSON lines may reach the real stdout
    with os.fdopen(os.dup(1), "w") as events:
        os.dup2(2, 1)

        def emit(**event):
            events.write(json.dumps(event, allow_nan=False) + "\n")
            events.flush()

        return run(
            args.framework, args.fixtures, emit, args.share, args.device
        )


if __name__ == "__main__":
    sys.exit(main())

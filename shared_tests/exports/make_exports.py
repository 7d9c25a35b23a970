"""`make export`: write every layer in every format, run it elsewhere.

python -m shared_tests.exports.make_exports [--layer A,B] [--frameworks F]

The authors (author.py) write build/exports/<framework>/, each in its own
environment, the engines (engine.py) run what is there, as many processes
at once as there are cores. All rows are judged against what is known
(judging.py) and go to build/exports/results.json, index.html and the
terminal; those of a part to build/exports-part/. Exit status 0 only if
every row passed or is known not to; an environment that is missing, a
process that ends early and a file that nothing ran are failures.
"""

import argparse
import concurrent.futures
import json
import os
import subprocess
import sys
import time

from rich.console import Console

from shared_tests import environments, selection
from shared_tests.environments import FRAMEWORKS
from shared_tests.exports import judging, report
from shared_tests.exports.artefacts import CHOSEN, Artefact, artefacts
from shared_tests.exports.engine import ENGINES, OF_FORMAT
from shared_tests.files import ROOT, write
from shared_tests.machine import machine, sentence
from shared_tests.processes import Child, Ended, Silent, finish, module

FOLDER = ROOT / "build" / "exports"
SECONDS = 300  # for one file; none here takes a tenth of that
FORMATS = {
    "pytorch": ("torch_export", "onnx", "torchscript"),
    "jax": ("stablehlo", "onnx"),
    "tf": ("saved_model", "onnx", "litert"),
    "mxnet": ("symbol", "onnx"),
}
# environments with what an exporter needs besides its framework
AUTHORS = {("jax", "onnx"): "jax2onnx", ("tf", "onnx"): "tf2onnx"}
LIBRARIES = (
    *("torch", "onnx", "onnxscript", "onnxruntime", "openvino"),
    *("ai-edge-litert", "jax", "jaxlib", "flax", "jax2onnx"),
    *("tensorflow-cpu", "keras", "tf2onnx", "mxnet", "numpy"),
)


def answers(command, log):
    """What a process says, line by line; then how it ended, if badly."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with Child(command, log=log) as child:
        while True:
            try:
                yield json.loads(child.line(SECONDS))
            except Ended as end:
                if end.code:
                    raise
                return


def written(framework, formats, layers, folder):
    """(rows of author.py, what is wrong)"""
    place = AUTHORS.get((framework, *formats), framework)
    wrong = environments.environment_error(place)
    if wrong:
        return [], [f"{framework} {','.join(formats)}: {wrong}"]
    command = module(
        place,
        "shared_tests.exports.author",
        framework,
        str(folder / framework),
        ",".join(formats),
        *layers,
    )
    log = folder / f"{framework}-{'-'.join(formats)}.log"
    found, wrong = [], []
    try:
        for row in answers(command, log):
            found.append({"framework": framework} | row)
    except (Ended, Silent) as error:
        wrong = [f"{framework} {','.join(formats)}: {error}"]
    return found, wrong


def ran(engine, framework, jobs, folder):
    """(rows of engine.py, what is wrong)"""
    place = ENGINES[engine]
    wrong = environments.environment_error(place)
    if wrong:
        return [], [f"{engine}: {wrong}"]
    path = folder / f"{engine}-{framework}.jobs"
    write(path, "".join(f"{json.dumps(job)}\n" for job in jobs))
    command = module(
        place,
        "shared_tests.exports.engine",
        engine,
        str(folder / framework),
        str(path),
    )
    found, wrong = [], []
    try:
        for row in answers(command, path.with_suffix(".log")):
            found.append(row)
    except (Ended, Silent) as error:
        wrong = [f"{engine} of {framework}: {error}"]
    left = {key(job) for job in jobs} - {key(row) for row in found}
    wrong += [
        f"{engine} ran nothing of {' '.join(k)}" for k in sorted(left)
    ]
    return found, wrong


def key(row):
    return tuple(
        row[k] for k in ("framework", "format", *Artefact._fields)
    )


def unwritten(row):
    """A row for each engine of a file that there is none of."""
    word = "refused" if "refused" in row else "fail"
    for engine in OF_FORMAT[row["format"]]:
        more = {"size": "export", "ratio": None, "verdict": word}
        detail = row.get("refused") or row["failed"]
        yield row | more | {"engine": engine, "detail": detail}


def all_rows(frameworks, layers, folder):
    """(rows, what is wrong), of all authors and then of all engines."""
    cores = len(os.sched_getaffinity(0))
    with concurrent.futures.ThreadPoolExecutor(cores) as pool:

        def gather(function, tasks):
            each = [pool.submit(function, *task) for task in tasks]
            parts = [one.result() for one in each]
            rows = [row for part, _ in parts for row in part]
            return rows, [line for _, part in parts for line in part]

        tasks = [
            (framework, (fmt,), layers, folder)
            for framework in frameworks
            for fmt in FORMATS[framework]
        ]
        # the slowest ones first
        tasks.sort(key=lambda task: task[1] != ("onnx",))
        files, wrong = gather(written, tasks)
        wrong += missing(files, frameworks, layers)
        jobs = {}
        for row in files:
            for engine in (
                OF_FORMAT[row["format"]] if "path" in row else ()
            ):
                place = engine, row["framework"]
                jobs.setdefault(place, []).append(row)
        more = [
            (*place, found, folder) for place, found in jobs.items()
        ]
        rows, late = gather(ran, more)
    rows += [
        r for row in files if "path" not in row for r in unwritten(row)
    ]
    return in_order(rows), wrong + late


def missing(files, frameworks, layers):
    """What an author left out, in words."""
    want = {
        (framework, fmt, *artefact)
        for framework in frameworks
        for fmt in FORMATS[framework]
        for artefact in artefacts(layers)
    }
    left = want - {key(row) for row in files}
    return [
        f"nothing was written of {' '.join(k)}" for k in sorted(left)
    ]


def in_order(rows):
    layers = list(CHOSEN)

    def place(row):
        framework = FRAMEWORKS.index(row["framework"])
        formats = FORMATS[row["framework"]].index(row["format"])
        return (
            layers.index(row["layer"]),
            framework,
            formats,
            row["engine"],
        )

    return sorted(rows, key=place)


def versions(frameworks):
    """{environment: {library: version}}"""
    program = (
        "import importlib.metadata as m, json, sys\n"
        "found = {d.metadata['Name']: d.version for d in m.distributions()}\n"
        "print(json.dumps({n: found[n] for n in sys.argv[1:] if n in found}))"
    )
    found = {}
    for place in (*frameworks, *set(AUTHORS.values()), "exports"):
        if not environments.environment_error(place):
            python = environments.python_of(place)
            command = [python, "-c", program, *LIBRARIES]
            _, said = finish(command, stdout=subprocess.PIPE)
            found[place] = json.loads(said)
    return found


def main():
    parser = argparse.ArgumentParser(prog="make export")
    parser.add_argument("--layer", default="")
    parser.add_argument("--frameworks", default="")
    args = parser.parse_args()
    try:
        names = selection.chosen(
            "FRAMEWORKS", args.frameworks, FRAMEWORKS
        )
        layers = selection.chosen("LAYER", args.layer, list(CHOSEN))
    except selection.Unknown as error:
        print(error, file=sys.stderr)
        return 2
    asked = dict(LAYER=args.layer, FRAMEWORKS=args.frameworks)
    part = selection.described(asked)
    folder = FOLDER.with_name("exports-part") if part else FOLDER
    console, begin = Console(), time.monotonic()
    if not console.is_terminal:  # a log has room for all columns
        console = Console(width=200)
    console.print("writing and running the files; a few minutes")
    rows, wrong = all_rows(names, layers, folder)
    rows, more, unused = judging.judged(rows)
    wrong += more
    if not part:
        wrong += [
            f"KNOWN has a row that nothing needs: {k}" for k in unused
        ]
    results = {
        "schema": 1,
        "part": part,
        "machine": sentence(machine()),
        "versions": versions(names),
        "wrong": wrong,
        "rows": rows,
    }
    write(folder / "results.json", json.dumps(results, indent=1))
    write(folder / "index.html", report.html(results))
    report.print_report(results, console)
    page = os.path.relpath(folder / "index.html")
    seconds = time.monotonic() - begin
    console.print(
        f"{page} has the details; {seconds:.0f} s", style="dim"
    )
    return 0 if report.succeeded(results) else 1


if __name__ == "__main__":
    sys.exit(main())

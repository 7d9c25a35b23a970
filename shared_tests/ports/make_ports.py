"""`make ports`: every part of the bed, build/ports/results.json, the page.

python -m shared_tests.ports.make_ports [--names bert,gpt2] [--fresh]

A name is one of a part ("bert": in every part that has it) or a part
("faults"). Each item, a family or a model, is run by a worker in
.venv/ports; one that crashes or hangs loses that item only. Its rows are
kept in build/ports/rows/ with the digest of the code that made them, so
that a run that was interrupted goes on. results.json and docs/ports.md
are written anew from all rows after each part.
"""

import argparse
import importlib
import json
from datetime import date
from typing import NamedTuple

from rich.progress import Progress

from shared_tests import environments, files
from shared_tests.files import ROOT
from shared_tests.machine import machine
from shared_tests.ports import report
from shared_tests.processes import Child, Ended, Silent, module

FOLDER = ROOT / "build" / "ports"
RESULTS = FOLDER / "results.json"
SECONDS = 1200  # for one item; nothing here takes half of that
OLD_KERAS = {"TF_USE_LEGACY_KERAS": "1"}  # transformers' TF models
NEW_KERAS = {"KERAS_BACKEND": "jax", "TF_USE_LEGACY_KERAS": "0"}


class Part(NamedTuple):
    module: str
    settings: dict


PARTS = {
    "families": Part("pairs", OLD_KERAS),
    "faults": Part("faults", OLD_KERAS),
}


def names_of(part):
    found = f"shared_tests.ports.{PARTS[part].module}"
    return importlib.import_module(found).NAMES


def chosen(words):
    """[(part, name)] of what is asked for; all where nothing is.

    Raises: ValueError for a word that no part knows
    """
    every = [(p, name) for p in PARTS for name in names_of(p)]
    unknown = set(words) - {word for item in every for word in item}
    if unknown:
        raise ValueError(
            "make ports: NAMES expected parts"
            f" ({', '.join(PARTS)}) or names of theirs, got"
            f" {', '.join(sorted(unknown))}"
        )
    return [item for item in every if not words or {*item} & {*words}]


def digest():
    """Of the code that makes rows: the bed without its report."""
    here = ROOT / "shared_tests"
    paths = [*here.glob("ports/*.py"), *here.glob("roundoff/*.py")]
    paths += [here / "ports" / "requirements.txt"]
    paths += (ROOT / "docs" / "ports").glob("*.py")
    return files.sha256(
        b"".join(
            path.read_bytes()
            for path in sorted(paths)
            if not path.name.startswith(("test_", "report", "make_"))
        )
    )


def path_of(part, name):
    return FOLDER / "rows" / part / f"{name}.json"


def kept(part, name, code):
    """What an earlier run of the same code found, or None."""
    path = path_of(part, name)
    if not path.exists():
        return None
    found = json.loads(path.read_text())
    return found if found["digest"] == code else None


def answers_of(part, names):
    """Each name with its worker's answer; a dead worker gets a heir."""
    todo = list(names)
    while todo:
        words = [w for n in todo for w in (PARTS[part].module, n)]
        command = module("ports", "shared_tests.ports.worker", *words)
        log = FOLDER / f"{part}.log"
        with Child(command, env=PARTS[part].settings, log=log) as child:
            alive = True
            while todo and alive:
                try:
                    found = json.loads(child.line(SECONDS))
                except (Ended, Silent) as error:
                    alive = False
                    found = dict(rows=[], error=str(error), seconds=0)
                yield todo.pop(0), found


def run_all(items, code, fresh=False):
    """Run what is not kept, part by part."""
    with Progress() as progress:
        for part in dict.fromkeys(p for p, _ in items):
            names = [n for p, n in items if p == part]
            todo = [
                n for n in names if fresh or not kept(part, n, code)
            ]
            task = progress.add_task(part, total=len(names))
            progress.advance(task, len(names) - len(todo))
            for name, found in answers_of(part, todo):
                about = dict(
                    part=part,
                    name=name,
                    digest=code,
                    date=date.today().isoformat(),
                )
                text = json.dumps(about | found, indent=1)
                files.write(path_of(part, name), text)
                progress.advance(task)
            write_results()


def write_results():
    """results.json, and docs/ports.md from it."""
    rows = [
        json.loads(path.read_text())
        for part in PARTS
        for name in names_of(part)
        if (path := path_of(part, name)).exists()
    ]
    results = dict(schema=1, machine=machine(), items=rows)
    files.write(RESULTS, json.dumps(results, indent=1))
    report.write_page(results)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--names", default="")
    parser.add_argument("--fresh", action="store_true")
    asked = parser.parse_args()
    wrong = environments.environment_error("ports")
    if wrong:
        print(wrong)
        return 1
    try:
        items = chosen([n for n in asked.names.split(",") if n])
    except ValueError as error:
        print(error)
        return 1
    run_all(items, digest(), asked.fresh)
    print(report.summary(json.loads(RESULTS.read_text())))
    return 0

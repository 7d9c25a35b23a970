"""`make ports`: every part of the bed, build/ports/results.json, the page.

python -m shared_tests.ports.make_ports [--names bert,gpt2] [--fresh]

A name is one of a part ("bert": in every part that has it) or a part
("faults"). The items of a part, families or models, are run by a worker
in .venv/ports; where one crashes or hangs it alone is lost, and another
worker goes on. Rows are kept in build/ports/rows/ with the digest of the
code that made them, so that a run that was interrupted goes on, and only
what changed runs again. results.json and the tables of the pages
are written anew from all rows after each part.
"""

import argparse
import importlib
import json
import subprocess
from datetime import date
from typing import NamedTuple

from rich.progress import Progress

from shared_tests import environments, files, kept, machine
from shared_tests.files import ROOT
from shared_tests.ports import report
from shared_tests.processes import Child, Ended, Silent, finish, module

HERE = ROOT / "shared_tests" / "ports"
FOLDER = ROOT / "build" / "ports"
RESULTS = FOLDER / "results.json"
SECONDS = 1200  # for one item; nothing here takes half of that
OLD_KERAS = {"TF_USE_LEGACY_KERAS": "1"}  # transformers' TF models
NEW_KERAS = {"KERAS_BACKEND": "jax", "TF_USE_LEGACY_KERAS": "0"}
LIBRARIES = (
    *("transformers", "torch", "torchvision", "flax", "jax", "optax"),
    *("tensorflow", "tf_keras", "keras", "keras_hub", "numpy"),
)


class Part(NamedTuple):
    module: str
    settings: dict


PARTS = {
    "families": Part("pairs", OLD_KERAS),
    "deviations": Part("deviations", OLD_KERAS),
    "faults": Part("faults", OLD_KERAS),
    "models": Part("models", OLD_KERAS),
    "tutorial": Part("tutorial", OLD_KERAS),
    "gradients": Part("gradients", OLD_KERAS),
    "layers": Part("layers", NEW_KERAS),
    "optimizers": Part("optimizers", NEW_KERAS),
    "keras-hub": Part("hub", NEW_KERAS),
    "alarms": Part("alarms", OLD_KERAS),
}


def names_of(part):
    found = f"shared_tests.ports.{PARTS[part].module}"
    return importlib.import_module(found).NAMES


def chosen(words):
    """[(part, name)] of what is asked for; all where nothing is.

    Raises: ValueError for a word that no part knows
    """
    every = [(part, name) for part in PARTS for name in names_of(part)]
    unknown = set(words) - {word for item in every for word in item}
    if unknown:
        raise ValueError(
            f"make ports: NAMES expected parts ({', '.join(PARTS)}) or"
            f" names of theirs, got {', '.join(sorted(unknown))}"
        )
    return [item for item in every if not words or {*item} & {*words}]


def digest(part):
    """Of the code that makes a part's rows, and of the versions."""
    paths = kept.closure(HERE / f"{PARTS[part].module}.py")
    paths |= {HERE / "requirements.txt", HERE / "worker.py"}
    return files.sha256(b"".join(p.read_bytes() for p in sorted(paths)))


def path_of(part, name):
    return FOLDER / "rows" / part / f"{name}.json"


def rows_of(part, name):
    """What was found of an item, or None."""
    path = path_of(part, name)
    return json.loads(path.read_text()) if path.exists() else None


def answers_of(part, names):
    """Each name with its worker's answer; an heir goes on for a dead one."""
    todo = list(names)
    while todo:
        words = [w for n in todo for w in (PARTS[part].module, n)]
        command = module("ports", "shared_tests.ports.worker", *words)
        log = FOLDER / f"{part}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with Child(command, env=PARTS[part].settings, log=log) as child:
            alive = True
            while todo and alive:
                try:
                    found = json.loads(child.line(SECONDS))
                except (Ended, Silent) as error:
                    alive = False
                    found = dict(rows=[], error=str(error), seconds=0)
                yield todo.pop(0), found


def run_part(part, names, fresh, advance):
    """Run what is not kept; each item is written when it ends."""
    code = digest(part)
    todo = []
    for name in names:
        found = rows_of(part, name) or dict(digest="")
        if fresh or found["digest"] != code or found.get("error"):
            todo.append(name)
    advance(len(names) - len(todo))
    for name, found in answers_of(part, todo):
        today = date.today().isoformat()
        about = dict(part=part, name=name, digest=code, date=today)
        text = json.dumps(about | found, indent=1)
        files.write(path_of(part, name), text)
        advance(1)


def run_all(items, fresh=False):
    parts = {part: [] for part, _ in items}
    for part, name in items:
        parts[part].append(name)
    with Progress() as progress:
        for part, names in parts.items():
            task = progress.add_task(part, total=len(names))
            run_part(
                *(part, names, fresh),
                lambda n, task=task: progress.advance(task, n),
            )
            write_results()


def versions():
    """{library: version} in .venv/ports."""
    program = (
        "import importlib.metadata as m, json, sys;"
        "print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    )
    python = environments.python_of("ports")
    command = [python, "-c", program, *LIBRARIES]
    _, said = finish(command, stdout=subprocess.PIPE)
    return json.loads(said)


def write_results():
    """results.json, and the tables of the pages from it."""
    items = [
        found
        for part in PARTS
        for name in names_of(part)
        if (found := rows_of(part, name))
    ]
    results = dict(
        schema=1,
        machine=machine.sentence(machine.machine()),
        versions=versions(),
        items=items,
    )
    files.write(RESULTS, json.dumps(results, indent=1))
    report.write_pages(results)


def main():
    parser = argparse.ArgumentParser(prog="make ports")
    parser.add_argument("--names", default="")
    parser.add_argument("--fresh", action="store_true")
    asked = parser.parse_args()
    wrong = environments.environment_error("ports")
    try:
        items = chosen([n for n in asked.names.split(",") if n])
    except ValueError as error:
        wrong = wrong or error
    if wrong:
        print(wrong)
        return 1
    run_all(items, asked.fresh)
    print(report.summary(json.loads(RESULTS.read_text())))
    return 0

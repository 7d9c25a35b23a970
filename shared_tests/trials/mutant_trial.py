"""The mutation trial: one fault after the other, in processes of its own.

A worker (mutant_worker.py) runs in a framework's environment, inside a
scratch copy of the repo; here is what it is asked, in which order, and
what becomes of the answers: rows of build/mutants/<framework>.jsonl.
"""

import ast
import contextlib
import json
import math
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
from collections import Counter

from shared_tests.cases import CASES
from shared_tests.environments import FRAMEWORKS, files_of_tests
from shared_tests.files import (
    ROOT,
    append,
    json_lines,
    sha256,
    write,
)
from shared_tests.kept import prepared
from shared_tests.processes import (
    Child,
    Ended,
    Silent,
    finish,
    module,
)
from shared_tests.side_by_side import pages
from shared_tests.trials import mutate, named_faults
from shared_tests.trials.equivalent_mutants import EQUIVALENT
from shared_tests.trials.mutant_worker import (
    enclosing,
)

FOLDER = ROOT / "build" / "mutants"
STALL = 150.0  # seconds without a sign of life
OFTEN = (
    200  # faults that one process tries, then its memory is given back
)
# these try no page, or start processes of their own
NOT_ASKED = """test_environment.py live/test_check.py live/test_fuzz.py
    live/test_live.py trials/test_false_alarms.py
    trials/test_mutants_in_small.py""".split()
# has other tests in each framework, or enters pages that one has alone
OWN = ("builtins/test_deviations.py", "layers/test_not_finite.py")
QUIET = dict(
    PYTHONDONTWRITEBYTECODE="1",
    KERAS_BACKEND="tensorflow",
    TF_CPP_MIN_LOG_LEVEL="2",
)


class WorkerError(Exception):
    """The process ended, or gave no sign of life."""


@contextlib.contextmanager
def scratch(framework):
    """A copy of the repo whose pages of that framework may be changed."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        own = {f"{framework}_impl", "shared_tests"}
        for path in ROOT.iterdir():
            if path.name in own:
                ignore = shutil.ignore_patterns(
                    "__pycache__", "fixtures"
                )
                shutil.copytree(path, folder / path.name, ignore=ignore)
            elif path.name not in (".git", "build"):
                (folder / path.name).symlink_to(path)
        fixtures = ROOT / "shared_tests" / "fixtures"
        (folder / "shared_tests" / "fixtures").symlink_to(fixtures)
        kept = ROOT / "build" / "jax"  # what JAX has compiled
        kept.mkdir(parents=True, exist_ok=True)
        (folder / "build").mkdir()
        (folder / "build" / "jax").symlink_to(kept)
        yield folder


class Worker:
    """A process in a framework's environment that tries faults."""

    def __init__(self, framework, folder):
        self.stall, self.at = STALL, "start"
        command = module(
            framework, "shared_tests.trials.mutant_worker", framework
        )
        self.child = Child(command, folder, QUIET)
        self.answer()

    def ask(self, **order):
        return self.answer(f"{json.dumps(order)}\n".encode())

    def answer(self, order=b""):
        try:
            self.child.send(order, self.stall)
            while True:
                line = json.loads(self.child.line(self.stall))
                if "at" not in line:
                    return line
                self.at = line["at"]
        except Silent:
            self.close()
            raise WorkerError(f"timeout in {self.at}") from None
        except Ended as error:
            self.close()
            text = f"exit {error.code} in {self.at}"
            raise WorkerError(text, error.said) from None

    def close(self):
        self.child.stop()


def every(framework):
    """All faults of one framework, in an order that a cut leaves fair."""
    systematic = [
        mutant
        for page in mutate.tried(framework)
        for mutant in mutate.mutants(framework, page)
    ]
    systematic.sort(key=lambda m: sha256(m.key.encode()))
    return named_faults.mutants(framework) + systematic


def place(mutant):
    """By what an equivalent fault is known; of two alike, by column."""
    where = mutant.framework, mutant.page, mutate.line_text(mutant)
    exact = *where, f"{mutant.change} at {mutate.column(mutant)}"
    return exact if exact in EQUIVALENT else (*where, mutant.change)


def suite_digests():
    """{stage: what changes when one of its cases or tests does}"""
    here = ROOT / "shared_tests"
    tests = (
        here / name
        for name, where in files_of_tests().items()
        if name not in NOT_ASKED and where != ("tools",)
    )
    cases = here / "cases.py"
    return {
        "cases": digest_of(cases),
        "tests": digest_of(cases, *tests),
    }


def read_rows(framework, folder=FOLDER):
    """{key: row}; the last row of a key counts."""
    path = folder / f"{framework}.jsonl"
    return {row["key"]: row for row in json_lines(path)}


def wanted(mutants, rows, digests, stage):
    """Those without a result first, then survivors of another suite.

    stage "cases": tried by no case yet; "tests": unseen by all cases
    """

    def open_(mutant):
        row = rows.get(mutant.key)
        if row is None:
            return True
        if row["outcome"] == "killed":
            return False
        if stage == "cases":
            return row["cases"] != digests["cases"]
        if place(mutant) in EQUIVALENT:
            return False
        return row.get("tests") != digests["tests"]

    todo = [mutant for mutant in mutants if open_(mutant)]
    return sorted(todo, key=lambda mutant: mutant.key in rows)


def digest_of(*paths):
    return sha256(b"".join(path.read_bytes() for path in paths))[:12]


def imported(framework):
    """{page: the pages it imports}"""
    home = f"{framework}_impl."
    return {
        page: {
            pages.page_of(node.module)
            for node in ast.walk(pages.tree(framework, page))
            if isinstance(node, ast.ImportFrom)
            and node.module.startswith(home)
        }
        for page in pages.files(framework)
    }


def case_order(framework):
    """{page: [ids of the cases that import it]}, near and small first."""
    links, homes = imported(framework), pages.public(framework)
    made = prepared(framework)
    found = {}
    for case in CASES:
        near = {homes[made.get(case.layer, case.layer)]}
        near |= {homes["prepare"]} if case.layer in made else set()
        near |= {
            homes[n] for k, n in case.config.items() if k == "attention"
        }
        near |= {"training.py"} if case.training else set()
        size = sum(math.prod(d.shape) for d in case.inputs.values())
        hops, seen = 0, set()
        while near:
            for page in near:
                row = hops, bool(case.training), size, case.id
                found.setdefault(page, []).append(row)
            seen |= near
            near = {p for page in near for p in links[page]} - seen
            hops += 1
    return {
        p: [row[-1] for row in sorted(rows)]
        for p, rows in found.items()
    }


def profiled(framework, folder):
    """Which test enters which page; a file is asked again if it changed.

    Tests of all four, but for OWN, are asked in PyTorch's environment
    alone: pages have the same names in all, and so have their functions.
    Returns: the paths of {file: [digest, {test: [seconds, entered]}]}
    """
    here, first = ROOT / "shared_tests", FRAMEWORKS[0]
    others = []
    if framework != first:
        with scratch(first) as its:
            others = profiled(first, its)
    names = [
        name
        for name, where in files_of_tests().items()
        if framework in where
        and name not in NOT_ASKED
        and (framework == first or first not in where or name in OWN)
    ]
    sha = digest_of(*pages.paths(framework))
    path = FOLDER / f"{framework}-tests-{sha}.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    digests = {name: digest_of(here / name) for name in names}
    stale = [n for n in names if found.get(n, [""])[0] != digests[n]]
    if stale:
        part = path.with_suffix(".part")
        worker = Worker(framework, folder)
        worker.stall *= 10  # a test is slow when each call is noted
        try:
            worker.ask(profile=str(part), only=stale)
        finally:
            worker.close()
        fresh = json.loads(part.read_text())
        kept = {n: found[n] for n in names if n not in stale}
        for name in stale:
            entered = {
                key: row
                for key, row in fresh.items()
                if f"/{name}::" in key
            }
            kept[name] = digests[name], entered
        write(path, json.dumps(kept))
        part.unlink()
    return [*others, str(path)]


def try_all(framework, stage, advance, deadline=None):
    """Tries what is wanted; one row each, appended as it comes."""
    FOLDER.mkdir(parents=True, exist_ok=True)  # a fresh clone has none
    digests, rows = suite_digests(), read_rows(framework)
    todo = wanted(every(framework), rows, digests, stage)
    advance(total=len(todo))
    if not todo:
        return
    with scratch(framework) as folder:
        cases, hints, known = case_order(framework), killers(), None
        if stage == "tests":
            known = profiled(framework, folder)
            digests = {"tests": digests["tests"]} | digests
        else:
            digests = {"cases": digests["cases"]}
        worker = None
        try:
            for count, mutant in enumerate(todo):
                if deadline and time.time() > deadline:
                    break
                if worker and count % OFTEN == 0:
                    worker.close()
                    worker = None
                start = time.perf_counter()
                asked = order(mutant, cases, hints, known)
                found, worker = ask(worker, mutant, folder, asked)
                if found["outcome"] == "survived":
                    found = lined_up(mutant, folder) or found
                seconds = round(time.perf_counter() - start, 2)
                row = dict(key=mutant.key, seconds=seconds) | digests
                append(FOLDER / f"{framework}.jsonl", row | found)
                advance(found["outcome"])
        finally:
            if worker:
                worker.close()


def ask(worker, mutant, folder, asked):
    """(its answer, the worker, or None where that ended).

    SIGKILL may come from outside, as where another process takes the
    memory: only what ends so twice does so by itself.
    """
    for last in (False, True):
        worker = worker or Worker(mutant.framework, folder)
        try:
            return worker.ask(**asked), worker
        except WorkerError as error:
            worker = None  # it has closed itself
            restore(mutant.framework, mutant.page, folder)
            if last or not error.args[0].startswith("exit -9 "):
                return killed_by(error), None


def order(mutant, cases, hints, tests=None):
    """What the worker is asked; what killed its like comes first."""
    near, able = hints.get(spot(mutant), []), cases.get(mutant.page, [])
    first = [name for name in near if name in able]
    return dict(
        page=mutant.page,
        line=mutant.line,
        text=mutate.source(mutant),
        cases=[*first, *(name for name in able if name not in first)],
        tests=tests,
        first=[name for name in near if "::" in name],
    )


def spot(mutant):
    """The functions of a page around a fault."""
    text = pages.source(mutant.framework, mutant.page)
    return mutant.page, *sorted(enclosing(text, mutant.line))


def killers():
    """{spot: what has killed faults there, in any framework, most first}"""
    found = {}
    for framework in FRAMEWORKS:
        rows = read_rows(framework)
        for mutant in every(framework):
            by = rows.get(mutant.key, {}).get("by", "").split(" ")
            name = by[1] if by[0] == "case" else by[0]
            if name:
                found.setdefault(spot(mutant), Counter())[name] += 1
    return {
        where: [name for name, _ in count.most_common()]
        for where, count in found.items()
    }


def killed_by(error):
    """A hang or a signal kills a fault; our own error stops the run."""
    text = str(error.args[0])
    if text.startswith("exit") and not text.startswith("exit -"):
        raise error
    by = "timeout" if text.startswith("timeout") else "crash"
    return dict(outcome="killed", by=by, detail=text)


def lined_up(mutant, folder):
    """What the comparison of the pages says: defaults must agree."""
    name = f"{mutant.framework}_impl"
    (folder / name / mutant.page).write_text(mutate.source(mutant))
    test = "shared_tests/side_by_side/test_lineup.py"
    quiet = "--framework=tools", "-x", "-q", "--no-header"
    code, said = finish(
        module("tools", "pytest", *quiet, test),
        folder,
        env=os.environ | dict(PYTHONDONTWRITEBYTECODE="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    restore(mutant.framework, mutant.page, folder)
    if code == 0:
        return None
    if code != 1:
        raise WorkerError(f"exit {code} in {test}", said)
    return dict(outcome="killed", by=test, detail=said[-200:])


def restore(framework, page, folder):
    name = f"{framework}_impl"
    shutil.copy(ROOT / name / page, folder / name / page)

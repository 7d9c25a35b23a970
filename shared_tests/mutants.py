"""`make mutants`: seeded faults, which the cases and tests must kill.

python -m shared_tests.mutants [framework ...]
    MINUTES=60 in the environment: stops then; the next run goes on

Each fault goes, alone, into a scratch copy of a framework's pages. The
cases that import the page are judged against their fixtures (run.py), in
float64, float32 and low precision; where they see nothing, the tests
that enter the page run, then compiled cases, and the comparison of the
pages with each other at last. What then survives
is a gap in the suite, or equivalent: listed in EQUIVALENT, with the
reason. Faults: systematic ones (mutate.py), and named ones, from the
reports of others (named_faults.py).

Results are kept as they come in build/mutants/<framework>.jsonl, under
a key with the SHA-256 of the page: a run that was interrupted goes on,
a changed page is tried anew, and so is a survivor once the suite has
changed. The table goes to docs/mutants.md.

No mutation tool: mutmut 3 wants a fork for each fault, which a process
with the threads of these frameworks does not survive, and cosmic-ray a
process for each, seconds of import; neither knows axes or einsum.
"""

import ast
import contextlib
import json
import math
import os
import pathlib
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent import futures
from datetime import date

from shared_tests import mutate, named_faults, pages
from shared_tests.cases import CASES
from shared_tests.environments import FRAMEWORKS, test_files
from shared_tests.equivalent_mutants import EQUIVALENT
from shared_tests.files import ROOT, json_lines, sha256, write
from shared_tests.mutant_worker import (
    ALLOWED,
    FEW,
    MANY,
    SLOW,
    enclosing,
)

FOLDER = ROOT / "build" / "mutants"
PAGE = ROOT / "docs" / "mutants.md"
STALL = 150.0  # seconds without a sign of life
OFTEN = (
    200  # faults that one process tries, then its memory is given back
)
# these try no page, or start processes of their own
NOT_ASKED = ("test_environment.py", "test_mutants.py", "test_check.py")
NOT_ASKED += ("test_false_alarms.py", "test_fuzz.py", "test_live.py")
# has other tests in each framework, or enters pages that one has alone
OWN = ("test_deviations.py", "test_not_finite.py")
TARGETS = {"named": 100.0, "systematic": 98.0}
NUMPY_THREADS = dict(OMP_NUM_THREADS="1", TF_CPP_MIN_LOG_LEVEL="2")


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

    def __init__(self, framework, folder, python=None):
        python = python or ROOT / ".venv" / framework / "bin" / "python"
        self.stall, self.at = STALL, "start"
        environment = os.environ | NUMPY_THREADS
        environment |= dict(
            PYTHONDONTWRITEBYTECODE="1", KERAS_BACKEND="tensorflow"
        )
        self.log = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [
                python,
                *("-m", "shared_tests.mutant_worker", framework),
            ],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            start_new_session=True,
        )
        self.lines = queue.Queue()
        threading.Thread(target=self.listen, daemon=True).start()
        self.answer()

    def listen(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def ask(self, **order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self):
        while True:
            try:
                line = self.lines.get(timeout=self.stall)
            except queue.Empty:
                raise WorkerError(f"timeout in {self.at}") from None
            if line is None:
                self.process.wait()
                code = self.process.returncode
                text = f"exit {code} in {self.at}"
                raise WorkerError(text, self.tail())
            if "at" not in line:
                return line
            self.at = line["at"]

    def tail(self):
        self.log.seek(0)
        return self.log.read()[-2000:].decode(errors="replace")

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, 9)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.log.close()


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
        for name, where in test_files().items()
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
    found = {}
    for case in CASES:
        near = {homes[case.layer]}
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
        for name, where in test_files().items()
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
        for count, mutant in enumerate(todo):
            if deadline and time.time() > deadline:
                break
            if worker and count % OFTEN == 0:
                worker.close()
                worker = None
            worker = worker or Worker(framework, folder)
            start = time.perf_counter()
            try:
                found = worker.ask(**order(mutant, cases, hints, known))
            except WorkerError as error:
                worker.close()
                worker = None
                found = killed_by(error)
                restore(framework, mutant.page, folder)
            if found["outcome"] == "survived":
                found = lined_up(mutant, folder) or found
            seconds = round(time.perf_counter() - start, 2)
            row = dict(key=mutant.key, seconds=seconds) | digests
            with open(FOLDER / f"{framework}.jsonl", "a") as out:
                out.write(json.dumps(row | found) + "\n")
            advance(found["outcome"])
        if worker:
            worker.close()


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
    test = "shared_tests/test_lineup.py"
    python = ROOT / ".venv" / "tools" / "bin" / "python"
    quiet = "--framework=tools", "-x", "-q", "--no-header"
    done = subprocess.run(
        [python, "-m", "pytest", *quiet, test],
        cwd=folder,
        env=os.environ | dict(PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    restore(mutant.framework, mutant.page, folder)
    if done.returncode == 0:
        return None
    if done.returncode != 1:
        raise WorkerError(
            f"exit {done.returncode} in {test}", done.stdout
        )
    return dict(outcome="killed", by=test, detail=done.stdout[-200:])


def restore(framework, page, folder):
    name = f"{framework}_impl"
    shutil.copy(ROOT / name / page, folder / name / page)


# the document
def outcomes(framework):
    """[(mutant, outcome, by)]: killed, equivalent, survived, not tried."""
    rows, digests = read_rows(framework), suite_digests()
    found = []
    for mutant in every(framework):
        row = rows.get(mutant.key)
        if row is None:
            found.append((mutant, "not tried", ""))
        elif row["outcome"] == "killed":
            found.append((mutant, "killed", row["by"]))
        elif place(mutant) in EQUIVALENT:
            found.append((mutant, "equivalent", ""))
        elif row.get("tests") != digests["tests"]:
            found.append((mutant, "unseen", ""))
        else:
            found.append((mutant, "survived", ""))
    return found


def how(by):
    """case, test, import, timeout or crash."""
    first = by.split(" ")[0]
    return "test" if first.startswith("shared_tests/") else first


def errors(found):
    """Rows of EQUIVALENT that fit nothing, or a fault that was killed.

    found: outcomes of all four frameworks
    """
    fits, wrong = set(), []
    for framework, results in found.items():
        for mutant, outcome, by in results:
            if place(mutant) in EQUIVALENT:
                fits.add(place(mutant))
                if outcome == "killed":
                    wrong.append(
                        f"{framework} {mutant.page}:{mutant.line} "
                        f"{mutant.change}: equivalent, yet killed by {by}"
                    )
    wrong += [
        f"fits no fault: {row}" for row in EQUIVALENT if row not in fits
    ]
    return wrong


def counts(results):
    return Counter(outcome for _, outcome, _ in results)


def percent(count):
    """Of those tried that are not equivalent, how many were killed."""
    judged = count["killed"] + count["survived"] + count["unseen"]
    return 100 * count["killed"] / judged if judged else None


def shown(count):
    value = percent(count)
    if value is None:
        return "-"
    judged = count["killed"] + count["survived"] + count["unseen"]
    least = "at least " if count["unseen"] else ""
    return f"{least}{value:.1f} % ({count['killed']}/{judged})"


def seen(killed, results):
    """By the cases alone, of all that met them."""
    met = sum(outcome != "not tried" for _, outcome, _ in results)
    return (
        f"{100 * killed / met:.1f} % ({killed}/{met})" if met else "-"
    )


def is_named(mutant):
    return mutant.kind == "named"


def table(head, rows):
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def summary(found):
    rows = []
    for framework, results in found.items():
        for title, chosen in (
            ("named", [r for r in results if is_named(r[0])]),
            ("systematic", [r for r in results if not is_named(r[0])]),
        ):
            count = counts(chosen)
            by = Counter(how(b) for _, o, b in chosen if o == "killed")
            cells = [
                *(len(chosen), len(chosen) - count["not tried"]),
                *(by["case"] + by["import"], by["test"]),
                by["timeout"] + by["crash"],
                *(
                    count["equivalent"],
                    count["unseen"],
                    count["survived"],
                ),
            ]
            alone = seen(by["case"] + by["import"], chosen)
            shares = shown(count), alone
            rows.append([framework, title, *map(str, cells), *shares])
    head = "framework|faults|made|tried|by cases|by tests|hung, crashed"
    head += "|equivalent|not tested yet|survived|killed of the rest"
    head += "|seen by cases"
    return table(head.split("|"), rows)


def broken_down(found, label):
    """Systematic faults: one row a label, one column a framework."""
    groups = {}
    for framework, results in found.items():
        for result in results:
            if not is_named(result[0]):
                cells = groups.setdefault(label(result[0]), {})
                cells.setdefault(framework, []).append(result)
    return [
        [name, *(shown(counts(cells.get(fw, []))) for fw in found)]
        for name, cells in sorted(groups.items())
    ]


def named_table(found):
    by = {
        (framework, mutant.change): outcome
        if outcome != "killed"
        else how(killer)
        for framework, results in found.items()
        for mutant, outcome, killer in results
        if is_named(mutant)
    }
    rows = [
        [
            fault.name,
            fault.page,
            *(by.get((fw, fault.name), "-") for fw in found),
            fault.source,
        ]
        for fault in named_faults.FAULTS
    ]
    return table(["fault", "page", *found, "from"], rows)


def survivors(found):
    rows = [
        f"- {framework} `{mutant.page}:{mutant.line}` {mutant.kind}: "
        f"`{' '.join(mutant.change.split())}`"
        for framework, results in found.items()
        for mutant, outcome, _ in results
        if outcome == "survived"
    ]
    return "\n".join(rows) or "None."


def document(found, seconds):
    spent = ", ".join(
        f"{fw} {seconds[fw] / 60:.0f}" for fw in found if seconds[fw]
    )
    first = TEXT.format(
        date=date.today().isoformat(),
        summary=summary(found),
        spent=spent,
        slow=SLOW,
        few=FEW,
        many=MANY,
        allowed=ALLOWED,
        named=named_table(found),
        pages=table(
            ["page", *found], broken_down(found, lambda m: m.page)
        ),
        kinds=table(
            ["kind", *found], broken_down(found, lambda m: m.kind)
        ),
        survivors=survivors(found),
        equivalent=equivalents(),
    )
    return first


def equivalents():
    rows = [
        [
            framework,
            page,
            f"`{code(line)}`",
            f"`{code(change)}`",
            reason,
        ]
        for (
            framework,
            page,
            line,
            change,
        ), reason in EQUIVALENT.items()
    ]
    return table(["framework", "page", "line", "change", "why"], rows)


def code(text):
    return " ".join(text.split()).replace("|", "\\|")


TEXT = """# Mutation trial

Written by `make mutants`, {date}. What it does: `shared_tests/mutants.py`.

A parity suite is worth what it catches. One fault at a time is put into the
pages of each framework; the cases, and where they see nothing the tests, must
fail. Systematic faults are small changes of the code, by the table in
`shared_tests/mutate.py`; named ones are bugs that others have reported.
Percentages are of the faults tried that are not equivalent; targets: 100 % of
the named ones, 98 % of the systematic ones, in every framework. Left out:
`adapter`, `checkpoint`, `parameters`, `checks` and `export`; `raise`, the
branches that end in one, and `check_*`, which the tests of bad input see to.

{summary}

First come the {few[0]} nearest cases in float64 and {few[1]} in each other
precision, those before all that killed a fault of the same function, in any
framework; then tests, the nearest first, for at most {allowed:.0f} seconds of
the processor, without those that take more than {slow:.0f}; then up to
{many[0]} cases, a compiled one, and the comparison of the pages with each
other, which sees a default that differs. What is left is a survivor. Minutes
spent by each framework's process: {spent}.

"Tried" below "made" means that the run was stopped, and "not tested yet" that
the first cases do not see these faults, and that nothing else was asked: they
count against the percentage, which is then a lower bound. The order is by a
hash: what was tried is a fair sample, and `make mutants` goes on. "Seen by
cases" counts the faults that the cases killed of all that met them, equivalent
ones among those.

## Named faults

{named}

## Systematic faults by page

{pages}

## Systematic faults by kind

{kinds}

## Survivors

{survivors}

## Equivalent faults

They change no number that a caller can see: judged by reading, one by one,
for the reason given.

{equivalent}
"""


def missed(found):
    """What is below its target, as texts."""
    lines = []
    for framework, results in found.items():
        for title, target in TARGETS.items():
            count = counts(
                r
                for r in results
                if is_named(r[0]) == (title == "named")
            )
            value = percent(count)
            if value is not None and value < target:
                lines.append(
                    f"{framework}: {value:.1f} % of {title} faults "
                    f"killed, expected {target} %"
                )
            left = count["not tried"] + count["unseen"]
            if left:
                lines.append(
                    f"{framework}: {left} {title} faults not tried to the end"
                )
    return lines


def report():
    """Writes the document; what is wrong, as texts."""
    found = {framework: outcomes(framework) for framework in FRAMEWORKS}
    seconds = {
        fw: sum(row["seconds"] for row in read_rows(fw).values())
        for fw in FRAMEWORKS
    }
    write(PAGE, document(found, seconds))
    return errors(found) + missed(found)


def run(frameworks, deadline=None):
    """What went wrong, as texts; first the cases, then the tests."""
    from rich.progress import Progress

    with Progress() as progress:

        def one(framework):
            try:
                for stage in ("cases", "tests"):
                    task = progress.add_task(f"{framework} {stage}")
                    advance = follow(progress, task)
                    try_all(framework, stage, advance, deadline)
            except WorkerError as error:
                return f"{framework}: {' '.join(map(str, error.args))}"

        with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            return [e for e in pool.map(one, frameworks) if e]


def follow(progress, task):
    """advance(outcome), and once advance(total=n), move the bar."""
    alive = Counter()
    name = progress.tasks[task].description

    def advance(outcome=None, total=None):
        if total is not None:
            return progress.update(task, total=total)
        alive[outcome] += 1
        left = sum(alive.values()) - alive["killed"]
        text = f"{name}, {left} alive"
        progress.update(task, advance=1, description=text)

    return advance


def main():
    frameworks = sys.argv[1:] or FRAMEWORKS
    minutes = os.environ.get("MINUTES")
    deadline = time.time() + 60 * float(minutes) if minutes else None
    wrong = run(frameworks, deadline) + report()
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

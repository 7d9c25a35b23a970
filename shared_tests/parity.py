"""`make parity`: the four frameworks side by side, one matrix.

Each framework runs in its own environment and process (run.py). This one
starts them, shows what they are doing, and merges what they report into
build/parity/results.json, a terminal matrix and build/parity/index.html.
Exit status 0 only if all four ran to the end and every row passed; 2 for
a word that stands for nothing.

--layer, --frameworks and --precision run a part (selection.py), which
goes to build/parity-part/ and says everywhere that it is one. --isa
limits the instruction sets of the libraries (machine.py); the results
of such a run have a folder of their own. --device cuda runs PyTorch and
JAX on the GPU; its results and its kept rows have folders of their own
too.

As many processes as there are cores compute at once. Each framework gets
one; then those that are free help where most is left (run.py, --share).
Rows whose run has not changed since come from build/parity-cache/
(kept.py), unless --fresh asks for all of them, or the variable CI is set.
"""

import argparse
import asyncio
import json
import os
import pathlib
import sys
import tempfile
import threading
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
)

from shared_tests import asked, kept, selection
from shared_tests.environments import environment_error
from shared_tests.files import ROOT, sha256, write
from shared_tests.fixture_files import (
    FIXTURES,
    FixtureError,
    check_manifest,
    read_manifest,
)
from shared_tests.machine import ISAS, limit, machine
from shared_tests.processes import (
    Child,
    Ended,
    Silent,
    TooLong,
    how_it_ended,
    module,
)
from shared_tests.report import html, print_report, succeeded
from shared_tests.run import run_name, runs

SCHEMA = 1
STALL_SECONDS = 300  # without a sign of life, a process counts as hung
SAY_SECONDS = 10  # between two lines of progress, without a terminal
WRONG = 20  # lines of a process that make no sense, before it is ended
HELP = 40  # a helper imports for seconds: only where so many runs wait
CACHE = ROOT / "build" / "parity-cache"
DEVICES = ("cpu", "cuda")
ON_DEVICES = ("pytorch", "jax")  # whose adapters take a device
NVIDIA = pathlib.Path("/dev/nvidiactl")


class Column:
    """What one process of a framework has reported so far.

    question, table: what it may report, as in asked.py
    """

    def __init__(self, framework, question, table):
        self.framework = framework
        self.question, self.table = question, table
        self.versions = {}
        self.sources = {}
        self.rows = []
        self.by_run = {}
        self.doing = "starting"
        self.total = None
        self.started = set()
        self.ended = {}
        self.finished = False
        self.error = None
        self.wrong = []  # what it reported wrongly, quoted

    def read(self, line):
        """Take what one line says; what is wrong is kept, in words."""
        try:
            event = asked.event_of(line)
            why = self.take(event)
        except asked.Wrong as error:
            why = str(error)
        if why:
            self.wrong.append(f"{why}: {asked.quoted(line)}")

    def take(self, event):
        """What is wrong with an event, in words, or None."""
        word = event.pop("event")
        if self.finished:
            return f"{word} after done"
        if self.total is None and word not in ("hello", "error"):
            return f"{word} before hello"
        if word == "hello":
            return self.hello(event)
        if word == "start":
            return self.start(event)
        if word == "row":
            return self.row(event)
        if word == "end":
            return self.end(event)
        if word == "error":
            self.error = self.error or event["message"]
        else:
            self.finished = True
            self.doing = "done"

    def hello(self, event):
        if self.total is not None:
            return "hello a second time"
        self.total = event["total"]
        self.versions = event["versions"]
        self.sources = event["sources"]
        if self.total != len(runs()):
            return f"total expected {len(runs())}"

    def start(self, event):
        run = "{case}.{precision}.{mode}".format(**event)
        if run not in self.question:
            return "a run that nobody asked for"
        if run in self.started:
            return "a run started a second time"
        self.started.add(run)
        what = "{case} ({mode}, {precision})".format(**event)
        self.doing = f"running {what}"

    def row(self, row):
        run = asked.run_of(row)
        came = self.by_run.get(run, [])
        why = asked.wrong_row(
            row, self.framework, self.question, self.table
        )
        if not why and run not in self.started - self.ended.keys():
            why = "a row outside its run"
        if any(row["array"] == other["array"] for other in came):
            why = why or "a row a second time"
        if why:
            return why
        self.rows.append(row)
        self.by_run.setdefault(run, came).append(row)

    def end(self, event):
        run = event["run"]
        if run not in self.started - self.ended.keys():
            return "the end of no run"
        # a new one: the thread of another column may be in the old one
        self.ended = self.ended | {run: event["seconds"]}

    def status(self):
        ran = self.finished and not self.error
        reason = self.error or "it never started"
        return {
            "status": "ran" if ran else "missing",
            "reason": "" if ran else reason,
            "versions": self.versions,
        }


class Framework:
    """All that one framework has to show: its runs, in order, those that
    were kept, and the columns of the processes that compute the others.
    """

    def __init__(self, name, wanted, fixtures, fresh, cache=None):
        self.name = name
        self.runs = [run_name(*one) for one in wanted]
        self.question, self.table = {}, asked.declared(name)
        self.cache = cache or CACHE
        self.columns = []
        self.error = environment_error(name)
        self.keys, self.kept, self.seconds = {}, {}, {}
        self.saved = set()
        self.said = {"versions": {}, "sources": []}
        if not self.error:
            self.look(wanted, fixtures, fresh)

    def look(self, wanted, fixtures, fresh):
        """What is kept of the runs that are wanted."""
        try:
            manifest = read_manifest(fixtures)
            check_manifest(manifest)
        except FixtureError as error:
            self.error = f"FixtureError: {error}"
            return
        self.question = asked.question(wanted, manifest, fixtures)
        key = self.environment = sha256(
            kept.environment(self.name).encode()
        )
        said = kept.read(self.cache, self.name, "said")
        fresh = fresh or said.get("digest") != key
        if not fresh:
            (self.said,) = said["rows"]
        for run, one in zip(self.runs, wanted):
            key = kept.digest(self.name, *one, manifest, fixtures)
            self.keys[run] = key
            entry = kept.read(self.cache, self.name, run)
            self.seconds[run] = entry.get("seconds")
            same = not fresh and entry.get("digest") == key[0]
            if same and self.whole(run, entry["rows"]):
                self.kept[run] = entry["rows"]

    def whole(self, run, rows):
        """All that was asked of a run, once, and nothing wrong in it."""
        names = sorted(row["array"] for row in rows)
        return names == sorted(self.question[run]) and not any(
            asked.wrong_row(row, self.name, self.question, self.table)
            for row in rows
        )

    def todo(self):
        return [run for run in self.runs if run not in self.kept]

    def ended(self):
        return {run for column in self.columns for run in column.ended}

    def work(self):
        """Seconds of the runs that have ended, and of all; a run that
        was never timed counts as the mean of the others, or as one."""
        known = [x for x in self.seconds.values() if x is not None]
        mean = sum(known) / len(known) if known else 1.0
        ended, done, total = self.ended(), 0.0, 0.0
        for run in self.todo():
            seconds = self.seconds.get(run)
            seconds = mean if seconds is None else seconds
            total += seconds
            done += seconds * (run in ended)
        return done, total

    def save(self):
        """Keep the runs that have ended since: rows that pass, where the
        process imported the files that were digested."""
        for column in self.columns:
            for run, seconds in column.ended.items():
                if run in self.saved or run not in self.keys:
                    continue
                self.saved.add(run)
                key, files = self.keys[run]
                rows = column.by_run.get(run, [])
                good = all(r["verdict"] != "fail" for r in rows)
                same = all(
                    column.sources.get(path) == digest
                    for path, digest in files.items()
                )
                if not (good and same and self.whole(run, rows)):
                    continue
                kept.keep(
                    self.cache, self.name, run, key, rows, seconds
                )
            if column.ended and self.said["versions"] == {}:
                self.said = {
                    "versions": column.versions,
                    "sources": sorted(column.sources),
                }
                rows = [self.said]
                kept.keep(
                    self.cache,
                    self.name,
                    "said",
                    self.environment,
                    rows,
                    0,
                )

    def by_run(self):
        """{run: rows}; of a run that two processes report, the first."""
        found = dict(self.kept)
        for column in self.columns:
            found = column.by_run | found
        return found

    def rows(self):
        """In the order of runs(), however they were shared."""
        found = self.by_run()
        return [row for run in self.runs for row in found.get(run, ())]

    def wrong(self):
        """What is not as the table of cases asks for it, in words."""
        found = [
            text for column in self.columns for text in column.wrong
        ]
        seen = set(self.kept)
        for column in self.columns:
            twice = sorted(seen & column.started)
            found += [f"{run} was run a second time" for run in twice]
            seen |= column.started
        if self.status()["status"] == "ran":
            found += filter(
                None, [asked.missing(self.rows(), self.question)]
            )
        return found

    def sources(self):
        found = {}
        if self.kept:
            names = self.said["sources"]
            found = {n: kept.file_digest(ROOT / n) for n in names}
        for column in self.columns:
            found |= column.sources
        return found

    def status(self):
        errors = [c.status()["reason"] for c in self.columns]
        reason = self.error or "; ".join(filter(None, errors))
        lost = len(set(self.todo()) - self.ended())
        if lost and not reason:
            reason = f"{lost} of {len(self.runs)} runs never ended"
        versions = self.said["versions"]
        for column in self.columns:
            versions = column.versions or versions
        return {
            "status": "missing" if reason else "ran",
            "reason": reason,
            "versions": versions,
            "kept": sum(map(len, self.kept.values())),
        }

    def line(self):
        """What it is doing, in a few words."""
        state = self.status()
        if state["reason"] and not self.running():
            return state["reason"]
        doing = [c.doing for c in self.columns if not c.finished]
        if self.over():
            return "done"
        return doing[0] if doing else "waiting"

    def running(self):
        return any(not (c.finished or c.error) for c in self.columns)

    def over(self):
        left = set(self.todo()) - self.ended()
        return not self.running() and (bool(self.columns) or not left)

    def count(self):
        return len(self.kept) + len(self.ended())


def run_command(framework, fixtures, share, device="cpu"):
    told = "--fixtures", fixtures, "--share", share
    if device != "cpu":
        told += "--device", device
    return module(framework, "shared_tests.run", framework, *told)


async def follow(column, command, log, show, stall=STALL_SECONDS):
    """Run one framework to its end, whatever that is."""
    child = Child(command, log=log)
    try:
        error = await asyncio.to_thread(
            listen, column, child, show, stall
        )
    except asyncio.CancelledError:
        child.kill()  # then listen sees its end, and ends too
        raise
    whole = column.finished and not column.error
    if getattr(error, "code", None) != 0 or not whole:
        column.finished = False
        column.error = column.error or ending(column, error)
    show(column)


def listen(column, child, show, stall):
    """Take what a process reports; returns how that came to its end."""
    with child:
        try:
            while True:
                column.read(child.line(stall))
                if len(column.wrong) > WRONG:
                    raise TooLong(f"more than {WRONG} wrong lines", b"")
                show(column)
        except TooLong as error:
            how, said = error.args
            column.wrong.append(f"{how}: {asked.quoted(said)}")
            return error
        except (Ended, Silent) as error:
            return error


def ending(column, error):
    if isinstance(error, Silent):
        how = "no sign of life, so it was ended,"
    elif isinstance(error, TooLong):
        how = f"{error.args[0]}, so it was ended,"
    elif error.signal:
        how = f"stopped by {how_it_ended(error.code)}"
    else:
        how = f"exit status {error.code}: {error.last or 'it said nothing'}"
    return f"{how} while {column.doing}"


def duration(seconds):
    """About so long, as one says it."""
    if seconds < 90:
        return f"{max(5, 5 * round(seconds / 5))} s"
    return f"{round(seconds / 60)} min"


def remaining(frameworks, begin):
    """How long it will still take, from what the runs that have ended
    took; "" while that is a guess."""
    pairs = [framework.work() for framework in frameworks]
    done, total = (sum(side) for side in zip(*pairs))
    elapsed = time.monotonic() - begin
    if not done or elapsed < SAY_SECONDS / 2 or done >= total:
        return ""
    left = elapsed * (total - done) / done
    return f"about {duration(left)} left"


class Display:
    """Bars in a terminal; else a line now and then, and one at the end of
    each framework."""

    def __init__(self, frameworks, console):
        self.frameworks, self.console = frameworks, console
        self.begin = self.last = time.monotonic()
        self.said = set()
        self.bars = Progress(
            TextColumn("{task.fields[framework]:8}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self.tasks = {
            fw.name: self.bars.add_task("", framework=fw.name)
            for fw in frameworks
        }
        self.whole = self.bars.add_task("", framework="all")

    def print(self, text):
        self.console.print(
            text, markup=False, highlight=False, soft_wrap=True
        )

    def show(self):
        now = time.monotonic()
        for fw in self.frameworks:
            total, count = len(fw.runs), fw.count()
            self.bars.update(
                self.tasks[fw.name],
                total=total,
                completed=count,
                description=fw.line(),
            )
            if fw.over() and fw.name not in self.said:
                self.said.add(fw.name)
                if not self.console.is_terminal:
                    text = f"{count:5}/{total}  {fw.line()}"
                    self.print(f"{fw.name:8} {text}")
        if self.console.is_terminal:
            self.bars.update(
                self.whole,
                total=sum(len(fw.runs) for fw in self.frameworks),
                completed=sum(fw.count() for fw in self.frameworks),
                description=remaining(self.frameworks, self.begin),
            )
        elif now - self.last >= SAY_SECONDS:
            self.last = now
            counts = [
                f"{fw.name} {fw.count()}/{len(fw.runs)}"
                for fw in self.frameworks
            ]
            left = remaining(self.frameworks, self.begin)
            words = [f"{now - self.begin:4.0f} s", *counts, left]
            self.print("  ".join(filter(None, words)))


async def run_all(wanted, part, fixtures, fresh, console, device="cpu"):
    """[Framework], with all that they had to show."""
    logs = ROOT / "build" / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    frameworks = [
        Framework(name, wanted, fixtures, fresh, cache_of(device))
        for name in part.frameworks
    ]
    display = Display(frameworks, console)
    slots = len(os.sched_getaffinity(0))
    one_at_a_time = threading.Lock()
    with (
        display.bars,
        tempfile.TemporaryDirectory(dir=ROOT / "build") as folder,
    ):
        shares = {}
        for fw in frameworks:
            share = shares[fw.name] = pathlib.Path(folder) / fw.name
            share.mkdir()
            for run in fw.todo() if not fw.error else ():
                (share / run).touch()
        display.show()

        def left(fw):
            return sum(1 for _ in shares[fw.name].iterdir())

        async def compute(fw):
            column = Column(fw.name, fw.question, fw.table)
            fw.columns.append(column)
            number = len(fw.columns)
            log = logs / f"{fw.name}{number if number > 1 else ''}.log"
            share = shares[fw.name]
            command = run_command(fw.name, fixtures, share, device)

            def show(_):
                with one_at_a_time:  # each column is read by a thread
                    fw.save()
                    display.show()

            await follow(column, command, log, show)

        async def slot():
            """One process after the other, while there is work."""
            while True:
                new = [
                    f for f in frameworks if not f.columns and left(f)
                ]
                many = [f for f in frameworks if left(f) >= HELP]
                broken = {f.name for f in many if failed(f)}
                many = [f for f in many if f.name not in broken]
                if not new and not many:
                    return
                await compute((new or [max(many, key=left)])[0])

        await asyncio.gather(*(slot() for _ in range(slots)))
        display.show()
    return frameworks


def failed(framework):
    """A process of it did not come to its end, or ended without a run:
    another would not do better."""
    return any(
        column.error or column.wrong or not column.ended
        for column in framework.columns
        if column.error or column.finished
    )


def merge(frameworks, part=None):
    sources = {}
    for framework in frameworks:
        sources |= framework.sources()
    return {
        "schema": SCHEMA,
        "part": part and part_of(part),
        "machine": machine(),
        "frameworks": {
            f.name: f.status() | {"wrong": f.wrong()}
            for f in frameworks
        },
        "sources": dict(sorted(sources.items())),
        "rows": [row for f in frameworks for row in f.rows()],
    }


def part_of(part):
    """For results.json; None where all was asked for."""
    if not part.text:
        return None
    return {"asked": part.text, "frameworks": list(part.frameworks)}


def cache_of(device):
    """Rows of a GPU are kept apart: the device is in no digest."""
    return (
        CACHE
        if device == "cpu"
        else CACHE.with_name(f"{CACHE.name}-{device}")
    )


def frameworks_on(device, frameworks):
    """Which frameworks run there, as a word for selection.part.

    Raises: selection.Unknown for a device that is not here, and for a
        framework that does not run on it
    """
    if device == "cpu":
        return frameworks
    if not NVIDIA.exists():
        raise selection.Unknown(
            f"DEVICE={device}: there is no NVIDIA GPU here ({NVIDIA} is"
            " missing); make parity alone runs on the CPU"
        )
    return " ".join(
        selection.chosen(f"DEVICE={device}", frameworks, ON_DEVICES)
    )


def wanted_runs(part):
    """The runs of a part; raises Unknown where there are none."""
    found = [
        (case, precision, mode)
        for case, precision, mode in runs()
        if case.id in part.cases and precision in part.precisions
    ]
    if not found:
        raise selection.Unknown(
            f"{part.text}: expected at least one run, got none"
            " (make show CASE=... says in which precisions a case runs)"
        )
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--fixtures", type=pathlib.Path, default=FIXTURES
    )
    parser.add_argument("--output", type=pathlib.Path)
    for word in ("layer", "frameworks", "precision"):
        parser.add_argument(f"--{word}", default="")
    parser.add_argument("--isa", default="", choices=("", *ISAS))
    parser.add_argument("--device", default="", choices=("", *DEVICES))
    parser.add_argument("--fresh", action="store_true")
    args = parser.parse_args()
    device = args.device or "cpu"
    try:
        names = frameworks_on(device, args.frameworks)
        part = selection.part(args.layer, names, args.precision)
        wanted = wanted_runs(part)
    except selection.Unknown as error:
        print(error, file=sys.stderr)
        return 2
    if args.isa:
        limit(args.isa)
    console = Console()
    begin = time.monotonic()
    fresh = args.fresh or bool(os.environ.get("CI"))
    fixtures = args.fixtures.resolve()
    frameworks = asyncio.run(
        run_all(wanted, part, fixtures, fresh, console, device)
    )
    results = merge(frameworks, part)
    folder = "parity-part" if part.text else "parity"
    folder += f"-{args.isa}" if args.isa else ""
    folder += f"-{device}" if device != "cpu" else ""
    output = args.output or ROOT / "build" / folder
    write(output / "results.json", json.dumps(results, indent=1))
    write(output / "index.html", html(results))
    print_report(results, console)
    page = os.path.relpath(output / "index.html")
    seconds = time.monotonic() - begin
    console.print(
        f"{page} has the details; {seconds:.0f} s", style="dim"
    )
    return 0 if succeeded(results) else 1


if __name__ == "__main__":
    sys.exit(main())

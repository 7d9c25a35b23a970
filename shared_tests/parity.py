"""`make parity`: the four frameworks side by side, one matrix.

Each framework runs in its own environment and process (run.py). This one
starts them, shows what they are doing, and merges what they report into
build/parity/results.json, a terminal matrix and build/parity/index.html.
Exit status 0 only if all four ran to the end and every row passed.
"""

import argparse
import asyncio
import json
import os
import pathlib
import sys
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
)

from shared_tests.environments import (
    FRAMEWORKS,
    environment_error,
    last_line,
)
from shared_tests.files import ROOT, write
from shared_tests.fixture_files import FIXTURES
from shared_tests.processes import Child, Ended, Silent, module
from shared_tests.report import html, print_report, succeeded

SCHEMA = 1
STALL_SECONDS = 300  # without a sign of life, a process counts as hung


class Column:
    """What one framework has reported so far."""

    def __init__(self, framework):
        self.framework = framework
        self.versions = {}
        self.sources = {}
        self.rows = []
        self.doing = "starting"
        self.total = None
        self.started = 0
        self.finished = False
        self.error = None

    def take(self, event):
        word = event.pop("event")
        if word == "hello":
            self.total = event["total"]
            self.versions = event["versions"]
            self.sources = event["sources"]
        elif word == "start":
            self.started += 1
            what = "{case} ({mode}, {precision})".format(**event)
            self.doing = f"running {what}"
        elif word == "row":
            self.rows.append(event)
        elif word == "error":
            self.error = event["message"]
        elif word == "done":
            self.finished = True
            self.doing = "done"

    def status(self):
        if self.finished:
            return {
                "status": "ran",
                "reason": "",
                "versions": self.versions,
            }
        return {
            "status": "missing",
            "reason": self.error or "it never started",
            "versions": self.versions,
        }


def run_command(framework, fixtures):
    arguments = framework, "--fixtures", fixtures
    return module(framework, "shared_tests.run", *arguments)


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
    if getattr(error, "code", None) != 0 or not column.finished:
        column.finished = False
        column.error = column.error or ending(column, error, log)
    show(column)


def listen(column, child, show, stall):
    """Take what a process reports; returns how that came to its end."""
    with child:
        try:
            while True:
                column.take(json.loads(child.line(stall)))
                show(column)
        except (Ended, Silent) as error:
            return error


def ending(column, error, log):
    if isinstance(error, Silent):
        how = "no sign of life, so it was ended,"
    elif error.signal:
        how = f"stopped by {error.signal}"
    else:
        how = f"exit status {error.code}: {last_line(log)}"
    return f"{how} while {column.doing}"


def progress_display(console):
    return Progress(
        TextColumn("{task.fields[framework]:8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
        disable=not console.is_terminal,
    )


async def run_all(fixtures, console):
    logs = ROOT / "build" / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    columns = [Column(framework) for framework in FRAMEWORKS]
    with progress_display(console) as progress:
        tasks = {
            column.framework: progress.add_task(
                "starting", framework=column.framework, total=None
            )
            for column in columns
        }
        said = set()

        def show(column):
            text = column.error or column.doing
            progress.update(
                tasks[column.framework],
                total=column.total,
                completed=max(
                    0, column.started - (not column.finished)
                ),
                description=text,
            )
            over = column.finished or column.error
            if not console.is_terminal:
                tenth = 10 * column.started // (column.total or 1)
                mark = (column.framework, tenth, bool(over))
                if mark not in said:
                    said.add(mark)
                    count = f"{column.started}/{column.total or '?'}"
                    console.print(
                        f"{column.framework:8} {count:>8}  {text}",
                        markup=False,
                        highlight=False,
                        soft_wrap=True,
                    )

        async def run(column):
            column.error = environment_error(column.framework)
            if column.error:
                return show(column)
            log = logs / f"{column.framework}.log"
            command = run_command(column.framework, fixtures)
            return await follow(column, command, log, show)

        await asyncio.gather(*map(run, columns))
    return columns


def merge(columns):
    sources = {}
    for column in columns:
        sources |= column.sources
    return {
        "schema": SCHEMA,
        "frameworks": {c.framework: c.status() for c in columns},
        "sources": dict(sorted(sources.items())),
        "rows": [row for column in columns for row in column.rows],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--fixtures", type=pathlib.Path, default=FIXTURES
    )
    parser.add_argument(
        "--output", type=pathlib.Path, default=ROOT / "build" / "parity"
    )
    args = parser.parse_args()
    console = Console()
    begin = time.monotonic()
    columns = asyncio.run(run_all(args.fixtures.resolve(), console))
    results = merge(columns)
    write(args.output / "results.json", json.dumps(results, indent=1))
    write(args.output / "index.html", html(results))
    print_report(results, console)
    page = os.path.relpath(args.output / "index.html")
    seconds = time.monotonic() - begin
    console.print(
        f"{page} has the details; {seconds:.0f} s", style="dim"
    )
    return 0 if succeeded(results) else 1


if __name__ == "__main__":
    sys.exit(main())

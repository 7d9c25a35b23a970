"""`make broken-files`: 10,000 spoiled files for each reader, 200 kills.

python -m shared_tests.command broken-files [--minutes 60] [--files N]

Each reader loads spoiled files in its own environment (worker.py); a
worker that crashes or hangs is a finding under the number of its file,
and the next one goes on behind it. Then saves are killed (kills.py).
A line for each outcome goes to build/broken-files/, under the digest of
the readers' pages and of what spoils: the next run goes on there.
"""

import argparse
import json
import sys
import time
from collections import Counter

from rich.console import Console
from rich.table import Table

from shared_tests.environments import FRAMEWORKS, TITLES
from shared_tests.files import ROOT, append, json_lines, sha256
from shared_tests.hostile import kills
from shared_tests.processes import (
    Child,
    Ended,
    Silent,
    module,
)

FOLDER = ROOT / "build" / "broken-files"
FILES, KILLS = 10_000, 200
WAIT = 300  # seconds for a file; 20 of the processor end it before
READERS = ("own", "portable")
WHAT = ("refused", "as it was", "other numbers", "finding")


def digest():
    """Changes when the readers do, or what spoils the files."""
    paths = sorted((ROOT / "shared_tests" / "hostile").glob("*.py"))
    for framework in FRAMEWORKS:
        paths += sorted((ROOT / f"{framework}_impl").glob("*.py"))
    names = [p for p in paths if not p.name.startswith("test_")]
    return sha256(b"".join(p.read_bytes() for p in names))[:12]


def spoiled(framework, reader, first, last, deadline):
    """The outcomes of these files, one after the other."""
    while first < last and time.monotonic() < deadline:
        command = module(
            framework,
            "shared_tests.hostile.worker",
            *(framework, reader, str(first), str(last)),
        )
        at = first
        with Child(command) as child:
            try:
                while first < last and time.monotonic() < deadline:
                    at = json.loads(child.line(WAIT))
                    yield json.loads(child.line(WAIT))
                    first = at + 1
            except (Ended, Silent) as error:
                yield dict(
                    number=at,
                    how="",
                    what="finding",
                    words=f"{type(error).__name__}: {error}",
                    peak=0,
                )
                first = at + 1


def run(args, console, folder=FOLDER):
    """{(framework, reader): its outcomes}, of this run and earlier."""
    deadline = time.monotonic() + 60 * args.minutes
    found = {}
    for framework in FRAMEWORKS:
        for reader in READERS:
            name = f"{digest()}-{framework}-{reader}.jsonl"
            rows = json_lines(folder / name)
            found[framework, reader] = rows
            first = len(rows)
            with console.status("") as status:
                for row in spoiled(
                    framework, reader, first, args.files, deadline
                ):
                    append(folder / name, row)
                    rows.append(row)
                    if row["number"] % 50 == 0:
                        status.update(f"{name}: {row['number']}")
                    if row["what"] == "finding":
                        tell(console, framework, reader, row)
    return found


def tell(console, framework, reader, row):
    console.print(
        f"{framework} {reader} file {row['number']} ({row['how']}):"
        f" {row['words'][:500]}",
        markup=False,
    )


def table_of(found):
    table = Table("reader", "files", *WHAT, "peak MB")
    for (framework, reader), rows in found.items():
        count = Counter(row["what"] for row in rows)
        peak = max((row["peak"] for row in rows), default=0)
        table.add_row(
            f"{TITLES[framework]}, {reader}",
            str(len(rows)),
            *(str(count[what]) for what in WHAT),
            f"{peak / 2**20:.0f}",
        )
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--kills", type=int, default=KILLS)
    args = parser.parse_args()
    console = Console()
    found = run(args, console)
    console.print(table_of(found))
    wrong = any(
        row["what"] == "finding"
        for rows in found.values()
        for row in rows
    )
    for framework in FRAMEWORKS:
        for reader in READERS:
            words, bad = kills.asked(framework, reader, args.kills)
            console.print(f"{TITLES[framework]}, {reader}: {words}")
            wrong |= bad
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

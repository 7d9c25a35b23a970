"""The square of portable checkpoints, as rows and as a table.

python -m shared_tests.live.square_table       in all precisions

It prints the table of docs/checkpoints.md. Standard library only.
"""

import collections
import json
import tempfile

from shared_tests.environments import FRAMEWORKS, TITLES
from shared_tests.processes import Child, module

SECONDS = 600  # for one line, on a busy machine
COLUMNS = (
    "saved in",
    "loaded in",
    "files",
    "arrays",
    "the same file again",
    "outputs judged",
    "worst ratio",
    "outputs equal",
    "refused",
)
PRECISIONS = ("float64", "float32", "bfloat16", "float16")


def square(precisions=PRECISIONS):
    """[row] of square.py, each with the framework that loaded."""
    rows, children = [], {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            for name in FRAMEWORKS:
                given = "shared_tests.live.square", name, folder
                command = module(name, *given, *precisions)
                children[name] = Child(command)
            for child in children.values():
                json.loads(child.line(SECONDS))["saved"]
            for child in children.values():
                child.send(b"load\n", SECONDS)
            for name, child in children.items():
                row = json.loads(child.line(SECONDS))
                while "author" in row:
                    rows.append(row | dict(loader=name))
                    row = json.loads(child.line(SECONDS))
        finally:
            for child in children.values():
                child.stop()
    return rows


def table(rows):
    """One line for each author and loader."""
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|---" * len(COLUMNS) + "|"
    pairs = collections.defaultdict(list)
    for row in rows:
        pairs[row["author"], row["loader"]].append(row)
    for author in FRAMEWORKS:
        for loader in FRAMEWORKS:
            here = pairs[author, loader]
            judged = [r for r in here if r["judged"] == "budget"]
            equal = [r for r in here if r["judged"] == "equal"]
            cells = (
                TITLES[author],
                TITLES[loader],
                len(here),
                sum(r["arrays"] for r in here),
                sum(r["same"] is True for r in here),
                len(judged),
                f"{max(r['ratio'] for r in judged):.2f}",
                f"{sum(r['ratio'] == 0 for r in equal)} of {len(equal)}",
                sum(r["refused"] != "" for r in here),
            )
            yield f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    print(*table(square()), sep="\n")

"""`make mutants`: seeded faults, which the cases and tests must kill.

python -m shared_tests.trials.mutants [framework ...]
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

import os
import sys
import time
from collections import Counter
from concurrent import futures
from datetime import date

from shared_tests.environments import FRAMEWORKS
from shared_tests.files import ROOT, write
from shared_tests.trials import named_faults
from shared_tests.trials.equivalent_mutants import EQUIVALENT
from shared_tests.trials.mutant_trial import (
    WorkerError,
    every,
    place,
    read_rows,
    suite_digests,
    try_all,
)
from shared_tests.trials.mutant_worker import (
    ALLOWED,
    FEW,
    MANY,
    SLOW,
)

PAGE = ROOT / "docs" / "mutants.md"
TARGETS = {"named": 100.0, "systematic": 98.0}


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

Written by `make mutants`, {date}. What it does:
`shared_tests/trials/mutant_trial.py`.

A parity suite is worth what it catches. One fault at a time is put into the
pages of each framework; the cases, and where they see nothing the tests, must
fail. Systematic faults are small changes of the code, by the table in
`shared_tests/trials/mutate.py`; named ones are bugs that others have reported.
Percentages are of the faults tried that are not equivalent; targets: 100 % of
the named ones, 98 % of the systematic ones, in every framework. Left out:
`adapter`, pages of files, `parameters`, `checks` and `export`; `raise`, the
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

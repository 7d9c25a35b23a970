"""`make error-budgets`: the tables and plots of docs/error-budgets.md.

python -m shared_tests.trials.error_budgets [--table-only]
    [--criteria-only]      leaves the false-alarm trial's own tables

First the faulty runs: each named fault of the mutation trial, alone, in
a scratch copy of each framework's pages, and before them the pages as
they are. The cases nearest to the page are computed in float32 and held
against every criterion (criteria.py), nothing is decided yet: the worst
ratios are kept in build/criteria/, under the digest of the judge and the
SHA-256 of the page, so that a run that was interrupted goes on. Then the
lines of build/false_alarms/ are added up, and the page is written.
"""

import argparse
import subprocess
import sys
from concurrent import futures
from datetime import date

from rich.progress import Progress

from shared_tests.cases import CASES
from shared_tests.environments import FRAMEWORKS, environment_error
from shared_tests.files import ROOT, append, json_lines, write
from shared_tests.fixture_files import FIXTURES
from shared_tests.processes import finish, how_it_ended, module
from shared_tests.run import kind
from shared_tests.trials import (
    budget_plots,
    budget_tables,
    mutant_trial,
    mutate,
    named_faults,
)

FOLDER = ROOT / "build" / "criteria"
ALARMS = ROOT / "build" / "false_alarms"
PAGE = ROOT / "docs" / "error-budgets.md"
NEAR = 24  # cases that a fault is shown
STRAIGHT = "without a fault"
JUDGE = """roundoff/verdict.py roundoff/branches/settled.py
    roundoff/branches/choices.py trials/criteria.py
    trials/array_criteria.py trials/shapes.py""".split()


def digest():
    """Changes when the judge does, or what it judges by."""
    paths = [ROOT / "shared_tests" / name for name in JUDGE]
    return mutant_trial.digest_of(*paths, FIXTURES / "manifest.json")


# --- faulty runs


def shown(names):
    """The cases that a fault is shown, of all those near its page: the
    nearest that bring a flag which no nearer one has, then the others."""
    flags = {case.id: set(case.flags) for case in CASES}
    seen, first = set(), []
    for name in names:
        if flags[name] - seen:
            first.append(name)
            seen |= flags[name]
    others = (name for name in names if name not in first)
    return [*first, *others][:NEAR]


def orders(framework):
    """[(name, key, page, text, cases)]: as they are, then the faults."""
    near = mutant_trial.case_order(framework)
    every = sorted({name for names in near.values() for name in names})
    text = mutate.pages.source(framework, "linear.py")
    sha = mutant_trial.digest_of(*mutate.pages.paths(framework))
    yield STRAIGHT, sha, "linear.py", text, every
    for mutant in named_faults.mutants(framework):
        page = mutant.page, mutate.source(mutant)
        cases = shown(near.get(mutant.page, []))
        yield mutant.change, mutant.key, *page, cases


def read(framework):
    return mutant_trial.read_rows(framework, FOLDER / digest())


def measure(framework, folder, advance):
    """What every criterion makes of every named fault."""
    done, todo = read(framework), list(orders(framework))
    advance(total=len(todo))
    with mutant_trial.scratch(framework) as scratch:
        worker = mutant_trial.Worker(framework, scratch)
        worker.stall *= 4
        try:
            for name, key, page, text, cases in todo:
                if key not in done:
                    found = worker.ask(
                        measure=str(folder / "shapes"),
                        **dict(page=page, text=text, cases=cases),
                    )
                    row = dict(key=key, fault=name, found=found)
                    append(folder / f"{framework}.jsonl", row)
                advance()
        finally:
            worker.close()


def measure_all():
    folder = FOLDER / digest()
    count_shapes(folder / "shapes")
    with Progress() as progress, futures.ThreadPoolExecutor(2) as pool:

        def one(framework):
            task = progress.add_task(f"{framework} named faults")

            def advance(total=None):
                step = {"total": total} if total else {"advance": 1}
                progress.update(task, **step)

            measure(framework, folder, advance)

        list(pool.map(one, FRAMEWORKS))


def count_shapes(folder):
    """What the shapes allow, and PyTorch's second run."""
    if (folder / "allowed.json").exists():
        return
    command = module("pytorch", "shared_tests.trials.shapes", folder)
    code, said = finish(command, stdout=subprocess.PIPE)
    if code:
        raise mutant_trial.WorkerError(
            f"shapes.py: {how_it_ended(code)}", said
        )


def faults():
    """{(framework, fault): [(kind, without it, with it)]}

    Of every array of the cases that it was shown: {criterion: ratio}.
    """
    cases = {case.id: case for case in CASES}
    found = {}
    for framework in FRAMEWORKS:
        rows = read(framework)
        (_, key, *_), *rest = orders(framework)
        if key not in rows:
            continue
        right = rows[key]["found"]
        for name, key, *_ in rest:
            if key in rows:
                found[framework, name] = [
                    (
                        kind(cases[case], array, {}),
                        *(right[case][array], ratios),
                    )
                    for case, arrays in rows[key]["found"].items()
                    for array, ratios in arrays.items()
                ]
    return found


def straight():
    """[(framework, {criterion: ratio})] of the arrays without a fault."""
    found = []
    for framework in FRAMEWORKS:
        rows = read(framework)
        _, key, *_ = next(orders(framework))
        for arrays in rows.get(key, {"found": {}})["found"].values():
            found += [(framework, each) for each in arrays.values()]
    return found


# --- the false-alarm trial, and the page


def alarm_lines():
    """The lines of the latest run, and of those with its digest."""
    paths = ALARMS.glob("*.jsonl")
    latest = max(paths, key=lambda p: p.stat().st_mtime, default=None)
    return json_lines(latest) if latest else []


def write_page(page=PAGE, criteria_only=False):
    """What stands between the marks of the page, and its plots."""
    lines, found, suite = alarm_lines(), faults(), straight()
    today = date.today().isoformat()
    parts = {
        "criteria": budget_tables.criteria_table(found, suite, lines),
        "fresh": budget_tables.fresh_sentence(lines, today),
        "kinds": budget_tables.kind_table(found, lines),
        "missed": budget_tables.missed_table(found),
    }
    if not criteria_only:
        parts |= {
            "trial": budget_tables.summary(lines, today),
            "modes": budget_tables.mode_table(lines),
            "layers": budget_tables.layer_table(lines),
        }
    text = page.read_text()
    for name, part in parts.items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
        before, rest = text.split(start)
        text = before + start + part + "\n" + end + rest.split(end)[1]
    plot = page.with_suffix(".svg")
    write(plot, budget_plots.criteria_plot(found, suite, lines))
    if not criteria_only:
        plot = page.with_name("false-alarms.svg")
        write(plot, budget_plots.ratios_plot(lines))
    write(page, text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--table-only", action="store_true")
    parser.add_argument("--criteria-only", action="store_true")
    args = parser.parse_args()
    if not args.table_only:
        missing = [e for f in FRAMEWORKS if (e := environment_error(f))]
        if missing:
            print("\n".join(missing))
            return 1
        measure_all()
    write_page(criteria_only=args.criteria_only)
    return 0


if __name__ == "__main__":
    sys.exit(main())

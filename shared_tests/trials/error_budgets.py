"""`make error-budgets`: the tables and plots of docs/error-budgets.md.

python -m shared_tests.trials.error_budgets [--table-only]

First the faulty runs: each named fault of the mutation trial, alone, in
a scratch copy of each framework's pages, and before them the pages as
they are. The cases nearest to the page are computed in float32 and held
against every criterion (criteria.py), nothing is decided yet: the worst
ratios are kept in build/criteria/, under the SHA-256 of the page, so
that a run that was interrupted goes on. Then the lines of
build/false_alarms/ are added up, and the page is written.
"""

import argparse
import io
import math
import subprocess
import sys
from collections import Counter
from concurrent import futures
from datetime import date

import numpy as np
from rich.progress import Progress

from shared_tests.environments import FRAMEWORKS, environment_error
from shared_tests.files import ROOT, append, json_lines, write
from shared_tests.live.random_rows import LOW
from shared_tests.processes import finish, how_it_ended, module
from shared_tests.trials import (
    mutant_trial,
    mutate,
    named_faults,
)
from shared_tests.trials.criteria import NAMES
from shared_tests.trials.mutants import table

FOLDER = ROOT / "build" / "criteria"
ALARMS = ROOT / "build" / "false_alarms"
PAGE = ROOT / "docs" / "error-budgets.md"
NEAR = 16  # cases that a fault is shown
STRAIGHT = "without a fault"
TITLES = {
    "abs 1e-5": "absolute 1e-5 (Hugging Face)",
    "assert_close": "`torch.testing.assert_close`",
    "allclose": "`numpy.allclose`",
    "jax": "JAX's test utilities",
    "onnx": "ONNX backend tests",
    "webnn": "WebNN: ulps from the shapes",
    "budget": "**error budget, 16 u sigma**",
}


# --- faulty runs


def orders(framework):
    """[(name, key, page, text, cases)]: as they are, then the faults."""
    near, hints = (
        mutant_trial.case_order(framework),
        mutant_trial.killers(),
    )
    every = sorted({name for names in near.values() for name in names})
    text = mutate.pages.source(framework, "linear.py")
    sha = mutant_trial.digest_of(*mutate.pages.paths(framework))
    yield STRAIGHT, sha, "linear.py", text, every
    for mutant in named_faults.mutants(framework):
        cases = near.get(mutant.page, [])
        first = hints.get(mutant_trial.spot(mutant), [])[:4]
        first = [name for name in first if name in cases]
        cases = [*first, *(name for name in cases if name not in first)]
        page = mutant.page, mutate.source(mutant)
        yield mutant.change, mutant.key, *page, cases[:NEAR]


def read(framework):
    return mutant_trial.read_rows(framework, FOLDER)


def measure(framework, tolerances, advance):
    """What every criterion makes of every named fault."""
    done, todo = read(framework), list(orders(framework))
    advance(total=len(todo))
    with mutant_trial.scratch(framework) as folder:
        worker = mutant_trial.Worker(framework, folder)
        worker.stall *= 4
        try:
            for name, key, page, text, cases in todo:
                if key not in done:
                    found = worker.ask(
                        measure=str(tolerances),
                        **dict(page=page, text=text, cases=cases),
                    )
                    row = dict(key=key, fault=name, found=found)
                    append(FOLDER / f"{framework}.jsonl", row)
                advance()
        finally:
            worker.close()


def measure_all():
    FOLDER.mkdir(parents=True, exist_ok=True)
    tolerances = FOLDER / "webnn.json"
    command = module("pytorch", "shared_tests.trials.webnn")
    code, said = finish(command, stdout=subprocess.PIPE)
    if code:
        raise mutant_trial.WorkerError(
            f"webnn.py: {how_it_ended(code)}"
        )
    write(tolerances, said)
    with Progress() as progress, futures.ThreadPoolExecutor(2) as pool:

        def one(framework):
            task = progress.add_task(f"{framework} named faults")

            def advance(total=None):
                step = {"total": total} if total else {"advance": 1}
                progress.update(task, **step)

            measure(framework, tolerances, advance)

        list(pool.map(one, FRAMEWORKS))


def faults():
    """{(framework, fault): {criterion: [(without, with the fault)]}}

    The worst ratios of every array of the cases that it was shown.
    """
    found = {}
    for framework in FRAMEWORKS:
        rows = read(framework)
        (_, key, *_), *rest = orders(framework)
        if key not in rows:
            continue
        right = rows[key]["found"]
        for name, key, *_ in rest:
            if key in rows:
                found[framework, name] = {
                    criterion: [
                        (
                            right[case][array][criterion],
                            ratio[criterion],
                        )
                        for case, arrays in rows[key]["found"].items()
                        for array, ratio in arrays.items()
                    ]
                    for criterion in NAMES
                }
    return found


def missed(pairs, factor=1.0):
    """No array fails that does not fail without the fault."""
    return not any(good <= factor < bad for good, bad in pairs)


def showing(found):
    """{criterion: arrays that show a fault}, and those of any of them."""
    count, any_ = Counter(), 0
    for pairs in found.values():
        shown = {
            name: [good <= 1 < bad for good, bad in pairs[name]]
            for name in NAMES
        }
        count.update({name: sum(each) for name, each in shown.items()})
        any_ += sum(map(any, zip(*shown.values())))
    return count, any_


def straight():
    """{criterion: ratio of every array} of the cases without a fault."""
    found = {name: [] for name in NAMES}
    for framework in FRAMEWORKS:
        rows = read(framework)
        _, key, *_ = next(orders(framework))
        for arrays in rows.get(key, {"found": {}})["found"].values():
            for ratios in arrays.values():
                for name in NAMES:
                    found[name].append(ratios[name])
    return found


# --- the false-alarm trial


def alarm_lines():
    """The lines of the latest run, and of those with its digest."""
    paths = ALARMS.glob("*.jsonl")
    latest = max(paths, key=lambda p: p.stat().st_mtime, default=None)
    return json_lines(latest) if latest else []


def answers(lines):
    """(line, mode, framework, what was found)"""
    for line in lines:
        for mode, each in line["modes"].items():
            for framework, found in each.items():
                if found["arrays"]:
                    yield line, mode, framework, found


def short(mode):
    """Both of 16 bits are one column."""
    precision, how = mode.split()
    return f"16 bits {how}" if precision in LOW else mode


def peaks(lines):
    """{mode: {criterion: worst ratio of every array}}"""
    found = {}
    for _, mode, _, one in answers(lines):
        kept = found.setdefault(short(mode), {n: [] for n in NAMES})
        for name in NAMES:
            kept[name] += one["peaks"][name]
    return found


# --- the page


def share(ratios, limit=1.0):
    """Percent above the limit."""
    over = sum(ratio > limit for ratio in ratios)
    if not ratios:
        return "-"
    percent = 100 * over / len(ratios)
    return f"{percent:.3g} % ({over:,})" if over else "0"


def criteria_table(found, suite, lines):
    trial = peaks(lines)
    modes = ["float32 eager", "float64 eager", "16 bits eager"]
    shown, any_ = showing(found)
    rows = []
    for name in NAMES:
        count = sum(missed(pairs[name]) for pairs in found.values())
        rows.append(
            [
                TITLES[name],
                f"{count} of {len(found)}",
                f"{100 * shown[name] / max(any_, 1):.1f} % of {any_:,}",
                share(suite[name]),
                *(share(trial.get(m, {}).get(name, [])) for m in modes),
            ]
        )
    head = "criterion|faults missed|arrays in which a fault shows"
    head += "|correct arrays rejected: the cases"
    head += "|fresh, float32|fresh, float64|fresh, 16 bits"
    return table(head.split("|"), rows)


def missed_table(found):
    """Each fault that some criterion misses: in how many frameworks."""
    rows = []
    for fault in named_faults.FAULTS:
        cells = []
        for name in NAMES:
            count = sum(
                missed(found[framework, fault.name][name])
                for framework in FRAMEWORKS
                if (framework, fault.name) in found
            )
            cells.append(str(count) if count else "")
        if any(cells):
            rows.append([fault.name, *cells])
    return table(
        ["fault", *(TITLES[n].strip("*") for n in NAMES)], rows
    )


def summary(lines):
    """What the trial amounts to, in a sentence."""
    elements = sum(one["elements"] for *_, one in answers(lines))
    arrays = sum(one["arrays"] for *_, one in answers(lines))
    alarms = sum(
        len(found["alarms"])
        for line in lines
        for each in line["modes"].values()
        for found in each.values()
    )
    top, where = max(
        (
            (one["worst"], f"{fw} {line['layer']} {one['at']}, {mode}")
            for line, mode, fw, one in answers(lines)
        ),
        default=(0, "-"),
    )
    undecided = sum(
        one.get("undecided", 0) for *_, one in answers(lines)
    )
    return (
        f"{elements:,} comparisons in {arrays:,} arrays of {len(lines):,}"
        f" fresh cases, each with a seed of its own: {alarms} alarms."
        f" Worst ratio {top:.2f} ({where}). Left out: {undecided:,} elements"
        " where the budget has no verdict, since overflow or underflow"
        " decides or since noise turns them into NaN."
        f" {date.today().isoformat()}."
    )


def layer_table(lines):
    """Worst ratio by layer and framework, in all modes."""
    cells, count = {}, Counter()
    for line, _, framework, one in answers(lines):
        place = line["layer"], framework
        cells[place] = max(cells.get(place, 0), one["worst"])
        count[line["layer"]] += one["elements"]
    return table(
        ["layer", "comparisons", *FRAMEWORKS],
        [
            [
                layer,
                f"{n:,}",
                *(
                    f"{cells[layer, fw]:.2f}"
                    if (layer, fw) in cells
                    else "-"
                    for fw in FRAMEWORKS
                ),
            ]
            for layer, n in sorted(count.items())
        ],
    )


def mode_table(lines):
    """By mode and framework: comparisons, and quantiles of the error."""
    bins, worst_of = {}, {}
    for _, mode, framework, one in answers(lines):
        place = short(mode), framework
        kept = bins.setdefault(
            place, np.zeros(len(one["bins"]) or 65, int)
        )
        if one["bins"]:
            kept += np.array(one["bins"])
        worst_of[place] = max(worst_of.get(place, 0), one["worst"])

    def beyond(kept, sigmas):
        part = kept[4 * sigmas :].sum() / max(kept.sum(), 1)
        return f"{part:.1e}" if part else "0"

    rows = [
        [
            *place,
            f"{kept.sum():,}",
            *(beyond(kept, s) for s in (1, 2, 4, 8)),
            f"{worst_of[place]:.2f}",
        ]
        for place, kept in sorted(bins.items())
    ]
    head = ["mode", "framework", "comparisons"]
    head += [f"beyond {s} sigma" for s in (1, 2, 4, 8)]
    return table([*head, "worst ratio"], rows)


# --- plots


def pyplot():
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "budgets"
    from matplotlib import pyplot

    return pyplot


def plot_criteria(found, lines, path):
    """False alarms against missed faults; each line scales a tolerance."""
    trial = peaks(lines).get("float32 eager", {n: [1] for n in NAMES})
    figure, axis = pyplot().subplots(figsize=(8, 5))
    factors = np.logspace(-3, 5, 160)
    for number, name in enumerate(NAMES):
        alarms = np.sort(trial[name])
        every = [pairs[name] for pairs in found.values()]

        def curve(f, alarms=alarms, every=every):
            over = len(alarms) - np.searchsorted(alarms, f, "right")
            under = [
                np.mean([missed(pairs, one) for pairs in every])
                for one in np.atleast_1d(f)
            ]
            return 100 * over / len(alarms), 100 * np.array(under)

        color = "k" if name == "budget" else f"C{number}"
        wide = 2.5 if name == "budget" else 1
        axis.plot(*curve(factors), color=color, lw=wide, alpha=0.6)
        title = TITLES[name].strip("*").replace("`", "")
        axis.plot(
            *(np.atleast_1d(v) for v in curve(1.0)),
            "o" if name != "budget" else "*",
            color=color,
            ms=8 if name != "budget" else 16,
            label=title,
        )
    axis.set_xscale("symlog", linthresh=0.1)
    axis.set_xlim(-0.01, 100)
    axis.set_ylim(-2, 100)
    axis.set_xlabel("correct float32 arrays rejected, %")
    axis.set_ylabel("planted faults missed, %")
    axis.grid(alpha=0.3)
    axis.legend(fontsize="small")
    figure.tight_layout()
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    write(path, text.getvalue())


def plot_ratios(lines, path):
    """By layer: which share of the elements is off by more than x sigma."""
    layers = sorted({line["layer"] for line in lines})
    columns = 6
    rows = math.ceil(len(layers) / columns)
    figure, axes = pyplot().subplots(
        *(rows, columns),
        figsize=(14, 2.2 * rows),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    styles = {"float32 eager": "-", "float32 compiled": ":"}
    styles |= {"float64 eager": "--", "16 bits eager": "-."}
    bins = {}
    for line, mode, framework, one in answers(lines):
        if one["bins"]:
            place = line["layer"], short(mode), framework
            bins[place] = bins.get(place, 0) + np.array(one["bins"])
    for axis, layer in zip(axes.flat, layers):
        for color, framework in enumerate(FRAMEWORKS):
            for mode, style in styles.items():
                kept = bins.get((layer, mode, framework))
                if kept is None or not kept.sum():
                    continue
                over = kept[::-1].cumsum()[::-1] / kept.sum()
                at = np.arange(len(over)) / 4
                shown = over > 0
                axis.semilogy(
                    *(at[shown], over[shown], style),
                    color=f"C{color}",
                    lw=1,
                )
        axis.axvline(16, color="k", lw=1)
        axis.set_title(layer, fontsize="small")
        axis.grid(alpha=0.3)
    for axis in axes.flat[len(layers) :]:
        axis.set_axis_off()
    figure.supxlabel("|error| / sigma; the limit is 16")
    figure.supylabel("share of the elements beyond")
    handles = [
        pyplot().Line2D([], [], color=f"C{n}", label=framework)
        for n, framework in enumerate(FRAMEWORKS)
    ]
    handles += [
        pyplot().Line2D([], [], color="0.3", ls=style, label=mode)
        for mode, style in styles.items()
    ]
    figure.legend(
        handles=handles, loc="lower right", ncols=2, fontsize="small"
    )
    figure.tight_layout()
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    write(path, text.getvalue())


def write_page(page=PAGE):
    """What stands between the marks of the page, and its two plots."""
    lines, found, suite = alarm_lines(), faults(), straight()
    parts = {
        "trial": summary(lines),
        "modes": mode_table(lines),
        "layers": layer_table(lines),
        "criteria": criteria_table(found, suite, lines),
        "missed": missed_table(found),
    }
    text = page.read_text()
    for name, part in parts.items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
        before, rest = text.split(start)
        text = before + start + part + "\n" + end + rest.split(end)[1]
    plot_criteria(found, lines, page.with_suffix(".svg"))
    plot_ratios(lines, page.with_name("false-alarms.svg"))
    write(page, text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--table-only", action="store_true")
    if not parser.parse_args().table_only:
        missing = [e for f in FRAMEWORKS if (e := environment_error(f))]
        if missing:
            print("\n".join(missing))
            return 1
        measure_all()
    write_page()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The tables of docs/error-budgets.md, from rows that were measured.

found: {(framework, fault): [(kind, without it, with it)]}, of every
    array {criterion: ratio}, as error_budgets.faults() has them
suite: [(framework, {criterion: ratio})], of all cases without a fault
lines: of the false-alarm trial, one a case (false_alarms.py)
"""

from collections import Counter

import numpy as np

from shared_tests.environments import FRAMEWORKS
from shared_tests.live.random_rows import LOW
from shared_tests.trials import named_faults
from shared_tests.trials.array_criteria import TWO_RUNS
from shared_tests.trials.criteria import NAMES
from shared_tests.trials.mutants import table

TITLES = {
    "abs 1e-5": "absolute 1e-5 (Hugging Face)",
    "assert_close": "`torch.testing.assert_close`",
    "allclose": "`numpy.allclose`",
    "jax": "JAX's test utilities",
    "onnx": "ONNX backend tests",
    "webnn": "WebNN: ulps from the shapes",
    "polygraphy": "Polygraphy: 1e-5, either way",
    "nvfuser": "nvFuser: by the number of terms",
    "xformers": "xFormers: attention's tolerances",
    "same": "torch's `same`: RMSE, twice *",
    "same small": "the same for small tensors, 8 and 10 times *",
    "flash": "flash-attention: largest error, twice *",
    "neuron": "AWS Neuron, three ways *",
    "ascend": "Ascend msprobe, L0 *",
    "pcc": "Pearson's correlation 0.99 (tt-metal)",
    "budget": "**error budget, 16 u sigma**",
    "settled": "**the same, prescribed decisions settled**",
}
KINDS = {
    "output": "outputs",
    "input_grad": "input gradients",
    "param_grad": "parameter gradients",
}
EAGER = "float32 eager", "float64 eager", "16 bits eager"


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
    """{(mode, kind): {criterion: worst ratio of every array}}"""
    found = {}
    for _, mode, _, one in answers(lines):
        for kind, by_name in one["peaks"].items():
            kept = found.setdefault((short(mode), kind), {})
            for name, ratios in by_name.items():
                kept.setdefault(name, []).extend(ratios)
    return found


def of_mode(trial, mode, name):
    """The ratios of all kinds of arrays."""
    return [
        ratio
        for (its, _), by_name in trial.items()
        if its == mode
        for ratio in by_name.get(name, [])
    ]


def pairs(arrays, name):
    """(without, with the fault): two ratios of each array."""
    return [
        (good.get(name, np.inf), bad.get(name, np.inf))
        for _, good, bad in arrays
    ]


def missed(arrays, name, factors=1.0):
    """No array fails that does not fail without the fault; for each
    factor that the tolerance is multiplied by."""
    factors = np.atleast_1d(factors)
    each = np.array(pairs(arrays, name)).reshape(-1, 2, 1)
    seen = (each[:, 0] <= factors) & (factors < each[:, 1])
    return ~seen.any(axis=0)


def showing(found):
    """{kind: ({criterion: arrays that show a fault}, those of any)}"""
    count = {}
    for arrays in found.values():
        for kind, good, bad in arrays:
            own, total = count.setdefault(kind, (Counter(), Counter()))
            seen = {
                name
                for name in NAMES
                if good.get(name, np.inf) <= 1 < bad.get(name, np.inf)
            }
            own.update(seen)
            total["any"] += bool(seen)
    return {
        kind: (own, total["any"])
        for kind, (own, total) in count.items()
    }


def share(ratios, limit=1.0):
    """Percent above the limit."""
    over = sum(ratio > limit for ratio in ratios)
    if not ratios:
        return "-"
    percent = 100 * over / len(ratios)
    return f"{percent:.3g} % ({over:,})" if over else "0"


def part(shown, name, kinds):
    """Of the arrays in which a fault shows, those where this one sees it"""
    some = [shown[kind] for kind in kinds if kind in shown]
    total = sum(any_ for _, any_ in some)
    if not total:
        return "-"
    seen = sum(own[name] for own, _ in some)
    return f"{100 * seen / total:.1f} % of {total:,}"


def of_suite(suite, name):
    """PyTorch is not held against a second run of itself."""
    own = "pytorch" if name in TWO_RUNS else None
    return [
        ratios[name]
        for framework, ratios in suite
        if framework != own and name in ratios
    ]


def criteria_table(found, suite, lines):
    trial, shown = peaks(lines), showing(found)
    rows = []
    for name in NAMES:
        count = sum(
            bool(missed(arrays, name)[0]) for arrays in found.values()
        )
        rows.append(
            [
                TITLES[name],
                f"{count} of {len(found)}",
                part(shown, name, shown),
                share(of_suite(suite, name)),
                *(share(of_mode(trial, m, name)) for m in EAGER),
            ]
        )
    head = "criterion|faults missed|arrays in which a fault shows"
    head += "|correct arrays rejected: the cases"
    head += "|fresh, float32|fresh, float64|fresh, 16 bits"
    return table(head.split("|"), rows)


def kind_table(found, lines):
    """Outputs and gradients apart."""
    trial, shown = peaks(lines), showing(found)
    rows = [
        [
            TITLES[name],
            *(part(shown, name, [kind]) for kind in KINDS),
            *(
                share(trial.get((EAGER[0], kind), {}).get(name, []))
                for kind in KINDS
            ),
        ]
        for name in NAMES
    ]
    head = ["criterion"]
    head += [f"a fault shows: {title}" for title in KINDS.values()]
    head += [f"correct, rejected: {title}" for title in KINDS.values()]
    return table(head, rows)


def missed_table(found):
    """Each fault that some criterion misses: in how many frameworks."""
    rows = []
    for fault in named_faults.FAULTS:
        cells = []
        for name in NAMES:
            count = sum(
                bool(missed(found[framework, fault.name], name)[0])
                for framework in FRAMEWORKS
                if (framework, fault.name) in found
            )
            cells.append(str(count) if count else "")
        if any(cells):
            rows.append([fault.name, *cells])
    return table(["fault", *NAMES], rows)


def fresh_sentence(lines, today):
    """What the columns of fresh arrays are made of."""
    arrays = sum(
        one["arrays"]
        for _, mode, _, one in answers(lines)
        if short(mode) in EAGER
    )
    layers = len({line["layer"] for line in lines})
    return (
        f"Fresh: {arrays:,} arrays, computed eagerly, of {len(lines):,}"
        f" cases of the false-alarm trial with {layers} layers, {today}."
    )


def summary(lines, today):
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
        f" {today}."
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

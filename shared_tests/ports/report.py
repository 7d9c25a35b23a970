"""The tables of docs/ports.md from the rows of build/ports/results.json.

An item is a family, a model or a layer; its rows are runs: one port, one
seed, one size of weights. A run is off if one of its arrays is outside
the budget, and rejected by another criterion where one is outside that.
"""

import re
from collections import defaultdict

from shared_tests.files import ROOT, write
from shared_tests.ports.measuring import CRITERIA

PAGES = (
    ROOT / "docs" / "ports.md",
    ROOT / "docs" / "ports" / "deviations.md",
)
DASH = "-"


def table(head, rows):
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in rows:
        lines.append(f"| {' | '.join(str(cell) for cell in row)} |")
    return "\n".join(lines)


def number(value):
    """Three digits, short; a power of ten where it is large."""
    if value == float("inf"):
        return "∞"
    return f"{value:.2f}" if value < 100 else f"{value:.3g}"


def of_part(results, part):
    return [item for item in results["items"] if item["part"] == part]


def runs_of(items):
    """[(item's name, row)] of all runs that have numbers."""
    return [
        (item["name"], row)
        for item in items
        for row in item["rows"]
        if row.get("arrays")
    ]


def worst(row, criterion="budget"):
    """The largest ratio of a run; infinite for a wrong shape."""
    return max(
        found.get(criterion, float("inf"))
        for found in row["arrays"].values()
    )


def elements(row):
    return sum(f.get("elements", 0) for f in row["arrays"].values())


def first_outside(row):
    for name, found in row["arrays"].items():
        if found.get("budget", float("inf")) > 1:
            return name
    return ""


def by_pair(items):
    """{(item, port): its runs}"""
    pairs = defaultdict(list)
    for name, row in runs_of(items):
        pairs[name, row["port"]].append(row)
    return pairs


def split(pairs):
    """(pairs that agree, pairs that are off): one run off is enough."""
    off = {
        key: rows
        for key, rows in pairs.items()
        if any(worst(row) > 1 for row in rows)
    }
    return {k: v for k, v in pairs.items() if k not in off}, off


def rejected(rows, criterion):
    return sum(worst(row, criterion) > 1 for row in rows)


# --- tables


def agreement(items):
    """What each criterion says of pairs that agree, port by port."""
    good, off = split(by_pair(items))
    ports = list(dict.fromkeys(port for _, port in good))
    lines = []
    for chosen in (*ports, None):
        pairs = [k for k in good if chosen in (None, k[1])]
        rows = [row for key in pairs for row in good[key]]
        peak = number(max(map(worst, rows), default=0))
        total = sum(map(elements, rows))
        cells = [
            chosen or "all",
            len(pairs),
            len(rows),
            f"{total:,}",
            peak,
        ]
        lines.append([*cells, *(rejected(rows, c) for c in CRITERIA)])
    head = ["port", "pairs", "runs", "elements", "worst ratio"]
    text = table(
        [*head, *(f"rejected by {c}" for c in CRITERIA)], lines
    )
    return (
        f"{text}\n\nPairs that are off, not counted above: {len(off)}."
    )


def grid(items):
    """Items down, ports across: the worst ratio of all runs."""
    pairs = by_pair(items)
    ports = list(dict.fromkeys(port for _, port in pairs))
    rows = []
    for item in items:
        name = item["name"]
        cells = []
        for port in ports:
            some = pairs.get((name, port), [])
            peak = number(max(map(worst, some))) if some else DASH
            off = some and max(map(worst, some)) > 1
            cells.append(f"**{peak}**" if off else peak)
        count = sum(elements(r) for n, r in runs_of([item]))
        rows.append([name, *cells, f"{count:,}"])
    return table(["", *ports, "elements"], rows)


def off_table(items):
    """Pairs that are off: where first, and who else sees it."""
    _, off = split(by_pair(items))
    rows = []
    for (name, port), some in off.items():
        first = next(filter(None, map(first_outside, some)))
        cells = [name, port, f"`{first}`"]
        for factor in (1.0, 6.0):
            those = [r for r in some if r["factor"] == factor]
            if not those:
                cells += [DASH] * len(CRITERIA)
                continue
            low, high = (f(map(worst, those)) for f in (min, max))
            both = dict.fromkeys([number(low), number(high)])
            cells.append(" to ".join(both))
            for criterion in CRITERIA[1:]:
                seen = rejected(those, criterion)
                cells.append(f"{seen} of {len(those)}")
        rows.append(cells)
    head = ["", "port", "first array outside"]
    for weights in ("as drawn", "times 6"):
        head += [f"ratio, weights {weights}"]
        head += [f"seen by {c}" for c in CRITERIA[1:]]
    return table(head, rows)


def long_table(items):
    """One line for each item and port, with every criterion."""
    rows = []
    for (name, port), some in by_pair(items).items():
        array = max(
            (
                (f.get("budget", float("inf")), a)
                for r in some
                for a, f in r["arrays"].items()
            ),
        )[1]
        cells = [name, port, len(some), f"{sum(map(elements, some)):,}"]
        cells += [number(max(map(worst, some))), f"`{array}`"]
        cells += [rejected(some, c) for c in CRITERIA]
        rows.append(cells)
    head = ["", "port", "runs", "elements", "worst ratio", "where"]
    return table([*head, *(f"rejected by {c}" for c in CRITERIA)], rows)


def tutorial_table(items):
    """The port as described and repaired, by the tutorial's criterion."""
    rows = []
    for (_, port), some in by_pair(items).items():
        firsts = dict.fromkeys(filter(None, map(first_outside, some)))
        passed = sum(row["passes 1e-1"] for row in some)
        low, high = (f(map(worst, some)) for f in (min, max))
        rows.append(
            [
                *(port, len(some), f"{number(low)} to {number(high)}"),
                ", ".join(f"`{name}`" for name in firsts) or DASH,
                f"{passed} of {len(some)}",
            ]
        )
    head = ["port", "runs", "worst ratio", "first array outside"]
    return table([*head, "passes 1e-1"], rows)


def faults_table(items):
    """Each fault: is the first array outside the expected one?"""
    found = defaultdict(list)
    for name, row in runs_of(items):
        found[row["fault"], row["factor"]].append((name, row))
    rows = []
    for fault in dict.fromkeys(f for f, _ in found):
        cells = [fault]
        for factor in (1.0, 6.0):
            some = found.get((fault, factor), [])
            right = sum(
                first_outside(r) == r["expected"] for _, r in some
            )
            cells.append(f"{right} of {len(some)}")
            there = [ratio_there(r) for _, r in some]
            cells.append(number(min(there)) if there else DASH)
            seen = rejected([r for _, r in some], "assert_close")
            cells.append(f"{seen} of {len(some)}")
        rows.append(cells)
    head = ["fault"]
    for weights in ("as drawn", "times 6"):
        head += [f"first layer named right, weights {weights}"]
        head += ["smallest ratio there", "rejected by assert_close"]
    return table(head, rows)


def ratio_there(row):
    """At the first array that may be wrong; anywhere, where none may."""
    where = row["expected"]
    found = row["arrays"].get(where)
    return found["budget"] if found else worst(row)


def errors_table(items):
    """What did not run, and why."""
    rows = [
        [i["name"], "all", i["error"]] for i in items if i.get("error")
    ]
    for item in items:
        seen = {}
        for row in item["rows"]:
            if row.get("error"):
                seen[row["port"]] = row["error"]
        rows += [
            [item["name"], port, why] for port, why in seen.items()
        ]
    escaped = [[a, b, c.replace("|", "\\|")] for a, b, c in rows]
    return table(["", "port", "error"], escaped) if rows else "None."


def repairs_table(items):
    """Each deviation as it is, and with its line repaired."""
    rows = []
    for item in items:
        for row in item["rows"]:
            rows.append(
                [
                    f"[`{item['name']}`](#{item['name']})",
                    number(row["factor"]),
                    number(row["as it is"]),
                    number(row["repaired"]),
                    row["printed"] or DASH,
                ]
            )
    head = ["deviation", "weights times", "as it is", "repaired"]
    return table([*head, "its lines print"], rows)


def alarms_table(items):
    good, off = split(by_pair(items))
    rows = [row for some in good.values() for row in some]
    total = sum(map(elements, rows))
    peak = max(map(worst, rows), default=0)
    names = ", ".join(f"{n} {p}" for n, p in off) or "none"
    return table(
        ["pairs", "runs", "comparisons", "alarms", "worst ratio"],
        [
            [
                len(good) + len(off),
                len(rows),
                f"{total:,}",
                names,
                number(peak),
            ]
        ],
    )


COUNTED = ("families", "models", "gradients", "alarms")


def comparisons(results):
    """All elements of pairs that agree, in one sentence."""
    rows = []
    for part in COUNTED:
        good, _ = split(by_pair(of_part(results, part)))
        rows += [row for some in good.values() for row in some]
    total = sum(map(elements, rows))
    peak = number(max(map(worst, rows), default=0))
    return (
        f"In the parts {', '.join(COUNTED)} together: {total:,} elements"
        f" of {len(rows)} runs of pairs that agree, none outside its"
        f" budget; worst ratio {peak}."
    )


def where_from(results):
    """When, on what, with which versions."""
    dates = sorted({item["date"] for item in results["items"]})
    seconds = sum(item["seconds"] for item in results["items"])
    span = " to ".join(dict.fromkeys([dates[0], dates[-1]]))
    libraries = ", ".join(
        f"{k} {v}" for k, v in results["versions"].items()
    )
    text = (
        f"Measured {span} on {results['machine']}:"
        f" {libraries}. {len(results['items'])} items,"
        f" {seconds / 60:.0f} minutes."
    )
    codes = defaultdict(set)
    for item in results["items"]:
        codes[item["part"]].add(item["digest"])
    mixed = [part for part, some in codes.items() if len(some) > 1]
    if mixed:
        names = ", ".join(mixed)
        text += f" Rows of more than one version of the code: {names}."
    return text


BLOCKS = {
    "about": where_from,
    "comparisons": comparisons,
    "families summary": lambda r: agreement(of_part(r, "families")),
    "families": lambda r: grid(of_part(r, "families")),
    "families off": lambda r: off_table(of_part(r, "families")),
    "models": lambda r: long_table(of_part(r, "models")),
    "keras-hub": lambda r: long_table(of_part(r, "keras-hub")),
    "layers": lambda r: long_table(of_part(r, "layers")),
    "optimizers": lambda r: long_table(of_part(r, "optimizers")),
    "gradients": lambda r: long_table(of_part(r, "gradients")),
    "tutorial": lambda r: tutorial_table(of_part(r, "tutorial")),
    "faults": lambda r: faults_table(of_part(r, "faults")),
    "alarms": lambda r: alarms_table(of_part(r, "alarms")),
    "repairs": lambda r: repairs_table(of_part(r, "deviations")),
    "errors": lambda r: errors_table(r["items"]),
}


def opened(text):
    """Names of the blocks of a page."""
    return re.findall("<!-- ([a-z -]+) -->\n", text)


def replaced(text, results):
    """The page with its tables between <!-- name --> and <!-- /name -->.

    Raises: ValueError for a block that is opened and not closed, or that
        nothing fills
    """
    for name in opened(text):
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if name not in BLOCKS or text.count(end) != 1:
            raise ValueError(
                f"report.py: expected one {end} and a block of"
                f" {', '.join(BLOCKS)}, got <!-- {name} -->"
            )
        head, rest = text.split(start, 1)
        _, tail = rest.split(end, 1)
        text = f"{head}{start}{BLOCKS[name](results)}\n{end}{tail}"
    return text


def write_pages(results):
    for page in PAGES:
        if page.exists():
            write(page, replaced(page.read_text(), results))


def summary(results):
    """One line for each part."""
    lines = []
    for part in dict.fromkeys(i["part"] for i in results["items"]):
        items = of_part(results, part)
        rows = [row for _, row in runs_of(items)]
        failed = sum(bool(i.get("error")) for i in items)
        lines.append(
            f"{part}: {len(items)} items, {failed} did not run,"
            f" {len(rows)} runs,"
            f" {sum(map(elements, rows)):,} elements,"
            f" {sum(worst(row) > 1 for row in rows)} runs off"
        )
    return "\n".join(lines)

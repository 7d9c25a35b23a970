"""The merged parity report: terminal matrix and a self-contained page.

Every function takes the results of parity.py: {"schema", "frameworks":
{fw: {"status", "reason", "versions", "kept", "wrong"}}, "part", "machine",
"sources", "rows"}. part is None, or {"asked", "frameworks"} of a run of a
part; machine as in machine.py; kept counts the rows that are those of an
earlier run; wrong says, in words, what came otherwise than the table of
cases asks for (asked.py).
"""

from html import escape

from rich.table import Table
from rich.text import Text

from shared_tests.environments import FRAMEWORKS, TITLES
from shared_tests.machine import sentence

SHOWN = 20  # failures of a kind, in the terminal
SHADES = ("#f2f6fc", "#dbe8f7", "#bcd5f0", "#94bbe5", "#6399d4")


def asked_for(results):
    """The frameworks that had to run: all four, unless it is a part."""
    part = results.get("part")
    return tuple(part["frameworks"]) if part else FRAMEWORKS


def succeeded(results):
    """All that were asked for ran to the end, and showed every row that
    the table of cases asks for, once, and none failed."""
    whole = [fw in results["frameworks"] for fw in asked_for(results)]
    whole += [sound(state) for state in results["frameworks"].values()]
    words = {row["verdict"] for row in results["rows"]}
    good = words and words <= {"pass", "unsupported"}
    return bool(good) and all(whole)


def sound(state):
    return state["status"] == "ran" and not state["wrong"]


def wrong(results):
    """One line for each thing that came otherwise than asked for."""
    return [
        f"{TITLES[fw]} reported wrongly: {text}"
        for fw, state in results["frameworks"].items()
        for text in state["wrong"]
    ]


def kept(results):
    """How many arrays come from an earlier run."""
    return sum(f.get("kept", 0) for f in results["frameworks"].values())


def summarise(rows):
    """(state, worst ratio) of some rows; the state that matters most.

    none: no row; fail; unsupported: nothing but that; pass. A failure
    without a number (a missing array, NaN, a wrong shape) has ratio None.
    """
    words = {row["verdict"] for row in rows}
    ratios = [row["ratio"] for row in rows if row["ratio"] is not None]
    peak = max(ratios, default=None)
    if not words:
        return "none", None
    if "fail" in words:
        nameless = any(
            r["ratio"] is None and r["verdict"] == "fail" for r in rows
        )
        return "fail", None if nameless else peak
    return (
        ("unsupported", None)
        if words == {"unsupported"}
        else ("pass", peak)
    )


def grouped(rows, *keys):
    """{(value of each key): rows}, in the order of appearance."""
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[k] for k in keys), []).append(row)
    return groups


def number(ratio):
    if ratio is None:
        return ""
    return f"{ratio:.2f}" if ratio < 100 else f"{ratio:.0e}"


def cell_text(state, ratio):
    return {
        "pass": number(ratio),
        "fail": f"✗ {number(ratio)}".strip(),
        "unsupported": "n/a",
        "none": "not run",
    }[state]


def failures(results):
    return [row for row in results["rows"] if row["verdict"] == "fail"]


def describe(row):
    """One failure in one line: case, array, index, values, allowed error."""
    ratio = (
        "" if row["ratio"] is None else f", {row['ratio']:.3g} x budget"
    )
    return (
        f"{row['framework']} {row['layer']}-{row['case']} {row['array']}"
        f" ({row['mode']}, {row['precision']}{ratio}): {row['detail']}"
    )


def totals(results):
    """(element comparisons, arrays, worst ratio and its row)."""
    judged = [
        r for r in results["rows"] if r["verdict"] != "unsupported"
    ]
    elements = sum(row["elements"] for row in judged)
    numbers = [r for r in judged if r["ratio"] is not None]
    top = max(numbers, key=lambda r: r["ratio"], default=None)
    return elements, len(judged), top


def matrix_rows(results, *keys):
    """Yields (key values, [(state, ratio) of each framework])."""
    groups = grouped(results["rows"], *keys)
    for values, rows in groups.items():
        cells = [
            summarise([r for r in rows if r["framework"] == fw])
            for fw in asked_for(results)
        ]
        yield values, cells


def matrix(results, title, *keys):
    """A rich table of worst ratios: one row a key, one column a framework."""
    table = Table(title=title)
    for key in keys:
        table.add_column(key)
    for fw in asked_for(results):
        missing = not sound(results["frameworks"][fw])
        head = f"{TITLES[fw]} ✗" if missing else TITLES[fw]
        table.add_column(head, justify="right")
    styles = {"fail": "bold red", "pass": "green"}
    for values, cells in matrix_rows(results, *keys):
        texts = [
            Text(cell_text(*cell), style=styles.get(cell[0], "dim"))
            for cell in cells
        ]
        table.add_row(*values, *texts)
    return table


def print_report(results, console):
    title = "worst |error| / budget; 1.00 is the limit"
    if results.get("part"):
        title += f"; only {results['part']['asked']}"
    console.print(matrix(results, title, "layer"))
    console.print(matrix(results, "by precision", "precision", "mode"))
    reasons = {
        (TITLES[row["framework"]], row["precision"], row["mode"]): row[
            "detail"
        ]
        for row in results["rows"]
        if row["verdict"] == "unsupported"
    }
    for reason in sorted(set(reasons.values())):
        console.print(f"n/a: {reason}", style="dim", highlight=False)
    console.print(
        f"on {sentence(results['machine'])}",
        style="dim",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    for fw, state in results["frameworks"].items():
        if state["status"] != "ran":
            text = f"{TITLES[fw]} is missing: {state['reason']}"
            console.print(text, style="bold red", markup=False)
    lines = [describe(row) for row in failures(results)]
    for found in (wrong(results), lines):
        for line in found[:SHOWN]:
            console.print(
                line, markup=False, highlight=False, soft_wrap=True
            )
        if len(found) > SHOWN:
            console.print(f"... and {len(found) - SHOWN} more failures")
    console.print(closing_line(results), highlight=False)


def closing_line(results):
    elements, arrays, top = totals(results)
    ran = sum(
        f["status"] == "ran" for f in results["frameworks"].values()
    )
    part = results.get("part")
    text = f"only a part, {part['asked']}: " if part else ""
    text += f"{elements:,} element comparisons in {arrays:,} arrays, "
    text += f"{ran} of {len(asked_for(results))} frameworks"
    text += " asked for, " if part else ", "
    count = len(failures(results)) + len(wrong(results))
    text += f"{count} failures"
    if kept(results):
        text += f"; {kept(results):,} rows cached, of an earlier run"
    if top:
        where = (
            f"{TITLES[top['framework']]} {top['layer']}-{top['case']}"
        )
        text += f"; worst ratio {number(top['ratio'])}"
        text += f" ({where} {top['array']})"
    return text


STYLE = """
:root { color-scheme: light }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem;
       margin: 2rem auto; padding: 0 1rem; color: #1c2733 }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { border: 1px solid #c9d3dd; padding: .3rem .7rem; text-align: right }
th { background: #eef2f6 } tbody th, th.key { text-align: left }
td.fail { background: #8c2f1b; color: #fff; font-weight: bold }
td.none, td.unsupported { color: #55626f; background:
  repeating-linear-gradient(45deg, #fff 0 6px, #edf0f3 6px 12px) }
.good { color: #1d6b3a } .bad { color: #8c2f1b; font-weight: bold }
summary { cursor: pointer; font-weight: 600; margin: .5rem 0 }
.wide { overflow-x: auto }
"""


def html_cell(state, ratio, hint=""):
    style = ""
    if state == "pass" and ratio is not None:
        shade = SHADES[min(int(ratio * len(SHADES)), len(SHADES) - 1)]
        style = f' style="background:{shade}"'
    hint = f' title="{escape(hint)}"' if hint else ""
    return f'<td class="{state}"{style}{hint}>{cell_text(state, ratio)}</td>'


def html_matrix(results, *keys):
    heads = "".join(
        f'<th scope="col" class="key">{escape(k)}</th>' for k in keys
    )
    heads += "".join(
        f'<th scope="col">{TITLES[fw]}</th>'
        for fw in asked_for(results)
    )
    lines = [f"<table><thead><tr>{heads}</tr></thead><tbody>"]
    for values, cells in matrix_rows(results, *keys):
        names = "".join(
            f'<th scope="row">{escape(str(value))}</th>'
            for value in values
        )
        lines.append(
            f"<tr>{names}{''.join(html_cell(*cell) for cell in cells)}</tr>"
        )
    return "\n".join([*lines, "</tbody></table>"])


def html_states(results):
    lines = ["<ul>"]
    for fw, state in results["frameworks"].items():
        versions = ", ".join(
            f"{k} {v}" for k, v in state["versions"].items()
        )
        if state["status"] == "ran":
            text = f"{TITLES[fw]}: {escape(versions)}"
            if state.get("kept"):
                text += f"; {state['kept']:,} rows cached"
        else:
            reason = f"{TITLES[fw]} is missing: {state['reason']}"
            text = f'<span class="bad">✗ {escape(reason)}</span>'
        lines.append(f"<li>{text}</li>")
    return "\n".join([*lines, "</ul>"])


def html_list(title, items, opened=False):
    if not items:
        return ""
    lines = "\n".join(f"<li>{escape(item)}</li>" for item in items)
    state = " open" if opened else ""
    head = f"<details{state}><summary>{title}</summary>"
    return f"{head}<ul>{lines}</ul></details>"


def html_layers(results):
    """One foldable table a layer: every case, precision and mode."""
    parts = []
    for (layer,), rows in grouped(results["rows"], "layer").items():
        table = html_matrix(
            results | {"rows": rows}, "case", "precision", "mode"
        )
        parts.append(
            f"<details><summary>{escape(layer)}</summary>"
            f'<div class="wide">{table}</div></details>'
        )
    return "\n".join(parts)


def html(results):
    """The whole page; it loads nothing from anywhere."""
    good = succeeded(results)
    verdict = "all within budget" if good else "not within budget"
    if results.get("part"):
        asked = escape(results["part"]["asked"])
        verdict = f"only a part ({asked}), {verdict}"
    bad = wrong(results)
    bad += [describe(row) for row in failures(results)]
    reasons = {
        f"{TITLES[r['framework']]}: {r['detail']}"
        for r in results["rows"]
        if r["verdict"] == "unsupported"
    }
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Parity: {verdict}</title><style>{STYLE}</style></head><body>
<h1>Parity: <span class="{"good" if good else "bad"}">{verdict}</span></h1>
<p>{escape(closing_line(results))}</p>
{html_list(f"Failures ({len(bad)})", bad, opened=True)}
<h2>Worst |error| / budget</h2>
<p>1.00 is the limit, for every layer, framework and precision; the darker,
the nearer to it. A ratio of 0.06 is one standard deviation of the rounding
error that the reference itself predicts.</p>
<div class="wide">{html_matrix(results, "layer")}</div>
<h2>By precision and mode</h2>
<div class="wide">{html_matrix(results, "precision", "mode")}</div>
{html_list("Not available (n/a), and why", sorted(reasons))}
<h2>Every case</h2>
{html_layers(results)}
<h2>Versions</h2>
{html_states(results)}
<p>On {escape(sentence(results["machine"]))}.</p>
</body></html>
"""

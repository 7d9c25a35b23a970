"""The matrix of exports: layers by framework, format and engine.

results: {"schema", "part", "machine", "versions", "rows", "wrong"}; rows
as judging.judged() gives them.
"""

from html import escape

from rich.table import Table
from rich.text import Text

from shared_tests.environments import TITLES
from shared_tests.exports.judging import (
    FAIL,
    FAILS,
    NOT_OFFERED,
    PASS,
    cell,
    name,
)
from shared_tests.report import (
    SHOWN,
    STYLE,
    grouped,
    html_cell,
    html_list,
    number,
)

COLUMN = ("framework", "format", "engine")
WORDS = {
    FAIL: "✗",
    FAILS: "fails",
    NOT_OFFERED: "no",
    "none": "not run",
}


def succeeded(results):
    return bool(results["rows"]) and not results["wrong"]


def text_of(state, ratio, beside):
    mark = "*" if state == PASS and beside else ""
    return WORDS.get(state) or f"{number(ratio)}{mark}"


def matrix(results):
    """[(layer, [cell of each column])], and the columns."""
    columns = list(grouped(results["rows"], *COLUMN))
    layers = grouped(results["rows"], "layer")
    lines = []
    for (layer,), rows in layers.items():
        of = grouped(rows, *COLUMN)
        lines.append((layer, [cell(of.get(c, [])) for c in columns]))
    return columns, lines


def counts(results):
    """{state: how many cells of the matrix}."""
    found = dict.fromkeys((PASS, FAILS, NOT_OFFERED, FAIL, "none"), 0)
    for _, cells in matrix(results)[1]:
        for state, _, _ in cells:
            found[state] += 1
    return found


def summary(results):
    count = counts(results)
    text = (
        f"{count[PASS]} cells within budget, {count[FAILS]} fail and"
        f" {count[NOT_OFFERED]} are not offered, as is known"
    )
    if count["none"]:
        text += f", {count['none']} not run"
    peak = max(
        (r for r in results["rows"] if r["state"] == PASS),
        key=lambda r: r["ratio"],
        default=None,
    )
    if peak:
        text += f"; worst ratio {number(peak['ratio'])} ({name(peak)})"
    return f"{text}; {len(results['wrong'])} failures"


def reasons(results):
    """What is known, one line each."""
    found = {}
    for row in results["rows"]:
        if row["state"] in (FAILS, NOT_OFFERED):
            head = "{framework} {format}".format(**row)
            key = f"{head}, {row['state']}: {row['reason']}"
            found.setdefault(key, set()).add(row["layer"])
    return [f"{k} ({', '.join(sorted(v))})" for k, v in found.items()]


def fixed(results):
    """Files whose axes are not all of any size, one line for each why."""
    found = {}
    for row in results["rows"]:
        if row.get("fixed"):
            axes = row["dynamic"] or "none"
            key = (
                "{framework} {format}".format(**row),
                axes,
                row["fixed"],
            )
            found.setdefault(key, set()).add(row["layer"])
    return [
        f"{head}: {', '.join(sorted(layers))} has only {axes} of any size:"
        f" {why}"
        for (head, axes, why), layers in found.items()
    ]


def print_report(results, console):
    columns, lines = matrix(results)
    title = "exports: worst |error| / budget; 1.00 is the limit"
    if results["part"]:
        title += f"; only {results['part']}"
    table = Table(title=title)
    table.add_column("layer")
    for framework, fmt, engine in columns:
        head = f"{TITLES[framework]}\n{fmt}\n{engine}"
        table.add_column(head, justify="right")
    styles = {PASS: "green", FAIL: "bold red"}
    for layer, cells in lines:
        texts = [
            Text(text_of(*c), styles.get(c[0], "dim")) for c in cells
        ]
        table.add_row(layer, *texts)
    console.print(table)
    plain = dict(markup=False, highlight=False, soft_wrap=True)
    for line in results["wrong"][:SHOWN]:
        console.print(line, style="bold red", **plain)
    if len(results["wrong"]) > SHOWN:
        more = len(results["wrong"]) - SHOWN
        console.print(f"... and {more} more failures")
    console.print(
        "* beside what passes something is known to fail, or is not"
        " offered; index.html says what",
        style="dim",
        **plain,
    )
    console.print(summary(results), **plain)


def html(results):
    """The whole page; it loads nothing from anywhere."""
    columns, lines = matrix(results)
    heads = "".join(
        f'<th scope="col">{TITLES[f]}<br>{escape(fmt)}<br>{escape(e)}</th>'
        for f, fmt, e in columns
    )
    body = []
    for layer, cells in lines:
        row = []
        for state, ratio, beside in cells:
            hint = "; ".join(beside)
            if state == PASS:
                one = html_cell(PASS, ratio, hint)
                mark = "*</td>" if beside else "</td>"
                row.append(one.replace("</td>", mark))
            else:
                kind = FAIL if state == FAIL else "unsupported"
                row.append(
                    f'<td class="{kind}" title="{escape(hint)}">'
                    f"{WORDS[state]}</td>"
                )
        body.append(
            f'<tr><th scope="row">{escape(layer)}</th>{"".join(row)}</tr>'
        )
    good = succeeded(results)
    verdict = "all as expected" if good else "not as expected"
    if results["part"]:
        verdict = f"only a part ({escape(results['part'])}), {verdict}"
    versions = [
        f"{place}: {', '.join(f'{k} {v}' for k, v in found.items())}"
        for place, found in results["versions"].items()
    ]
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Exports: {verdict}</title><style>{STYLE}</style></head><body>
<h1>Exports: <span class="{"good" if good else "bad"}">{verdict}</span></h1>
<p>{escape(summary(results))}</p>
{html_list(f"Failures ({len(results['wrong'])})", results["wrong"], True)}
<h2>Worst |error| / budget</h2>
<p>Each file was run by an engine that did not write it, with the sizes of
the case, with twice its batch and with one row; 1.00 is the limit. A star:
beside what passes something is known to fail, or is not offered. A cell
"fails" or "no" (not offered) says why where the pointer rests on it.</p>
<div class="wide"><table><thead><tr><th class="key">layer</th>{heads}</tr>
</thead><tbody>
{chr(10).join(body)}
</tbody></table></div>
{html_list("What fails and what is not offered", reasons(results), True)}
{html_list("Axes that keep the size of the example", fixed(results))}
{html_list("Versions", versions)}
<p>On {escape(results["machine"])}.</p>
</body></html>
"""

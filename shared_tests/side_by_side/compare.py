"""`make compare` and `make alignment`: the pages side by side.

compare LAYER FRAMEWORKS   the pages of one layer in aligned columns
alignment                  how many lines equal their PyTorch twin

Exit status: 2 for what does not exist; alignment: 1 where pages drift
apart (below AVERAGE, or below PAGE without a reason on the page).
"""

import argparse
import difflib
import pathlib
import sys

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from shared_tests.environments import FRAMEWORKS, TITLES
from shared_tests.selection import close
from shared_tests.side_by_side import pages
from shared_tests.side_by_side.pages import (
    align,
    renamed,
    similarity,
    tokens,
)

WIDTH = 72  # of a page
GUTTER = 3
FAINT = 0.4  # lines with less in common do not face each other
MARKED = "bold black on yellow not dim not underline"
SIGNS = "bold yellow"
OTHERS = FRAMEWORKS[1:]
AVERAGE, PAGE = 0.75, 0.60

LEGEND = (
    "|  other tokens than the first page    "
    "+  not in the first page    "
    "-  in the first page, not here\n"
    "Equal: after renaming the namespace (torch., jnp., tf., np.) and "
    "the folder."
)
DEFINITION = """\
lines   non-blank lines of a page, with the header, without the region
        "what differs here" (PyTorch has none); equal to a line of the
        PyTorch page after renaming the namespace and the folder, in order
code    the same without the header and the region marks
average the mean over pages\
"""


class Refused(Exception):
    """What was asked for does not exist; says what does."""


def every_page():
    """{page: frameworks that have it}."""
    return {
        page: [fw for fw in FRAMEWORKS if page in pages.files(fw)]
        for page in sorted(set().union(*map(pages.files, FRAMEWORKS)))
        if page not in pages.NOT_PAGES
    }


def find_page(layer):
    """The page of that name, or the one that a public name is on."""
    known = every_page()
    public = {}
    for framework in FRAMEWORKS:
        public |= pages.public(framework)
    for page in known:  # by its path or its last name
        if layer in (page.removesuffix(".py"), pathlib.Path(page).stem):
            return page
    if layer in public:
        return public[layer]
    lines = ["make compare LAYER=linear FRAMEWORKS=pytorch,jax"]
    if layer:
        stems = [page.removesuffix(".py") for page in known]
        near = close(layer, [*stems, *public])
        lines = [f"no page and no layer is called {layer!r}{near}"]
    lines += ["", "LAYER is a page or a public name:"]
    for page, frameworks in known.items():
        names = [name for name in public if public[name] == page]
        line = f"  {page.removesuffix('.py'):22} {', '.join(names)}"
        lines.append((line + lacking(frameworks)).rstrip())
    raise Refused("\n".join(lines))


def lacking(frameworks):
    folders = [
        f"{fw}_impl" for fw in FRAMEWORKS if fw not in frameworks
    ]
    return f"  (not in {', '.join(folders)})" if folders else ""


def find_frameworks(text, page):
    names = text.replace(",", " ").split()
    unknown = [name for name in names if name not in FRAMEWORKS]
    if unknown or not 2 <= len(names) == len(set(names)) <= 4:
        want = f"two to four of {','.join(FRAMEWORKS)}"
        raise Refused(f"FRAMEWORKS expected {want}, got {text!r}")
    for name in names:
        if page not in pages.files(name):
            raise Refused(f"{name}_impl has no {page}")
    return names


def closeness(row, line):
    """How well a line stands in a row: equal to the first page best."""
    cells = [cell.plain for cell in row if cell is not None]
    if not line.plain.strip():
        return 0.5 if line.plain in cells else 0
    first = row[0] is not None and same(row[0], line)
    other = any(renamed(cell) == renamed(line.plain) for cell in cells)
    alike = max(similarity(cell, line.plain) for cell in cells)
    alike = alike if alike >= FAINT else 0
    # a page has fewer than 1000 lines
    return 1e6 * first + 1e3 * other + alike


def same(a, b):
    return renamed(a.plain) == renamed(b.plain)


def facing(columns):
    """Rows of the lines that face each other, None for padding."""
    rows = [[line] for line in columns[0]]
    for count, lines in enumerate(columns[1:], 1):
        rows = [
            [
                *([None] * count if i is None else rows[i]),
                None if j is None else lines[j],
            ]
            for i, j in align(rows, lines, closeness)
        ]
    return rows


def blank(line):
    return line is None or not line.plain.strip()


def gutter(first, line):
    """What LEGEND says; blank lines are not worth a sign."""
    if blank(line):
        return " " if blank(first) else "-"
    if blank(first):
        return "+"
    return " " if same(first, line) else "|"


def mark(first, line):
    """Style the tokens in which two lines differ, in both."""
    sides = [(text, tokens(text.plain)) for text in (first, line)]
    symbols = [[symbol for symbol, _, _ in side] for _, side in sides]
    matcher = difflib.SequenceMatcher(None, *symbols, False)
    for what, *ends in matcher.get_opcodes():
        if what != "equal":
            for (text, side), span in zip(sides, (ends[:2], ends[2:])):
                for symbol, begin, end in side[slice(*span)]:
                    if begin or not symbol.isspace():  # no indentation
                        text.stylize(MARKED, begin, end)


def shown(lines):
    """Lines with colours, less the blank ones at the end."""
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    code = Syntax("", "python", theme="ansi_dark")
    text = code.highlight("\n".join(lines))
    return list(text.split("\n", allow_blank=True))[: len(lines)]


def columns_table(width, count):
    table = Table(box=None, padding=0, show_header=False)
    for number in range(count):
        if number:
            table.add_column(width=GUTTER, justify="center")
        table.add_column(width=width, overflow="fold")
    return table


def print_rows(console, rows, width):
    table = columns_table(width, len(rows[0]))
    for first, *others in rows:
        cells = [first]
        for line in others:
            sign = gutter(first, line)
            if sign == "|":
                mark(first, line)
            cells += [Text(sign, SIGNS), line]
        table.add_row(*(cell or "" for cell in cells))
    console.print(table)


def compare(console, layer, frameworks):
    page = find_page(layer)
    names = find_frameworks(frameworks, page)
    read = [dict(pages.sections(name, page)) for name in names]
    gutters = GUTTER * (len(names) - 1)
    width = WIDTH
    if console.is_terminal:
        width = min(WIDTH, (console.width - gutters) // len(names))
    console.width = width * len(names) + gutters
    heads = columns_table(width, len(names))
    titles = [(f"{TITLES[fw]}  {fw}_impl/{page}", "") for fw in names]
    heads.add_row(*sum(titles, ())[:-1], style="bold")
    console.print(heads)
    order = sorted(
        dict.fromkeys(name for part in read for name in part),
        key=pages.DIFFERS.__eq__,  # it comes last, where there is one
    )
    for name in order:
        console.print(Rule(name, align="left", style="cyan"))
        rows = facing([shown(part.get(name, [])) for part in read])
        if rows:
            print_rows(console, rows, width)
    console.print(Rule(style="cyan"))
    console.print(LEGEND, style="dim", highlight=False)


def measure():
    """{page: {framework: ((equal, lines), the same of code) or None}}."""
    return {
        page: {
            fw: tuple(
                pages.alignment(fw, page, c) for c in (False, True)
            )
            if page in pages.files(fw)
            else None
            for fw in OTHERS
        }
        for page in sorted(pages.files("pytorch") - pages.NOT_PAGES)
    }


def share(equal, lines):
    return equal / lines if lines else 1.0


def average(measured, frameworks, part):
    """Mean share over pages; part 0: lines, 1: code. No page: None."""
    shares = [
        share(*both[fw][part])
        for both in measured.values()
        for fw in frameworks
        if both[fw]
    ]
    return sum(shares) / len(shares) if shares else None


def percent(mean):
    return "-" if mean is None else f"{mean:.1%}"


def below(measured):
    """[(page, framework, share)] of the pages that have to say why."""
    return [
        (page, fw, share(*both[0]))
        for page, columns in measured.items()
        for fw, both in columns.items()
        if both and share(*both[0]) < PAGE
    ]


def complaints(measured):
    """What makes `make alignment` fail, a sentence each."""
    said = []
    for page, columns in measured.items():
        missing = [
            f"{fw}_impl" for fw, both in columns.items() if not both
        ]
        if missing:
            said.append(f"{', '.join(missing)}: no {page}")
    for page, fw, part in below(measured):
        if not pages.reasons(fw, page):
            text = (
                f"{fw}_impl/{page}: {part:.1%}, expected {PAGE:.0%} or"
            )
            text += f' more, or "{pages.WHY} why" in its last region'
            said.append(text)
    mean = average(measured, OTHERS, 0)
    if mean is not None and mean < AVERAGE:
        text = f"the average is {mean:.1%}, expected {AVERAGE:.0%}"
        said.append(f"{text} or more")
    return said


def alignment(console):
    measured = measure()
    table = Table(
        title="lines equal to the PyTorch page",
        box=SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    table.add_column("page", no_wrap=True)
    for fw in OTHERS:
        table.add_column(TITLES[fw], justify="right")
        table.add_column("code", justify="right")
    for page, columns in measured.items():
        cells = []
        for fw in OTHERS:
            cells += page_cells(fw, page, columns[fw])
        table.add_row(page.removesuffix(".py"), *cells)
    table.add_section()
    means = [
        percent(average(measured, [fw], part))
        for fw in OTHERS
        for part in (0, 1)
    ]
    table.add_row("average", *means, style="bold")
    console.print(table)
    lines, code = (average(measured, OTHERS, part) for part in (0, 1))
    text = f"average of the three: {percent(lines)} of lines"
    text += f", {percent(code)} of code"
    console.print(text, style="bold", highlight=False)
    console.print(DEFINITION, style="dim", highlight=False)
    for page, fw, _ in below(measured):
        for why in pages.reasons(fw, page):
            text = f"{fw}_impl/{page}  {why}"
            console.print(text, style="yellow", markup=False)
    wrong = complaints(measured)
    for text in wrong:
        console.print(text, style="red", markup=False, soft_wrap=True)
    return 1 if wrong else 0


def page_cells(framework, page, both):
    if both is None:
        return Text("missing", "bold red"), ""
    (equal, lines), code = both
    part = share(equal, lines)
    low = "yellow" if pages.reasons(framework, page) else "bold red"
    style = low if part < PAGE else "green"
    text = Text(f"{equal}/{lines} {part:4.0%}", style)
    return text, Text(f"{share(*code):.0%}", "dim")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    both = commands.add_parser("compare")
    both.add_argument("layer")
    both.add_argument("frameworks")
    commands.add_parser("alignment")
    args = parser.parse_args()
    console = Console()
    try:
        if args.command == "alignment":
            return alignment(console)
        compare(console, args.layer, args.frameworks)
    except (Refused, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

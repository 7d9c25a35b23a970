"""The report of a check: one line an array, in words and as JSON.

Words: rounding; bug; missing (one side has no such array); no verdict
(the reference is NaN, or rounding can make it so); undecided (a choice
that rounding alone decides).
"""

import dataclasses
import io
import math

import numpy as np

from .layerwise import tree
from .layerwise.layers import PREFIX, first_wrong
from .verdict import FACTOR, LARGEST, UNIT_ROUNDOFF, judge, ratio
from .verdict import budget as allowed

WORST = 3  # elements shown of each array that is wrong
SCHEMA = 1
WRONG = ("bug", "missing")
HEADS = "array", "worst / allowed", "rms / sigma", "sees", "verdict"


@dataclasses.dataclass
class Line:
    """What became of one array."""

    name: str
    ratio: float  # worst |error| / allowed
    rms: float  # rms error / (u sigma), where sigma is not 0
    word: str  # rounding, bug, missing, no verdict, undecided
    elements: list  # texts, the worst first
    sees: float = math.nan  # smallest relative fault that it can see
    diagnosis: str = ""

    @property
    def bug(self):
        return self.word == "bug"


def untold(reference, sigma, precision):
    """(where there is no verdict, why)."""
    unknown = np.isnan(reference)
    if unknown.any():
        return unknown, "PyTorch's own result is NaN"
    with np.errstate(over="ignore", invalid="ignore"):
        known = allowed(sigma, precision) <= LARGEST[precision]
    unknown = np.isfinite(reference) & ~known
    return unknown, "rounding can make PyTorch's result NaN or infinite"


def smallest_fault(reference, sigma, precision):
    """The budget of the middle element beside the size of the array: a
    factor 1 + this on the whole of it would be at the limit. Zeros, as
    of rows that nobody looked up, do not count. NaN for zeros only."""
    told = np.isfinite(reference) & (reference != 0)
    if not told.any():
        return math.nan
    size = math.sqrt(np.mean(reference[told] ** 2))
    u = UNIT_ROUNDOFF[precision]
    return float(FACTOR * u * np.median(sigma[told]) / size)


def compare(name, value, reference, sigma, precision="float32"):
    """A Line; value as judge() takes it."""
    value, reference = np.asarray(value), np.asarray(reference)
    if reference.dtype.kind in "iub":
        return compare_integers(name, value, reference)
    unknown, why = untold(reference, sigma, precision)
    kept = np.isfinite(reference) & ~unknown
    sigma = np.where(kept, sigma, 0.0)
    if value.shape == reference.shape:
        told = np.where(unknown, 0, value).astype(value.dtype)
        reference = np.where(unknown, 0, reference)
    else:
        told = value
    verdict = judge(told, reference, sigma, precision)
    if verdict.detail.startswith(("shape", "dtype")):
        return Line(name, np.inf, np.nan, "bug", [verdict.detail])
    ratios = ratio(told, reference, sigma, precision)
    noisy = (sigma > 0) & np.isfinite(reference)
    u = UNIT_ROUNDOFF[precision]
    units = (told[noisy] - reference[noisy]) / (u * sigma[noisy])
    rms = float(np.sqrt(np.mean(units**2))) if units.size else 0.0
    worst = float(ratios.max(initial=0.0))
    sees = smallest_fault(
        np.where(kept, reference, 0.0), sigma, precision
    )
    elements = worst_elements(told, reference, sigma, ratios, precision)
    if not verdict.passed:
        return Line(name, worst, rms, "bug", elements, sees)
    if not unknown.any():
        return Line(name, worst, rms, "rounding", elements, sees)
    at = [int(i) for i in np.argwhere(unknown)[0]]
    text = f"{at}: {why}: choose other INPUTS; {int(unknown.sum())}"
    text += f" of {unknown.size} elements are like this"
    return Line(name, worst, rms, "no verdict", [text], sees)


def worst_elements(value, reference, sigma, ratios, precision):
    budget = np.broadcast_to(allowed(sigma, precision), value.shape)
    order = np.argsort(-ratios, axis=None)[:WORST]
    return [
        f"{[int(i) for i in at]}: got {value[at]:.9g}, expected"
        f" {reference[at]:.9g}, allowed error {budget[at]:.3g}"
        for at in (np.unravel_index(i, ratios.shape) for i in order)
    ]


def compare_integers(name, value, reference):
    """Equal numbers; which width a framework gives integers is its own
    choice."""
    integers = {value.dtype.kind, reference.dtype.kind} <= set("iu")
    if integers and value.shape == reference.shape:
        same = np.array_equal(value, reference)
        if same:
            return Line(name, 0.0, 0.0, "rounding", [])
        if np.can_cast(value.dtype, reference.dtype):
            value = value.astype(reference.dtype)
        else:
            reference = reference.astype(value.dtype)
    verdict = judge(value, reference, None, "float32")
    word = "rounding" if verdict.passed else "bug"
    elements = [verdict.detail] if verdict.detail else []
    return Line(name, verdict.ratio, 0.0, word, elements)


def missing(name, side):
    return Line(
        name,
        math.inf,
        math.nan,
        "missing",
        [f"{side} has no such array"],
    )


def constant(params):
    """A note on each parameter whose elements are all equal."""
    return [
        f"{name} is {p.flat[0]:g} throughout: a wrong layout stays unseen"
        for name, p in params.items()
        if p.size > 1 and (p == p.flat[0]).all()
    ]


@dataclasses.dataclass
class Report:
    """lines: of submodules first, in the order in which they run, then
    outputs, buffers, gradients."""

    lines: list
    notes: list
    precision: str = "float32"
    runs: int = 0
    seed: int = 0

    @property
    def status(self):
        """0 rounding, 1 a bug, 2 no verdict; as an exit status."""
        words = {line.word for line in self.lines}
        if words & set(WRONG):
            return 1
        return 0 if words <= {"rounding"} and words else 2

    @property
    def passed(self):
        return self.status == 0

    @property
    def first_wrong(self):
        """The first line that is not rounding, a bug before others."""
        bad = [x for x in self.lines if x.word != "rounding"]
        wrong = [x for x in bad if x.word in WRONG]
        return next(iter(wrong or bad), None)

    @property
    def first_wrong_layer(self):
        """Path of the first submodule whose output is wrong, "" of the
        module itself, or None: layers.py."""
        return first_wrong(self.lines)

    def details(self):
        """What there is to say of lines that are not rounding."""
        for line in self.lines:
            if line.word != "rounding" and "@" not in line.name:
                yield from (f"{line.name} {x}" for x in line.elements)
                if line.diagnosis:
                    yield f"{line.name}: {line.diagnosis}"
        yield from (f"note: {note}" for note in self.notes)

    def to_json(self):
        """For json.dumps: numbers that are not finite are None."""

        def number(x):
            return float(x) if math.isfinite(x) else None

        return {
            "schema": SCHEMA,
            "passed": self.passed,
            "status": self.status,
            "precision": self.precision,
            "runs": self.runs,
            "seed": self.seed,
            "factor": FACTOR,
            "first_wrong_layer": self.first_wrong_layer,
            "lines": [
                dataclasses.asdict(line)
                | {
                    key: number(getattr(line, key))
                    for key in ("ratio", "rms", "sees")
                }
                for line in self.lines
            ],
            "notes": list(self.notes),
        }

    def __str__(self):
        text = io.StringIO()
        show(self, text)
        return text.getvalue().rstrip()


def has_layers(report):
    return any(line.name.startswith(PREFIX) for line in report.lines)


def rows(report):
    """Of the table; layers are in a tree (tree.py)."""
    for line in report.lines:
        if line.name.startswith(PREFIX):
            continue
        yield (
            line.name,
            f"{line.ratio:.3g}",
            f"{line.rms:.3g}",
            sees(line.sees),
            line.word,
        )


def sees(fault):
    """In words: an array that is nothing but rounding sees no factor."""
    if math.isnan(fault):
        return ""
    return f"{fault:.1g}" if fault < 1 else "none"


def show(report, file=None):
    """A table and the details, to a file or to the terminal; by rich
    where it is installed."""
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        print(plain(report), file=file)
        return
    console = Console(file=file, width=100 if file else None)
    if has_layers(report):
        console.print(tree.tree(report.lines))
    table = Table()
    for head in HEADS:
        table.add_column(head, overflow="fold")
    for *cells, word in rows(report):
        style = "" if word == "rounding" else "[bold red]"
        style = "[bold yellow]" if word == "undecided" else style
        table.add_row(*cells, style + word)
    if table.row_count or not has_layers(report):
        console.print(table)
    for text in report.details():
        console.print(
            text, markup=False, highlight=False, soft_wrap=True
        )


def plain(report):
    table = [HEADS, *rows(report)]
    if len(table) == 1 and has_layers(report):  # layers only
        table = []
    widths = [max(map(len, column)) for column in zip(*table)]
    lines = [
        "  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip()
        for row in table
    ]
    layers = [tree.plain(report.lines)] if has_layers(report) else []
    return "\n".join([*layers, *lines, *report.details()])

"""How small a fault does each case see? `make power`: docs/power.md.

python -m shared_tests.power

Scaled by 1 + e a whole array goes red as soon as one element has moved
by more than its budget. The smallest such e is what the array sees; it
is read off the fixture, without any framework. Above 1 not even zeros
go red. Above LIMIT an array is an exception with a reason, or a defect,
and so is an array of zeros whose budget lets other numbers pass.

An element is undecided where its budget is wider than the number, or
than a quarter of a quantizer's step: a wrong code might pass there. It
is counted, and left to its neighbours, but not where the case is about
ties and bounds. Integers are equal or not, so any fault is seen.
"""

import sys
from typing import NamedTuple

import numpy as np

from shared_tests.cases import CASES
from shared_tests.files import ROOT, write
from shared_tests.fixture_files import (
    FixtureError,
    read_fixture,
    read_manifest,
)
from shared_tests.run import group, precisions, sigmas
from shared_tests.verdict import TINY, budget

PAGE = ROOT / "docs" / "power.md"


PRECISIONS = ("float64", "float32", "float16", "bfloat16")
# the relative fault that turns every array red, in each of these
LIMIT = dict(zip(PRECISIONS, (1e-10, 0.02, 0.05, 0.2)))
TINY_PRODUCTS = (
    "products of 1e-60 are 0 in float32: the case is there for NaN; in"
    " float64 it sees 1e-14"
)
DIFFERENCE = (
    "the right result is 0, as the difference of two equal numbers; what"
    " rounding may leave of them passes as well"
)
EQUAL_KEYS = (
    "the keys are equal, so the right result is 0 but for rounding;"
    " `out.y`, `grad.k` and `grad.v` of the case see 1e-6"
)
OWN_TEST = (
    "its step is alpha times a rounded 1/3, so the noise decides the ties;"
    " the codes are held as integers by `test_ties.py` in all four"
)
# (case, array, precision): why it sees less, or why noise decides there;
# * is any
EXCEPTIONS = {
    ("attention-equal_keys", "grad.q", "*"): EQUAL_KEYS,
    ("TensorReduction-tiny_inputs", "out.y", "float32"): TINY_PRODUCTS,
    ("TensorReduction-tiny_inputs", "grad.weight", "float32"): (
        TINY_PRODUCTS
    ),
    ("CenteredLayer-scalar", "out.y", "*"): DIFFERENCE,
    ("StandardizedConv2d-equal_filters", "grad.x", "*"): DIFFERENCE,
    ("attention-one_key", "grad.k", "*"): DIFFERENCE,
    ("attention-one_key", "grad.q", "*"): DIFFERENCE,
    ("PACT-tie", "out.y", "float32"): OWN_TEST,
}


class Power(NamedTuple):
    """What one array of one case sees in one precision."""

    case: str
    precision: str
    array: str
    kind: str  # float, integer, or zeros: the right result is 0
    fault: float  # smallest relative fault that is seen
    elements: int
    undecided: int
    loose: bool  # of zeros: other numbers pass as well

    @property
    def blind(self):
        """Is there no fault up to LIMIT that turns it red?"""
        if self.kind == "zeros":
            return self.loose
        return (
            self.elements > 0
            and not self.fault <= LIMIT[self.precision]
        )


def step_of(case, fixture):
    """The step between two codes of y, or None where y has no codes."""
    if case.layer == "fake_quantize":
        step, axis = fixture["in.scale"], case.config.get("axis")
    elif case.layer in ("LSQ", "LSQPlus"):
        step, axis = fixture["param.step"], case.config.get("axis")
    elif case.layer == "PACT":
        levels = 2 ** case.config.get("bits", 4) - 1
        step, axis = fixture["param.alpha"] / levels, None
    else:
        return None
    if axis is None:
        return step
    shape = [1] * fixture["ref.out.y"].ndim
    shape[axis] = -1
    return step.reshape(shape)


def power_of(case, precision, array, reference, sigma, step=None):
    size = np.abs(reference.astype(np.float64))
    exact = reference.dtype.kind in "iub"
    allowed = (
        np.zeros(size.shape) if exact else budget(sigma, precision)
    )
    there = np.isfinite(size) & (size > 0)
    kind = "integer" if exact else "float" if there.any() else "zeros"
    fault = np.min(allowed[there] / size[there], initial=np.inf)
    wide = there & (allowed > size)
    if step is not None:
        wide = wide | (allowed > step / 4)
    return Power(
        *(case.id, precision, array, kind, float(fault)),
        *(reference.size, int(wide.sum())),
        bool((allowed > TINY[precision]).any()),
    )


def powers():
    """Of every array of every case; variants have those of another."""
    manifest = read_manifest()
    for case in CASES:
        if case.like:
            continue
        fixture = read_fixture(case, manifest)
        step = step_of(case, fixture)
        for precision in precisions(case):
            sigma = sigmas(fixture, precision)
            for array, reference in group(fixture, "ref").items():
                mine = step if array == "out.y" else None
                yield power_of(
                    *(case, precision, array, reference),
                    *(sigma[array], mine),
                )


def exception_of(one):
    """Why an array sees so little, or None."""
    for key, why in EXCEPTIONS.items():
        if covers(key, one):
            return why
    return None


def covers(key, one):
    case, array, precision = key
    named = precision in ("*", one.precision)
    return named and (case, array) == (one.case, one.array)


def defects(found):
    """The arrays that see too little, and those of cases about ties and
    bounds where noise decides; without the exceptions."""
    sharp = {c.id for c in CASES if c.flags & {"tie", "at_bound"}}
    return [
        one
        for one in found
        if one.blind or (one.case in sharp and one.undecided)
        if not exception_of(one)
    ]


def summary(found, precision):
    """One row of the table."""
    of = [one for one in found if one.precision == precision]
    floats = [one for one in of if one.kind == "float" and one.elements]
    faults = [one.fault for one in floats if not exception_of(one)]
    elements = sum(one.elements for one in floats)
    open_ = sum(one.undecided for one in floats) / elements
    texts = [f"{x:.1g}" for x in np.quantile(faults, (0.5, 0.99, 1))]
    zeros = sum(one.kind == "zeros" for one in of)
    whole = sum(one.kind == "integer" for one in of)
    counts = [str(n) for n in (len(of), whole, zeros, len(floats))]
    limit = f"{LIMIT[precision]:g}"
    return [precision, *counts, *texts, limit, f"{100 * open_:.1f} %"]


HEAD = """# What the cases can see

Written by `make power` from the committed fixtures;
[`power.py`](../shared_tests/power.py) has the definitions,
[`test_power.py`](../shared_tests/test_power.py) holds them.

A case that cannot fail proves nothing. So each array of each case is
asked, in each precision that it claims: by which factor 1 + e must the
whole array be wrong until one element leaves its error budget? That is
the smallest relative fault that it sees. If it is above 1 even zeros
would pass.

"""
COLUMNS = (
    *("precision", "arrays", "integers", "of zeros", "others"),
    *("half see", "99 % see", "all see", "held", "undecided elements"),
)


def page(found):
    lines = [HEAD]
    lines += ["| " + " | ".join(COLUMNS) + " |", "|---" * 10 + "|"]
    for precision in PRECISIONS:
        lines.append(
            "| " + " | ".join(summary(found, precision)) + " |"
        )
    lines.append(MEANING)
    lines += ["| case | array | precision | why |", "|---|---|---|---|"]
    for (case, array, precision), why in EXCEPTIONS.items():
        where = "all" if precision == "*" else precision
        cells = f"`{case}`", f"`{array}`", where, why
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", WEAKEST, "| array | " + " | ".join(PRECISIONS) + " |"]
    lines.append("|---" * 5 + "|")
    for case in CASES:
        mine = [one for one in found if one.case == case.id]
        arrays = dict.fromkeys(one.array for one in mine)
        for array in arrays:
            cells = {p: "" for p in PRECISIONS}
            for one in mine:
                if one.array == array:
                    cells[one.precision] = cell(one)
            row = [f"`{case.id}` {array}", *cells.values()]
            lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def cell(one):
    if one.kind == "integer" or not one.elements:
        return "exact" if one.elements else "empty"
    text = "zeros" if one.kind == "zeros" else f"{one.fault:.1g}"
    if one.kind == "zeros" and one.loose:
        text = "about 0"
    if one.undecided:
        text += f", {one.undecided} of {one.elements} open"
    return text


MEANING = """
*Integers* are equal or not, and *zeros* are arrays whose right result is
exactly 0, in most of them of an empty batch: where their budget is 0, any
other number fails. *Held* is the limit of the test: scaled by 1 + this, or
replaced by zeros, every array goes red, but for the exceptions below. An
element is *undecided* where its budget is wider than the number itself,
or than a quarter of a quantizer's step: nothing is said of it alone. In
bfloat16, with its 8 bits, that is one element in five. Cases about ties
and bounds have none.

## Exceptions
"""
WEAKEST = """## Every array

The smallest relative fault that it sees; *open* elements are undecided.
Variants such as `attention_tiled` are judged by the arrays of the case
that they vary.
"""


def main():
    try:
        found = list(powers())
    except FixtureError as error:
        print(error)
        return 1
    write(PAGE, page(found).encode())
    for one in defects(found):
        print(f"sees too little: {one}")
    print(f"wrote {PAGE}, {len(found)} arrays")
    return 1 if defects(found) else 0


if __name__ == "__main__":
    sys.exit(main())

"""Vectors for other people's quantizers, what is right, and the table.

A vector is an array of float32 with the quantizer that it is meant for.
The formulas below say what is right; nothing is compared with a
tolerance. A difference is in units of the step for values, and of the
upstream gradient, which is 1, for gradients.
"""

from typing import NamedTuple

import numpy as np

START, END = "<!-- ledger -->\n", "<!-- /ledger -->\n"
COLUMNS = (
    "library",
    "function",
    "what",
    "vector",
    "deviate",
    "first: input, got, want",
    "largest",
)
COUNT = 4096  # values of a random vector


class Vector(NamedTuple):
    x: np.ndarray
    scale: np.float32
    zero_point: int
    qmin: int = -128
    qmax: int = 127
    limits: tuple = ()  # smallest, largest; () where codes say it


def at(u, scale, zero_point=0, *bounds):
    """A vector at u steps from zero."""
    x = (np.asarray(u, "f8") * np.float64(scale)).astype("f4")
    return Vector(x, np.float32(scale), zero_point, *bounds)


def and_neighbours(x):
    x = np.asarray(x, np.float32)
    sides = (np.float32(side) for side in (-np.inf, np.inf))
    return np.concatenate([x, *(np.nextafter(x, s) for s in sides)])


def half_steps():
    """Half steps as float32 has them, and the floats beside them."""
    found = at(np.arange(-127.5, 127), np.float32(0.1))
    return found._replace(x=and_neighbours(found.x))


def outside():
    """Past a bound: by one float, by part of a step, by steps."""
    past = np.array([0.25, 0.4375, 0.5, 0.75, 1.0, 1000.0])
    found = at(np.concatenate([127 + past, -128 - past]), 0.5)
    beside = and_neighbours([63.5, -64.0])[[4, 3]]
    return found._replace(x=np.concatenate([beside, found.x]))


def subnormals():
    x = np.array([1e-45, 1e-42, 1e-40, 1e-38], np.float32)
    return Vector(np.concatenate([x, -x]), np.float32(0.1), 0)


def minus_one_to_one():
    """255 steps whose ends are no multiples of the step."""
    step = np.float32(2) / np.float32(255)
    found = at(np.arange(-130.25, 130.5, 0.5), step)
    return found._replace(limits=(np.float32(-1), np.float32(1)))


def spread(scale, zero_point, qmin, qmax):
    rng = np.random.default_rng(20260101)
    reach = 1.2 * (np.array([qmin, qmax]) - zero_point)
    u = rng.uniform(*reach, COUNT)
    return at(u, scale, zero_point, qmin, qmax)


def vectors():
    """{name: Vector}; quarters are k + 1/4 and k + 3/4, no ties."""
    quarters = np.arange(-127.75, 127, 0.5)
    return {
        "ties": at(np.arange(-127.5, 127), 0.5),
        "ties_odd_zero": at(np.arange(-130.5, 124), 0.5, 3),
        "half_steps": half_steps(),
        "bounds": at([-128, -127, 126, 127], 0.5),
        "outside": outside(),
        "zeros": at([0.0, -0.0], 0.5),
        "subnormals": subnormals(),
        "tiny_step": at(quarters, 2.0**-100),
        "subnormal_step": at(quarters, 2.0**-127),
        "random": spread(np.float32(0.0173), 41, 0, 255),
        "random_dyadic": spread(0.0625, 0, -128, 127),
        "range": minus_one_to_one(),
    }


VECTORS = vectors()
ORDINARY = tuple(name for name in VECTORS if name != "range")
TO_ROUND = ("ties", "half_steps", "outside", "zeros", "random")
TO_CLIP = ("bounds", "outside", "random", "random_dyadic")


# what is right
def scaled(v):
    with np.errstate(over="ignore"):
        return v.x * (np.float32(1) / v.scale)


def unclipped(v):
    """Codes before they are clipped, as float32."""
    return np.round(scaled(v)) + np.float32(v.zero_point)


def codes(v):
    return np.clip(unclipped(v), v.qmin, v.qmax).astype(np.int32)


def values(v):
    return (codes(v) - v.zero_point).astype(np.float32) * v.scale


def mask(v):
    code = unclipped(v)
    return ((v.qmin <= code) & (code <= v.qmax)).astype(np.float32)


def learned_bounds(v):
    return v.qmin - v.zero_point, v.qmax - v.zero_point


def learned_mask(v):
    """LSQ's: strictly inside, before rounding."""
    low, high = learned_bounds(v)
    u = scaled(v)
    return ((low < u) & (u < high)).astype(np.float32)


def step_gradient(v):
    """LSQ's, element by element, without the factor g."""
    u, inside = scaled(v), learned_mask(v) == 1
    return np.where(inside, np.round(u) - u, u.clip(*learned_bounds(v)))


# kind of function: the input it gets, and what it should give
KINDS = {
    "rounding": (scaled, {"value": lambda v: np.round(scaled(v))}),
    "rounding_ste": (
        scaled,
        {
            "value": lambda v: np.round(scaled(v)),
            "gradient": lambda v: np.ones_like(v.x),
        },
    ),
    "clip": (unclipped, {"gradient": mask}),
    "codes": (lambda v: v.x, {"value": codes}),
    "values": (codes, {"value": values}),
    "round trip": (lambda v: v.x, {"value": values}),
    "fake": (lambda v: v.x, {"value": values, "gradient": mask}),
    "learned": (
        lambda v: v.x,
        {
            "value": values,
            "gradient": learned_mask,
            "step gradient": step_gradient,
        },
    ),
}


class Call(NamedTuple):
    """run(v) gives {what: array}; v is a Vector."""

    function: str
    kind: str
    run: object
    vectors: tuple = ORDINARY
    narrow: bool = False

    def vector(self, name):
        v = VECTORS[name]
        return v._replace(qmin=v.qmin + 1) if self.narrow else v


def measure(call, name):
    """{(function, what, vector): cells} of one call."""
    v = call.vector(name)
    given, wants = KINDS[call.kind]
    got = call.run(v)
    dyadic = np.frexp(v.scale)[0] == 0.5
    assert dyadic or "step gradient" not in wants
    return {
        (call.function, what, name): cells(
            given(v),
            got[what],
            want(v),
            v.scale if want is values else 1,
        )
        for what, want in wants.items()
    }


def measure_all(calls):
    """{key: cells} of some calls, on all their vectors."""
    found = {}
    for call in calls:
        for name in call.vectors:
            found |= measure(call, name)
    return found


def cells(given, got, want, unit):
    """How many of how many, the first, the largest difference."""
    assert got.shape == want.shape
    wrong = np.flatnonzero(got != want)
    count = f"{len(wrong)} of {want.size}"
    if not len(wrong):
        return count, "", ""
    i = wrong[0]
    first = ", ".join(number(a[i]) for a in (given, got, want))
    apart = np.abs(np.float64(got[wrong]) - np.float64(want[wrong]))
    return count, first, f"{(apart / np.float64(unit)).max():.3g}"


def number(a):
    """The shortest text that gives the same float32."""
    return str(a).removesuffix(".0")


# the table
def table(measured):
    """Markdown of {library: {key: cells}}; zeros in one row each."""
    lines = [line(COLUMNS), line(["---"] * len(COLUMNS))]
    for library, found in measured.items():
        pairs = dict.fromkeys(key[:2] for key in found)
        for pair in pairs:
            mine = {k[2]: c for k, c in found.items() if k[:2] == pair}
            lines += map(line, rows(library, *pair, mine))
    return "".join(lines)


def rows(library, function, what, mine):
    head = (library, f"`{function}`", what)
    zero = [n for n, c in mine.items() if c[0].startswith("0 ")]
    if zero:
        total = sum(VECTORS[name].x.size for name in zero)
        yield (*head, ", ".join(zero), f"0 of {total}", "", "")
    for name, found in mine.items():
        if name not in zero:
            yield (*head, name, *found)


def line(texts):
    return "| " + " | ".join(texts) + " |\n"


def read(document):
    """{library: {key: cells}} of the table in the document."""
    text = document.split(START)[1].split(END)[0]
    found = {}
    for row in text.strip().splitlines()[2:]:
        library, function, what, names, *rest = (
            cell.strip() for cell in row.strip().strip("|").split("|")
        )
        for name in names.split(", "):
            size = VECTORS[name].x.size
            none = rest[0].startswith("0 ")
            key = (function.strip("`"), what, name)
            found.setdefault(library, {})[key] = (
                (f"0 of {size}", "", "") if none else tuple(rest)
            )
    return found


def replaced(document, measured):
    """The document with another table between the two markers."""
    before, rest = document.split(START)
    _, after = rest.split(END)
    return before + START + table(measured) + END + after

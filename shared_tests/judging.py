"""One random case of `make fuzz`, judged: see examine().

Each array is held against the reference and the sigma of that very input
(verdict.py, the same 16 as everywhere). sigma has 48 runs, as in the
fixtures, but a case that passes with the sum of its first squares divided
by 48 passes with all 48: the rest is only computed for the others.

What must not be judged, and why:
- Range, and exact ties. A second float64 run has the range of the working
  precision: above LARGEST / 256 is inf, a sum with such parts NaN, below
  SMALL is 0, in every operation; and it rounds every result, so that two
  large logits may tie, which random noise never makes them do. A third
  keeps subnormal numbers, with their few digits. Where one moves an
  element by more than its budget, overflow, underflow or a tie decides,
  in an order that each framework chooses, and the element is left out.
  So is one without a finite reference where any finite number
  overflowed: inf - inf is NaN. Everywhere else NaN and infinity must
  stand just where the reference has them, in all four. Those runs are
  only made where something is wrong without them. Squares of errors
  have a range, too: float64 ends at 2^-480 here.
- A number that rounding can turn into NaN: sigma is NaN there.
- Codes of `quantize` are defined in the working precision: where noise
  moves one in the reference, PyTorch's own code is the reference.
What the reference refuses, all four must refuse, with the same exception.
"""

import fnmatch
import itertools
import math
import re
from typing import NamedTuple

import ml_dtypes
import numpy as np
import torch

from pytorch_impl import adapter
from shared_tests import budget
from shared_tests.live import ask_all, reference
from shared_tests.verdict import TINY, judge
from shared_tests.verdict import budget as allowed

COUNTS = (3, 6, 12, budget.RUNS)
LARGEST = {
    "float64": float(np.finfo(np.float64).max),
    "float32": float(np.finfo(np.float32).max),
    "bfloat16": float(ml_dtypes.finfo(ml_dtypes.bfloat16).max),
    "float16": 65504.0,
}

SMALL = {precision: 4 * tiny for precision, tiny in TINY.items()}
SMALL["float64"] = 2.0**-480  # its squares are sums in budget.py

# (layer, array, framework, kind) and why it is as it is; * is anything
KNOWN = [
    (
        *("HalfSpectrum", "*", "*", "* for *"),
        "where NaN and infinity go in a fast transform is up to its order",
    ),
    (
        *("TensorReduction", "grad.weight", "tf", "nan for inf"),
        "tf 2.21.0: infinite_matmul of docs/deviations.md",
    ),
    (
        *("QAT*", "*", "jax", "nan for number"),
        "jax 0.10.2 without x64 has no int64: grid_linear sums in int32,"
        " and says NaN where that would wrap",
    ),
]


class Finding(NamedTuple):
    layer: str
    array: str
    framework: str
    kind: str
    detail: str

    @property
    def key(self):
        return self[:4]


aten = torch.ops.aten
SUMS = (aten.sum, aten.mean, aten.mm, aten.bmm, aten.convolution)


class Range(budget.RoundingNoise):
    """The float64 reference, with a narrower precision's numbers."""

    def __init__(self, precision):
        super().__init__(None)
        self.dtype = getattr(torch, precision)
        self.small = SMALL[precision]
        self.large = LARGEST[precision] / 256
        self.lost = torch.nan
        self.overflowed = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Constants, such as 1 / levels, are rounded as well."""
        args = tuple(
            float(torch.tensor(a, dtype=self.dtype))
            if isinstance(a, float)
            else a
            for a in args
        )
        return super().__torch_dispatch__(func, types, args, kwargs)

    def deviation(self, op, y, args, kwargs):
        """What is lost where parts of a sum overflow, by their order."""
        if op not in SUMS:
            return
        sizes = (a.abs() if torch.is_tensor(a) else a for a in args)
        parts = op(*sizes, **kwargs)
        # of one sign the parts add up to |y|, but for float64's rounding
        mixed = parts.isfinite() & (parts > y.abs() * (1 + 1e-9))
        lost = mixed & (parts > self.large)
        self.overflowed |= bool(lost.any())
        y[lost] = self.lost

    def perturb(self, y, noise):
        for part in y if isinstance(y, list | tuple) else [y]:
            if part is None:
                continue
            if part.is_complex():
                part = torch.view_as_real(part)
            part[part.abs() < self.small] = 0
            beyond = part.abs() > self.large
            self.overflowed |= bool(part[beyond].isfinite().any())
            part[beyond] *= torch.inf
            part.copy_(part.to(self.dtype))
        return y


class InfiniteSums(Range):
    """mxnet 1.9.1: sum([inf, 1]) is NaN; docs/deviations.md."""

    def deviation(self, op, y, args, kwargs):
        super().deviation(op, y, args, kwargs)
        if op in (aten.sum, aten.mean):
            y[y.isinf()] = torch.nan


class Gradual(Range):
    """Another way out of the range, at both ends.

    Underflow by steps of the smallest subnormal number, not to 0; and
    -inf where parts overflow, which a rectifier closes, and NaN opens.
    """

    def __init__(self, precision):
        super().__init__(precision)
        self.small, self.lost = 0.0, -torch.inf


QUIRKS = {"mxnet": InfiniteSums}  # NaN where these have it is no news


def ranged(request, kind=Range):
    """What the reference computes in that range; did it overflow?

    ({}, True) if it refuses that: the QAT pages do so for a range of inf
    """
    mode = kind(request.precision)

    def cut(arrays):
        wide = {n: np.array(a) for n, a in arrays.items()}
        for array in wide.values():
            if array.dtype.kind == "f":
                array[np.abs(array) < mode.small] = 0
        return wide

    layer, config, params, inputs, cotangents = request[:5]
    built = adapter.build(layer, config, cut(params), "float64")
    cotangents = cut(cotangents) or None
    with mode:
        try:
            arrays = adapter.run(built, cut(inputs), cotangents)
        except ValueError:
            return {}, True
    return arrays, mode.overflowed


def in_range(request):
    """Both of the ways in which numbers leave the range."""
    return [ranged(request, kind) for kind in (Range, Gradual)]


class Sampled(NamedTuple):
    references: dict
    sigmas: dict
    outside: dict  # elements that the range decides


def sampled(stage, runs, precision, nears=()):
    """The sums of `runs` squares, as if the rest of RUNS were zeros.

    nears: of in_range(); without them nothing is left out
    """
    references, sigmas = stage
    sigmas, outside = dict(sigmas), {}
    for name, value in references.items():
        sigma = sigmas[name] * math.sqrt(runs / budget.RUNS)
        sigmas[name] = usable(sigma, value)
        outside[name] = np.zeros(value.shape, bool)
        margin = allowed(sigmas[name], precision)
        for near in nears:
            outside[name] |= beyond(value, name, margin, *near)
    return Sampled(references, sigmas, outside)


def usable(sigma, value):
    """Infinite where noise can turn a finite value into NaN."""
    unknown = np.isnan(sigma) & np.isfinite(value)
    return np.where(unknown, np.inf, sigma)


def beyond(value, name, margin, arrays, overflowed):
    """Which elements of the reference the range moves."""
    unknown = np.full_like(value, np.nan, dtype=float)
    near = arrays.get(name, unknown)
    same = (near == value) | (np.isnan(near) & np.isnan(value))
    close = np.isfinite(near) & (np.abs(near - value) <= margin)
    moved = ~same & ~close
    return moved | ~np.isfinite(value) if overflowed else moved


def findings_of(request, framework, answer, known, pytorch, quirk=None):
    """What is wrong with one framework's answer.

    quirk: {array: values} of a run as QUIRKS has them
    """

    def found(array, kind, detail):
        return Finding(request.layer, array, framework, kind, detail)

    if isinstance(answer, str):
        kind, detail = answer.split(": ", 1)
        return (
            [] if kind == "unsupported" else [found("*", kind, detail)]
        )
    wrong = []
    for name in sorted(set(known.references) | set(answer)):
        if name not in answer or name not in known.references:
            where = "result" if name not in answer else "reference"
            wrong.append(found(name, "missing", f"not in the {where}"))
            continue
        value, wanted = answer[name], known.references[name]
        sigma, outside = known.sigmas[name], known.outside[name]
        if value.shape == wanted.shape:
            if quirk:
                odd = np.isnan(quirk[name]) & np.isnan(value)
                outside = outside | odd
            if wanted.dtype.kind == "i":
                if isinstance(pytorch, dict):
                    wanted = np.where(sigma > 0, pytorch[name], wanted)
                wanted = np.where(outside, value, wanted)
                wanted = wanted.astype(np.int32)
            else:
                wanted = np.where(outside, np.nan, wanted)
                value = np.where(outside, np.nan, value)
                value = value.astype(answer[name].dtype)
        verdict = judge(value, wanted, sigma, request.precision)
        if not verdict.passed:
            wrong.append(found(name, *kind_of(verdict)))
    return wrong


def kind_of(verdict):
    """(kind, detail): value, shape, dtype, or such as "nan for inf"."""
    if verdict.detail.startswith(("shape", "dtype")):
        return verdict.detail.split()[0], verdict.detail
    pair = re.search(r"got (\S+), expected (\S+),", verdict.detail)
    plain = [
        x if x in ("nan", "inf") else "number" for x in sides(pair)
    ]
    same = plain[0] == plain[1]
    return "value" if same else " for ".join(plain), verdict.detail


def sides(pair):
    return [x.lstrip("-") for x in pair.groups()]


def refusals(request, answers, error):
    """The reference raised: so must all the others."""
    expected = f"error: {type(error).__name__}: "
    for framework, answer in answers.items():
        text = answer if isinstance(answer, str) else "arrays"
        if not text.startswith((expected, "unsupported")):
            detail = f"got {text}, the reference raised {error}"
            kind = "not refused"
            yield Finding(request.layer, "*", framework, kind, detail)


def reference_stages(request):
    """What reference() returns, after each of COUNTS runs."""
    done, squares = 0, {}
    for runs in COUNTS:
        references, sigmas = reference(
            *request[:6], seed=done, runs=runs - done
        )
        for name, sigma in sigmas.items():
            more = (runs - done) * sigma**2
            squares[name] = squares.get(name, 0) + more
        done = runs
        yield (
            references,
            {n: np.sqrt(s / runs) for n, s in squares.items()},
        )


def examine(request, workers):
    """(findings, elements judged, elements left out) of one case."""
    stages, first = reference_stages(request), []

    def meanwhile():
        try:
            first.append(next(stages))
        except (ValueError, TypeError) as error:
            first.append(error)

    with np.errstate(all="ignore"):
        found = ask_all(workers, request, meanwhile=meanwhile)
        answers = {w.framework: a for w, a in zip(workers, found)}
        if isinstance(first[0], Exception):
            return list(refusals(request, answers, first[0])), 0, 0
        wrong, known = judged(
            request, answers, itertools.chain(first, stages)
        )
    left_out = sum(int(o.sum()) for o in known.outside.values())
    total = sum(r.size for r in known.references.values())
    return wrong, total - left_out, left_out


def judged(request, answers, stages):
    """(findings, Sampled), with as few runs as decide it."""
    nears, quirks = [], {}
    for runs, stage in zip(COUNTS, stages):
        known = sampled(stage, runs, request.precision, nears)
        wrong = all_findings(request, answers, known, quirks)
        if wrong and not nears and runs > COUNTS[0]:
            nears = in_range(request)
            if not all(arrays for arrays, _ in nears):
                answers = without_refusals(answers)
            quirks = {
                framework: ranged(request, QUIRKS[framework])[0]
                for framework in {f.framework for f in wrong}
                if framework in QUIRKS
            }
            known = sampled(stage, runs, request.precision, nears)
            wrong = all_findings(request, answers, known, quirks)
        if not any(map(undecided, wrong)):
            break
    return wrong, known


def undecided(finding):
    """More runs, or the range, may show that this is nothing."""
    return finding.kind in ("value", "error") or " for " in finding.kind


def without_refusals(answers):
    refused = "error: ValueError"
    return {
        name: answer
        for name, answer in answers.items()
        if not (isinstance(answer, str) and answer.startswith(refused))
    }


def all_findings(request, answers, known, quirks):
    pytorch = answers.get("pytorch")
    return [
        finding
        for name, answer in answers.items()
        for finding in findings_of(
            request, name, answer, known, pytorch, quirks.get(name)
        )
    ]


def known(finding):
    """Why a finding is no news, or None."""
    for *pattern, reason in KNOWN:
        if all(map(fnmatch.fnmatch, finding.key, pattern)):
            return reason
    return None

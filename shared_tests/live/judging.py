"""One random case of `make fuzz`, judged: see examine().

Each array is held against the reference and the sigma of that very input
(verdict.py, the same 16 as everywhere). sigma has 48 runs, as in the
fixtures, but a case that passes with the sum of its first squares divided
by 48 passes with all 48: the rest is only computed for the others. That
holds while nothing is left out by a margin, which fewer runs make too
narrow: until all 48 are there, only what no margin decides is left out.

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
- A number that rounding can turn into NaN, where sigma is NaN, or move
  out of the range of the working precision.
- Codes of `quantize` are defined in the working precision: where noise
  moves one in the reference, PyTorch's own code is the reference. What
  noise comes to there is no budget of a code, which has none.
What the reference refuses, all four must refuse, with the same exception.
"""

import fnmatch
import itertools
import math
import re
from typing import NamedTuple

import numpy as np

from shared_tests import budget
from shared_tests.live.client import ask_all, reference
from shared_tests.live.ranges import QUIRKS, in_range
from shared_tests.verdict import LARGEST, judge
from shared_tests.verdict import budget as allowed

COUNTS = (3, 6, 12, budget.RUNS)


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
        sigma = usable(sigma, value, precision)
        outside[name] = np.isinf(sigma)
        sigmas[name] = np.where(outside[name], 0.0, sigma)
        margin = allowed(sigma, precision)
        if runs < budget.RUNS:
            margin = np.inf
        if value.dtype.kind in "iub":
            outside[name], margin = np.zeros(value.shape, bool), 0.0
            sigmas[name] = sigma  # which codes the noise moves
        for near in nears:
            outside[name] |= beyond(value, name, margin, *near)
    return Sampled(references, sigmas, outside)


def usable(sigma, value, precision):
    """Infinite where noise can turn a finite value into NaN, or out of
    the range; 0 where the value is not finite, and no number beside it."""
    with np.errstate(over="ignore", invalid="ignore"):
        known = allowed(sigma, precision) <= LARGEST[precision]
    finite = np.isfinite(value)
    return np.where(
        known & finite, sigma, np.where(finite, np.inf, 0.0)
    )


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
                framework: QUIRKS[framework](request)
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

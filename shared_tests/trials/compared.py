"""One framework's answer to a fresh case, held against all criteria.

judged(answer, references, sigmas, precision, allowed_of, inputs, ...)
    -> what a line of the false-alarm trial says of it: comparisons,
       alarms, failures, the worst ratio of each array by criterion
"""

import numpy as np

from shared_tests.live import judging, ranges
from shared_tests.trials import criteria
from shared_tests.verdict import FACTOR, judge, ratio

BINS = 4 * FACTOR  # of |error| / sigma, each a quarter wide
# a process that was killed or says nothing more: of its numbers nothing
# is known, right or wrong
FAILED = ("crash", "hang")


def judged(answer, references, sigmas, precision, *also):
    """What the budget and the other criteria say of one answer.

    also: what `compared` takes besides, of this case
    """
    found = dict(elements=0, arrays=0, worst=0.0, at="", alarms=[])
    found |= dict(undecided=0, failures=[], bins=[], peaks={})
    if isinstance(answer, str):
        what = "failures" if answer.startswith(FAILED) else "alarms"
        if not answer.startswith("unsupported"):
            found[what].append(answer)
        return found
    found["bins"] = np.zeros(BINS + 1, int)
    if answer.keys() != references.keys():
        found["alarms"].append(f"arrays {sorted(answer)}")
    for name in sorted(answer.keys() & references.keys()):
        against = references[name], sigmas[name], precision
        compared(found, name, answer[name], *against, *also)
    return found | dict(bins=found["bins"].tolist())


def compared(
    found,
    name,
    value,
    wanted,
    sigma,
    precision,
    allowed_of,
    inputs,
    second=None,
    outside=None,
    known=None,
):
    """Adds what there is to say of one array.

    allowed_of: {side: what the shapes allow}; inputs: their names
    second: PyTorch's answer in the same mode; None for PyTorch itself
    outside: {array: where the range decides}
    known: ({array: reference}, {array: sigma}) of what is settled
    """
    sigma = judging.usable(sigma, wanted, precision)
    open_ = np.isinf(sigma)
    if precision == "float64":
        open_ = open_ | (
            (wanted != 0) & (np.abs(wanted) < ranges.SMALL["float64"])
        )
    if outside:
        open_ = open_ | outside[name]
    if open_.any() and value.shape == wanted.shape:
        value, wanted = without(open_, value, wanted)
    sigma = np.where(np.isinf(sigma), 0.0, sigma)
    found["elements"] += int(wanted.size - open_.sum())
    found["undecided"] += int(open_.sum())
    found["arrays"] += 1
    verdict = judge(value, wanted, sigma, precision)
    if not verdict.passed:
        found["alarms"].append(f"{name} {verdict.detail}")
    whole = wanted.dtype.kind in "iub"
    if whole or value.shape != wanted.shape or not wanted.size:
        return
    side = name.split(".")[0]
    other = second.get(name) if isinstance(second, dict) else None
    if np.shape(other) != wanted.shape:
        other = None
    pair = (
        (known[0][name], known[1][name]) if known else (wanted, sigma)
    )
    pair = pair if precision == "float32" else None
    peaks = found["peaks"].setdefault(kind_of(name, inputs), {})
    of_array = criteria.ratios(
        *(value, wanted, sigma, precision, allowed_of[side], side),
        *(other, ~open_, pair),
    )
    for criterion, peak in of_array.items():
        peak = float(f"{min(peak, 1e99):.3g}")
        peaks.setdefault(criterion, []).append(peak)
    each = ratio(value, wanted, sigma, precision)[~open_]
    where = np.minimum(each * BINS, BINS).astype(int)
    found["bins"] += np.bincount(where.ravel(), minlength=BINS + 1)
    if peaks["budget"][-1] > found["worst"]:
        found |= dict(worst=peaks["budget"][-1], at=name)


def kind_of(name, inputs):
    """output, input_grad or param_grad, as in the parity report."""
    side, _, of = name.partition(".")
    if side == "out":
        return "output"
    return "input_grad" if of in inputs else "param_grad"


def without(where, value, wanted):
    """Both, equal in the elements that are left out."""
    if wanted.dtype.kind in "iub":
        return value, np.where(where, value, wanted).astype(
            wanted.dtype
        )
    kept = np.where(where, np.nan, value).astype(value.dtype)
    return kept, np.where(where, np.nan, wanted)

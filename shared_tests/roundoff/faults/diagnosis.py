"""What a wrong number looks like, in words, from a closed list.

    diagnose(name, value, reference, sigma)            from the numbers
    diagnose(..., context=Context(compute, module))    and by trying out

A text is given only where it explains the value: the reference, changed
in that way, has it within its budget, while the plain one has not. Where
several do, all are said; where none does, the text is empty. That is no
proof: another fault can have the same effect, and says so where it does.
"""

import dataclasses

import numpy as np

from ..verdict import FACTOR, UNIT_ROUNDOFF, ratio
from . import patterns, tryout
from .patterns import Case

NEARLY = 2.0  # times the budget, where the plain reference is far off
FAR = 8.0
SHARE = 0.25  # of the error that may be left where roundings meet
MANY = 16  # elements that it takes to see that


@dataclasses.dataclass(eq=False)
class Context:
    """What is needed to run the reference again; one for all arrays.

    compute: no arguments, {array: ndarray}, in float64
    module: the one that it runs, whose parameters may be changed for it
    seed: of the noise; runs: of the reference, at the most
    """

    compute: object
    module: object = None
    seed: int = 0
    runs: int = 96
    made: object = None  # the runs, once there are any


def diagnose(
    name, value, reference, sigma, context=None, precision="float32"
):
    """What explains the value, in words; "" for nothing, or no fault.

    value: of the port; reference, sigma: as for verdict.judge
    """
    value, reference = np.asarray(value), np.asarray(reference)
    if reference.dtype.kind not in "f" or value.dtype.kind != "f":
        return ""
    sizes = sizes_of(context)
    case = Case(name, value, reference, sigma, precision, sizes)
    alike = value.shape == reference.shape
    if alike and worst(case, reference) <= 1:
        return ""
    texts = [text for find in patterns.WHOLE for text in find(case)]
    if context is not None and alike:
        with np.errstate(all="ignore"):
            texts += tried(case, context)
    if not texts:
        texts = patterns.places(case)
    return "; or ".join(texts)


def sizes_of(context):
    """Sizes that a factor may be made of: those of the parameters."""
    if context is None or context.module is None:
        return ()
    every = (p.shape for p in context.module.parameters())
    return tuple(sorted({n for shape in every for n in shape}))


def worst(case, reference):
    ratios = ratio(case.value, reference, case.sigma, case.precision)
    return float(ratios.max(initial=0.0))


# --- whether a changed reference explains the value


def explains(case, arrays):
    """Whether the case is within the budget of changed arrays."""
    changed = arrays.get(case.name)
    if changed is None or changed.shape != case.value.shape:
        return False
    now = worst(case, changed)
    limit = NEARLY if worst(case, case.reference) >= FAR else 1.0
    return now <= limit


def mostly(case, arrays):
    """Roundings meet other roundings: a few come out the other way, so
    the error need not go, but most of it must."""
    if explains(case, arrays):
        return True
    changed = arrays.get(case.name)
    if changed is None or changed.shape != case.value.shape:
        return False
    plain = norm(case.value - case.reference)
    left = norm(case.value - changed)
    return case.value.size >= MANY and left <= SHARE * plain


def norm(error):
    return float(np.sqrt(np.mean(np.square(error))))


# --- trying out


def tried(case, context):
    """Texts of all changes that explain the value."""
    if context.made is None:
        context.made = tryout.Runs(context)
    runs, texts = context.made, []
    for family in runs.families:
        rule = mostly if family.rounds else explains
        found = [
            words
            for words, arrays in runs.of(family)
            if rule(case, arrays)
        ] or [
            words
            for words, arrays in runs.one_by_one(family)
            if rule(case, arrays)
        ]
        if found:
            texts.append(family.text.format(" or ".join(found)))
    others = [(mostly, runs.of_parameters())]
    if case.name.startswith("grad."):
        others.append((explains, runs.of_paths()))
    for rule, every in others:
        texts += [
            words for words, arrays in every if rule(case, arrays)
        ]
    for words, sigma in runs.formulas():
        looser = case._replace(sigma=sigma.get(case.name, case.sigma))
        if worst(looser, case.reference) <= 1:
            texts.append(f"a less accurate formula: {words}")
    if texts:
        return texts
    return [
        f"errors of the size of sums in {kind}"
        for kind, sigma in runs.narrow_sums()
        if like_noise(case, sigma.get(case.name))
    ]


def like_noise(case, sigma):
    """Whether errors are as large as sigma says, and know no direction."""
    known = None if sigma is None else sigma > 0
    if known is None or known.sum() < 2 * MANY:
        return False
    error = (case.value - case.reference)[known]
    units = error / (sigma[known] * UNIT_ROUNDOFF[case.precision])
    size, chance = norm(units), 4 / np.sqrt(units.size)
    along = np.corrcoef(error, case.reference[known])[0, 1]
    return bool(
        np.abs(units).max() <= FACTOR
        and 1 / FACTOR <= size <= 2
        and abs(units.mean()) <= chance * size
        and not abs(along) > chance
    )

"""What the numbers alone say about a fault: a factor, an order, a place.

Each function takes a Case and gives a list of texts, empty where what it
knows of does not explain the value. NumPy only.

A text is given where another reference, made from the given one, explains
the value: with it, nothing is outside of the budget.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np

from ..verdict import ratio

FEW = 4  # elements that a constant of two decimals must explain
LARGEST_MATCH = 10**7  # comparisons to find which row is which
NARROW = {8: "bfloat16", 11: "float16 or TF32"}
DROPPED = 0.1, 0.2, 0.25, 0.3, 0.5


class Case(NamedTuple):
    name: str  # out.y, grad.weight, ...
    value: np.ndarray
    reference: np.ndarray
    sigma: np.ndarray
    precision: str = "float32"
    sizes: tuple = ()  # that a factor may be made of


def fits(case, changed, sigma=None):
    """Whether a changed reference explains every element.

    The value is rounded itself, which counts where sigma is smaller.
    """
    sigma = case.sigma if sigma is None else sigma
    if changed.shape != case.value.shape:
        return False
    sigma = np.maximum(sigma, np.abs(changed))
    with np.errstate(invalid="ignore", over="ignore"):
        return bool(
            (
                ratio(case.value, changed, sigma, case.precision) <= 1
            ).all()
        )


def wrong_elements(case):
    if case.value.shape != case.reference.shape:
        return None
    return ratio(*case[1:5]) > 1


# --- a gradient that is not there, a single element


def nothing(case):
    if np.any(case.value) or not np.any(case.reference):
        return []
    if case.name.startswith("grad."):
        return [
            "the gradient is 0 everywhere: cut off, or never computed"
        ]
    return ["0 everywhere"]


def one_element(case):
    wrong = wrong_elements(case)
    if wrong is None or wrong.sum() != 1 or wrong.size < 4 * FEW:
        return []
    at = [int(i) for i in np.argwhere(wrong)[0]]
    return [f"one element of {wrong.size:,} is wrong, {at}"]


def stored(case):
    """Every number has fewer significant bits than its precision."""
    kept = [
        array[np.isfinite(array) & (array != 0)].astype(np.float64)
        for array in (case.value, case.reference)
    ]
    if kept[0].size < 2 * FEW:
        return []
    for bits, kinds in NARROW.items():
        value, reference = (whole_in(bits, array) for array in kept)
        if value.all() and reference.mean() < 0.5:
            return [
                f"every number has {bits} significant bits: {kinds}"
            ]
    return []


def whole_in(bits, array):
    scaled = np.frexp(array)[0] * 2.0**bits
    return scaled == np.round(scaled)


# --- a factor, an offset


def factor(case):
    """value = c reference, c one number."""
    value, reference = flat(case)
    if value is None or fits(case, case.reference):
        return []
    known = [
        (label, c)
        for label, c in known_factors(case).items()
        if fits(case, c * case.reference, abs(c) * case.sigma)
    ]
    large = np.abs(reference) >= np.median(np.abs(reference))
    if np.count_nonzero(reference[large]) < large.sum():
        large = reference != 0
    if large.sum() < FEW and not known:
        return []
    c = float(np.median(value[large] / reference[large]))
    if not known:
        if not fits(case, c * case.reference, abs(c) * case.sigma):
            return []
        return [f"a constant factor of {c:.7g}"]
    labels = ", ".join(label for label, _ in known[:3])
    return [f"a constant factor of {known[0][1]:.6g} ({labels})"]


def flat(case):
    if case.value.shape != case.reference.shape:
        return None, None
    value = case.value.astype(np.float64).ravel()
    reference = case.reference.ravel()
    if not np.isfinite(value).all() or not np.isfinite(reference).all():
        return None, None
    return (value, reference) if np.any(reference) else (None, None)


def known_factors(case):
    """{what it is: the number}, the simplest first."""
    shape = case.reference.shape
    found = {"-1": -1.0, "2": 2.0, "1 / 2": 0.5}
    found |= {"sqrt(2)": math.sqrt(2), "1 / sqrt(2)": math.sqrt(0.5)}
    sizes = {*case.sizes, *shape, case.reference.size}
    for d in sorted(d for d in sizes if d > 1):
        found |= {f"n = {d}": float(d), f"1 / n, n = {d}": 1 / d}
        found[f"sqrt(d), d = {d}"] = math.sqrt(d)
        found[f"1 / sqrt(d), d = {d}"] = 1 / math.sqrt(d)
        found[f"n / (n - 1), n = {d}"] = d / (d - 1)
        found[f"(n - 1) / n, n = {d}"] = (d - 1) / d
    for p in DROPPED:
        found[f"1 / (1 - p), p = {p}"] = 1 / (1 - p)
        found[f"1 - p, p = {p}"] = 1 - p
    return found


def offset(case):
    """value = reference + b, b one number; or c reference + b."""
    value, reference = flat(case)
    if value is None or value.size < FEW or fits(case, case.reference):
        return []
    if np.all(reference == reference[0]):
        return []  # as good as a factor
    b = float(np.median(value - reference))
    if fits(case, case.reference + b):
        return [f"a constant offset of {b:.6g}"]
    if value.size < 2 * FEW:
        return []
    c, b = np.polyfit(reference, value, 1)
    if fits(case, c * case.reference + b, abs(c) * case.sigma):
        return [f"times {c:.6g}, plus {b:.6g}"]
    return []


def along_an_axis(case):
    """A factor or an offset that depends on one axis only: a bias."""
    value, _ = flat(case)
    if value is None or fits(case, case.reference):
        return []
    value, reference, texts = case.value, case.reference, []
    for axis in range(value.ndim):
        others = tuple(a for a in range(value.ndim) if a != axis)
        many = value.size // max(value.shape[axis], 1)
        if value.shape[axis] < 2 or many < FEW:
            continue
        b = np.median(value - reference, axis=others, keepdims=True)
        if np.ptp(b) and fits(case, reference + b):
            texts.append(
                f"an offset that depends on axis {axis} only: a bias"
                " left out, or another one"
            )
        with np.errstate(invalid="ignore", divide="ignore"):
            c = np.nanmedian(
                value / reference, axis=others, keepdims=True
            )
        if not np.isfinite(c).all() or not np.ptp(c):
            continue
        if fits(case, c * reference, np.abs(c) * case.sigma):
            texts.append(f"a factor that depends on axis {axis} only")
    return texts


# --- another order


def axes(case):
    """A transposed or permuted axis, in the shape or in the memory."""
    reference, texts = case.reference, []
    plain = tuple(range(reference.ndim))
    if not 2 <= reference.ndim <= 4 or fits(case, reference):
        return []
    for order in itertools.permutations(plain):
        if order == plain:
            continue
        moved = [a.transpose(order) for a in (reference, case.sigma)]
        if fits(case, *moved):
            texts.append(f"the axes are permuted, to {order}")
        elif moved[0].shape != reference.shape:
            again = [a.reshape(reference.shape) for a in moved]
            if fits(case, *again):
                texts.append(
                    f"numbers laid out with the axes permuted to {order},"
                    f" and read as {reference.shape}"
                )
    return texts


def rows(case):
    """The slices of one axis in another order."""
    if case.value.shape != case.reference.shape:
        return []
    texts = []
    for axis, n in enumerate(case.reference.shape):
        order = order_of(case, axis, n)
        if order is None:
            continue
        moved = [
            np.take(a, order, axis)
            for a in (case.reference, case.sigma)
        ]
        if fits(case, *moved):
            texts.append(f"along axis {axis}, {order_in_words(order)}")
    return texts


def order_of(case, axis, n):
    """Which slice of the reference each of the value is nearest to."""
    size = case.reference.size
    if n < 2 or size == 0 or n * size > LARGEST_MATCH:
        return None
    value, reference = (
        np.moveaxis(a, axis, 0).reshape(n, -1)
        for a in (case.value.astype(np.float64), case.reference)
    )
    apart = [np.abs(reference - row).sum(axis=1) for row in value]
    if not np.isfinite(apart).all():
        return None
    order = np.argmin(apart, axis=1)
    if len(set(order.tolist())) < n or (order == np.arange(n)).all():
        return None
    return order


def order_in_words(order):
    n, places = len(order), np.arange(len(order))
    moved = places[order != places]
    if len(moved) == 2:
        return f"{moved[0]} and {moved[1]} have changed places"
    if (order == places[::-1]).all():
        return "the order is reversed"
    shift = int((places - order)[0] % n)
    if (order == (places - shift) % n).all():
        return f"everything is moved by {shift} of {n}"
    first = ", ".join(map(str, order[:6])) + (", ..." if n > 6 else "")
    return f"the order is {first}"


# --- where it is wrong


def places(case):
    """Only a part of an axis, or one side of a diagonal: a mask?"""
    wrong = wrong_elements(case)
    if wrong is None or wrong.all() or wrong.sum() < 2:
        return []
    texts = triangle(wrong)
    for axis, n in enumerate(() if texts else wrong.shape):
        hit = np.flatnonzero(
            wrong.any(
                axis=tuple(a for a in range(wrong.ndim) if a != axis)
            )
        )
        block = np.take(wrong, hit, axis)
        if n < 3 or len(hit) == n or block.mean() < 0.5:
            continue
        words = part_in_words(hit, n)
        if words:
            texts.append(f"only {words} of axis {axis} differ")
    return [f"{text}: a mask, or its corner?" for text in texts]


def part_in_words(hit, n):
    first, last = int(hit[0]), int(hit[-1])
    if len(hit) == 1:
        return f"position {first}"
    if len(hit) < last - first + 1:
        return ""
    if last == n - 1:
        return f"positions from {first} on"
    if first == 0:
        return f"positions up to {last}"
    return f"positions {first} to {last}"


def triangle(wrong):
    """Of the last two axes."""
    if wrong.ndim < 2 or min(wrong.shape[-2:]) < 3:
        return []
    flat = wrong.reshape(-1, *wrong.shape[-2:])
    rows, columns = np.indices(wrong.shape[-2:])
    sides = {
        "above the diagonal": columns > rows,
        "below the diagonal": columns < rows,
        "on the diagonal": columns == rows,
        "on and above the diagonal": columns >= rows,
        "on and below the diagonal": columns <= rows,
    }
    for words, side in sides.items():
        if not flat[:, ~side].any() and flat[:, side].mean() >= 0.9:
            return [
                f"only elements {words} of the last two axes differ"
            ]
    return []


def scaled(case):
    """The simplest of a factor, an offset, both, or one an axis."""
    for find in (nothing, factor, offset, along_an_axis):
        texts = find(case)
        if texts:
            return texts
    return []


WHOLE = (stored, one_element, scaled, axes, rows)

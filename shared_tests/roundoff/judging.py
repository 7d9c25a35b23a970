"""The reference, its sigma, and what is said of each array of both sides."""

from typing import NamedTuple

import numpy as np

from . import sampling
from .branches import sides
from .branches import study as studies
from .errors import CheckError
from .faults import diagnosis
from .layerwise import layers as layer_outputs
from .mixed import precisions
from .report import compare, missing
from .rules.selfcheck import SelfCheckError
from .verdict import UNIT_ROUNDOFF

DIAGNOSED = (
    3  # arrays: what follows from these is wrong in the same way
)
LOOKS = 4  # noisy runs that tell which choices rounding can turn


class Case(NamedTuple):
    """What is to be judged."""

    reference: object  # reference.Reference
    cotangents: dict
    results: dict  # of the port
    dtypes: dict  # of those whose dtype NumPy does not have
    layers: object
    precision: str
    runs: int
    seed: int

    def compute(self):
        return self.reference.run(self.cotangents)


def judge_all(case):
    """(lines, notes, noisy runs that were made)."""
    references, sigmas, made = sampled(case)
    unchanged_buffers(case.results, case.reference, references, sigmas)
    results, notes = lined_up(case.results, references, case.layers)
    lines, lost = judged(case, results, references, sigmas)
    notes += lost + decided(case, lines, results, references, sigmas)
    diagnose(case, lines, results, references, sigmas)
    return lines, notes, made


def sampled(case):
    """(references, sigmas in units of the judged dtype's u, runs).

    Sampling ends as soon as all that the port has is proven to pass.
    """
    name = case.precision

    def enough(references, least):
        references = dict(references)
        least = precisions.in_units(name, least)
        unchanged_buffers(
            case.results, case.reference, references, least
        )
        results, _ = lined_up(case.results, references, case.layers)
        lines, _ = judged(case, results, references, least)
        return all(line.word == "rounding" for line in lines)

    try:
        sample = sampling.estimate(
            case.compute,
            case.seed,
            case.runs,
            enough,
            precisions.noise(name, case.reference.module),
            precisions.precision(name).finest,
        )
    except SelfCheckError as error:
        name = case.reference.unsteady()
        if not name:
            raise
        raise CheckError(
            f"the module's {name} is another one the second time: it"
            " keeps a state that is no buffer"
        ) from error
    sigmas = precisions.in_units(name, sample.sigma)
    return dict(sample.reference), sigmas, sample.runs


def decided(case, lines, results, references, sigmas):
    """Judges beside a choice that rounding can turn, where there is one
    (sides.py), for there sigma has a jump in it. Changes lines,
    references and sigmas. Returns: notes"""
    if case.precision not in ("float32", "float64"):
        return []
    how = case.compute, case.seed
    try:
        look = studies.study(
            *how, min(LOOKS, case.runs), case.precision
        )
        if not look.open:
            return []
        study = studies.study(*how, case.runs, case.precision)
        values = {
            line.name: alike(
                results[line.name], study.reference[line.name]
            )
            for line in lines
            if line.name in results and line.name in study.reference
        }
        found = sides.judge_sides(study, values)
    except (
        ArithmeticError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        text = f"{type(error).__name__}: {error}"
        return [f"choices of the module could not be examined: {text}"]
    for i, line in enumerate(lines):
        if line.name not in found or line.name in case.dtypes:
            continue
        name, told = line.name, found[line.name]
        references[name] = study.reference[name]
        sigmas[name] = study.sigma[name]
        lines[i] = compare(
            *(name, values[name], references[name], sigmas[name]),
            case.precision,
        )
        if told.word == "undecided" and lines[i].word == "bug":
            lines[i].word = "undecided"
            lines[i].diagnosis = told.detail
    return []


def alike(value, reference):
    """The width of an integer is the port's own choice."""
    value = np.asarray(value)
    if {value.dtype.kind, reference.dtype.kind} <= set("iu"):
        return value.astype(reference.dtype)
    return value


def diagnose(case, lines, results, references, sigmas):
    """What the first wrong arrays look like, in words."""
    context = diagnosis.Context(
        case.compute, case.reference.module, case.seed
    )
    wrong = [line for line in lines if line.word == "bug"]
    for line in wrong[:DIAGNOSED]:
        name = line.name
        if name in case.dtypes:
            continue
        line.diagnosis = diagnosis.diagnose(
            *(name, results[name], references[name], sigmas[name]),
            context,
            precisions.precision(case.precision).dtype,
        )


def lined_up(results, references, layers):
    """(the results, outputs of layers under PyTorch's names, notes)."""
    ours, theirs = (
        {n: arrays[n] for n in arrays if n.startswith("layer.")}
        for arrays in (references, results)
    )
    mapping = layers if isinstance(layers, dict) else {}
    found = layer_outputs.align(ours, theirs, mapping)
    others = {n: a for n, a in results.items() if n not in theirs}
    if not layers:
        return others, []
    notes = [
        f"{words}: {', '.join(names)}"
        for words, names in (
            (
                "layers of the port that PyTorch does not have",
                [n for n in found.left_port if "@" not in n],
            ),
            ("compared with the channels second", found.turned),
        )
        if names
    ]
    return others | found.arrays, notes


def unchanged_buffers(results, reference, references, sigmas):
    """A buffer of the port that PyTorch leaves as it is has to stay."""
    for name in results:
        held = reference.params.get(name.removeprefix("buffer."))
        if not name.startswith("buffer.") or name in references:
            continue
        if held is not None:
            wide = "f8" if held.dtype.kind == "f" else held.dtype
            references[name] = held.astype(wide)
            sigmas[name] = np.zeros(held.shape)


def judged(case, results, references, sigmas):
    """(lines, notes) on all arrays of both sides."""
    lines, lost = [], {"PyTorch": [], "the port": []}
    for name, reference in references.items():
        if name in results:
            line = line_of(case, name, results[name], reference, sigmas)
            lines.append(line)
        elif name.startswith("layer.") or is_counter(name, reference):
            if "@" not in name:  # what a layer is called with
                lost["the port"].append(name)
        else:
            lines.append(missing(name, "the port"))
    for name in results:
        if name not in references:
            if name.startswith("out."):
                lines.append(missing(name, "PyTorch"))
            elif not name.startswith("grad."):
                lost["PyTorch"].append(name)
    notes = [
        f"{side} has no {', '.join(names)}: not compared"
        for side, names in lost.items()
        if names
    ]
    return lines, notes


def line_of(case, name, value, reference, sigmas):
    """A Line; bfloat16 is judged in float32, in whose units sigma is
    then, for NumPy has no such numbers."""
    value = np.asarray(value)
    if value.dtype.kind == "c":
        value = np.stack([value.real, value.imag], -1)
    dtype = precisions.precision(case.precision).dtype
    sigma, narrow = sigmas[name], case.dtypes.get(name)
    floats = np.asarray(reference).dtype.kind == "f"
    if floats and narrow == dtype == "bfloat16":
        u = UNIT_ROUNDOFF
        sigma = sigma * (u["bfloat16"] / u["float32"])
        return compare(name, value, reference, sigma, "float32")
    autocast = case.precision.startswith("autocast")
    if autocast and narrow == "bfloat16":
        narrow = None  # what a layer under it gives
    if autocast and value.dtype == np.float16:
        value = value.astype(np.float32)
    if narrow or (floats and dtype == "bfloat16"):
        line = missing(name, "")
        got = narrow or value.dtype.name
        line.elements = [f"dtype {got}, expected {dtype}"]
        line.word = "bug"
        return line
    return compare(name, value, reference, sigma, dtype)


def is_counter(name, reference):
    """A count of batches, which changes no number of the module."""
    counts = reference.dtype.kind in "iu" and reference.ndim == 0
    return name.startswith("buffer.") and counts

"""`make false-alarms`: fresh cases, all of them right. Who cries wolf?

python -m shared_tests.trials.false_alarms [--minutes 10]

Case after case, each with a seed of its own: a layer, a configuration,
axes long enough for some 30,000 elements or more, numbers of a scale
between 1e-6 and 1e6, offsets of up to 10,000 standard deviations. The
four frameworks compute it at the same time, and every element is held
against the reference and the sigma of that very input, as anywhere in
this repo. The frameworks are taken to be right: an element outside its
budget is a false alarm, or a deviation for the ledger. The criteria that
others use see the same arrays (criteria.py). A framework whose process
was killed, as where memory runs out, or hangs, has raised no alarm: that
is counted apart, as a failure of its own, and is an error all the same.

Shapes change every SAME cases, since JAX compiles each anew. One shape
in COMPILED is one of a few that are also compiled, by torch.compile,
jax.jit and XLA. A line for each case goes to build/false_alarms/, under
the digest of what was judged: the next run goes on with the next seed,
and after a change of the pages or the budget everything is asked anew.
`make error-budgets` writes the tables and the plots.
"""

import argparse
import itertools
import json
import pathlib
import sys
import time

import numpy as np
import torch
from rich.console import Console

from pytorch_impl import adapter
from shared_tests.environments import FRAMEWORKS
from shared_tests.files import ROOT, append, json_lines, sha256, write
from shared_tests.live import judging, random_rows, ranges
from shared_tests.live.client import (
    Request,
    Worker,
    ask_all,
    reference,
)
from shared_tests.live.random_rows import LOW, Dice, draw_row, shape_of
from shared_tests.side_by_side import pages
from shared_tests.trials.compared import judged
from shared_tests.trials.shapes import allowed, settled
from shared_tests.verdict import budget

FOLDER = ROOT / "build" / "false_alarms"
SAME, COMPILED = 16, 6
# how long axes are: short where a layer multiplies many of them
SIDES = {
    "TensorReduction": range(8, 25),
    "StandardizedConv2d": range(8, 25),
    "attention": range(8, 33),
    "attention_tiled": range(8, 33),
    "MultiHeadAttention": range(8, 33),
    "QATMultiHeadAttention": range(8, 33),
    "TransformerClassifier": range(8, 25),
    "ManualLinear": range(100, 401),
    "WeightedSum": range(150, 651),
    "quantize": range(150, 651),
    "fake_quantize": range(150, 651),
    "LSQ": range(150, 651),
    "LSQPlus": range(150, 651),
    "QATLinear": range(100, 401),
}
USUAL = range(20, 73)
LEAST, TRIES = 30_000, 40  # elements of the inputs; draws to get there
POSITIVE = ("step", "alpha")


def row_of(number):
    """The layer and the shapes of a case; SAME cases share them."""
    shapes, names = number // SAME, list(random_rows.LAYERS)
    layer = names[shapes % len(names)]
    compiled = shapes % COMPILED == 0
    # the compiled ones come again, so that what was compiled is kept
    seed = [compiled, 0 if compiled else shapes]
    sides = SIDES.get(layer, USUAL)
    drawn = (
        draw_row(Dice([*seed, n], sides), layer) for n in range(TRIES)
    )
    row = next(
        (row for row in drawn if random_rows.size_of(row) >= LEAST),
        None,
    )
    row = row or draw_row(Dice([*seed, 0], sides), layer)
    return row._replace(compiled=compiled)


def request_of(number):
    """The whole case, and how its numbers were drawn."""
    row = row_of(number)
    rng = np.random.default_rng([1, number])
    low = row.precision in LOW
    reach = 1 if low else 6
    scale = 10 ** rng.uniform(-reach, reach)
    offset = 10 ** rng.uniform(0, 4) if rng.random() < 0.3 else 0.0
    offset = 0.0 if low else offset

    def array(spec, scale, offset=0.0):
        shape = shape_of(spec)
        if spec == shape:
            drawn = scale * (offset + rng.standard_normal(shape))
        elif spec[0] == "mask":
            return rng.random(shape) < 0.7
        elif spec[0] == "id":
            below = random_rows.VOCABULARY
            return rng.integers(below, size=shape, dtype=np.int32)
        elif spec[0] == "zero":
            return rng.integers(-9, 10, shape, dtype=np.int32)
        else:
            drawn = scale * rng.uniform(0.02, 1, shape)
        return exact(drawn, row.precision)

    inputs = {n: array(s, scale, offset) for n, s in row.inputs.items()}
    params = {}
    shapes = adapter.shapes(row.layer, row.config)
    for name, shape in shapes.items():
        fan = np.prod(shape[1:]) ** 0.5 if len(shape) > 1 else 1.0
        spec = (
            ("step", shape)
            if name.split(".")[-1] in POSITIVE
            else shape
        )
        size = (
            scale if spec != shape else 10 ** rng.uniform(-2, 2) / fan
        )
        if row.layer.startswith("QAT") and name.endswith("bias"):
            size = 1e-3 * scale  # JAX: under 2^30 steps, see its page
        params[name] = array(spec, size)
    built = adapter.build(row.layer, row.config, params, "float64")
    y = adapter.run(built, inputs)["out.y"]
    gain = 1.0 if low else 10 ** rng.uniform(-6, 6)
    cotangents = (
        {"y": array(y.shape, gain)} if y.dtype.kind == "f" else {}
    )
    precision = row.precision if low else "float32"
    request = Request(
        *(row.layer, row.config, params, inputs, cotangents),
        *(precision, False),
    )
    return request, row.compiled, dict(scale=scale, offset=offset)


def exact(array, precision):
    """As float32, and exact in the precision."""
    if precision in LOW:  # 8 significant bits
        mantissa, exponent = np.frexp(array)
        array = np.ldexp(np.round(mantissa * 256) / 256, exponent)
        array = np.round(array * 2**24) / 2**24
    return np.asarray(array, np.float32)


def modes(request, compiled):
    """(name, request) of each way in which a case is computed."""
    yield f"{request.precision} eager", request
    if request.precision not in LOW:
        yield "float64 eager", request._replace(precision="float64")
    if compiled:
        yield (
            f"{request.precision} compiled",
            request._replace(compiled=True),
        )


def sampled(request, number):
    """Reference and sigma, infinite where noise can turn it into NaN.

    Logits of 1e10, say, whose noise is in the hundreds: there the budget
    has no verdict, and no element is counted; nor below ranges.SMALL.
    """
    references, sigmas = reference(*request[:6], seed=number)
    return references, {
        name: judging.usable(sigma, references[name], "float64")
        for name, sigma in sigmas.items()
    }


def verdicts(workers, answers, against, also, outside=None):
    """{framework: what is said of its answer}, PyTorch's the second."""
    known = {w.framework: a for w, a in zip(workers, answers)}
    return {
        name: judged(
            answer,
            *against,
            known.get("pytorch") if name != "pytorch" else None,
            outside,
            also,
        )
        for name, answer in known.items()
    }


def range_decides(request, references, sigmas):
    """{array: where}: overflow, underflow or a tie, as in judging.py.

    Codes are defined in the working precision, in which that run rounds.
    """
    nears, found = ranges.in_range(request), {}
    for name, value in references.items():
        margin = budget(sigmas[name], request.precision)
        margin = margin if value.dtype.kind == "f" else 0.0
        each = (judging.beyond(value, name, margin, *n) for n in nears)
        found[name] = np.logical_or.reduce([*each])
    return found


def examine(number, workers):
    """The line of one case."""
    request, compiled, drawn = request_of(number)
    first = []

    def meanwhile():
        if first:
            return
        with np.errstate(all="ignore"):
            first.append(sampled(request, number))
            first.append(allowed(*request[:5]))
            first.append(settled(*request[:5], number))

    found = {}
    for mode, one in modes(request, compiled):
        # in float64 the reference is PyTorch's own page
        asked = [
            worker
            for worker in workers
            if (mode, worker.framework) != ("float64 eager", "pytorch")
        ]
        answers = ask_all(asked, one, 600, meanwhile)
        against = *first[0], one.precision, first[1], request.inputs
        found[mode] = verdicts(asked, answers, against, first[2])
        if any(each["alarms"] for each in found[mode].values()):
            left = range_decides(one, *first[0])
            found[mode] = verdicts(
                asked, answers, against, first[2], left
            )
    shapes = {n: list(x.shape) for n, x in request.inputs.items()}
    line = dict(case=number, layer=request.layer, config=request.config)
    return line | dict(shapes=shapes, **drawn, modes=found)


def digest():
    """Changes when the pages or the judge do."""
    own_pages = itertools.chain(*map(pages.paths, FRAMEWORKS))
    names = """live/judging live/ranges live/random_rows trials/criteria
        trials/array_criteria trials/compared trials/shapes
        trials/false_alarms""".split()
    own = [ROOT / "shared_tests" / f"{name}.py" for name in names]
    own += sorted(
        pathlib.Path(module.__file__)
        for name, module in sys.modules.items()
        if name.startswith("shared_tests.roundoff.")
    )
    return sha256(b"".join(p.read_bytes() for p in (*own_pages, *own)))[
        :12
    ]


def first_missing(lines):
    done = {line["case"] for line in lines}
    return next(n for n in itertools.count() if n not in done)


def totals(lines):
    """(comparisons, alarms, failures) of some lines."""
    found = [
        one
        for line in lines
        for mode in line["modes"].values()
        for one in mode.values()
    ]
    return (
        sum(one["elements"] for one in found),
        sum(len(one["alarms"]) for one in found),
        sum(len(one["failures"]) for one in found),
    )


def run(minutes, console, folder=FOLDER):
    """Cases until the time is up; all lines there are."""
    path = folder / f"{digest()}.jsonl"
    lines = json_lines(path)
    write(path, "".join(json.dumps(line) + "\n" for line in lines))
    workers = [Worker(framework) for framework in FRAMEWORKS]
    deadline = time.monotonic() + 60 * minutes
    elements, alarms, _ = totals(lines)
    try:
        with console.status("") as status:
            while time.monotonic() < deadline:
                number = first_missing(lines)
                status.update(
                    f"case {number}, {elements:.3g} comparisons, {alarms}"
                    f" alarms, {row_of(number).layer}"
                )
                line = examine(number, workers)
                append(path, line)
                lines.append(line)
                more, new, _ = totals([line])
                elements, alarms = elements + more, alarms + new
                tell(line, console)
    finally:
        for worker in workers:
            worker.stop()
    return lines


def tell(line, console):
    for mode, answers in line["modes"].items():
        for framework, found in answers.items():
            for what in found["alarms"] + found["failures"]:
                console.print(
                    f"case {line['case']} {line['layer']} {mode}"
                    f" {framework}, scale {line['scale']:.2g}, offset"
                    f" {line['offset']:.2g}: {what}",
                    markup=False,
                )


def conclude(lines, console):
    """What the run comes to, in words; the exit status."""
    elements, alarms, failures = totals(lines)
    console.print(
        f"{len(lines)} cases, {elements} comparisons, {alarms} arrays"
        " with an alarm"
    )
    if failures:
        console.print(
            f"{failures} answers are missing, since the process of a"
            " framework was killed or said nothing more: that is no"
            " alarm, and no verdict either"
        )
    return 1 if alarms or failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    minutes = parser.parse_args().minutes
    torch.set_num_threads(1)
    console = Console()
    return conclude(run(minutes, console), console)


if __name__ == "__main__":
    sys.exit(main())

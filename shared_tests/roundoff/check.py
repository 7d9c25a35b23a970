"""Rounding or a bug? One call for a port of any PyTorch module.

    report = check(module, port, inputs)          a Report, whatever it says
    assert_rounding(module, port, inputs)         RoundingError for a bug

The module runs in float64, and its own rounding errors, sampled
(budget.py), say what error the port may have. There is no tolerance to
choose.
"""

import numpy as np

from . import budget
from .errors import RoundingError
from .foreign.asking import (
    is_path,
    make_request,
    port_results,
    run_port,
)
from .inputs import given
from .judging import Case, judge_all
from .maps import weights as weight_maps
from .mixed import precisions
from .reference import Reference, guarded
from .report import Report, constant

SEED = 20260101


def assert_rounding(
    module, port, inputs, *, msg=None, rtol=None, atol=None, **options
):
    """Raises RoundingError unless every array of the port is rounding.

    msg: instead of the text, or a function of it; others: see check
    Returns: the Report
    Raises: RoundingError, whose text is the first bad array; what check
        raises
    """
    if rtol is not None or atol is not None:
        raise TypeError(
            "assert_rounding has no rtol and no atol: the error to allow"
            " is derived from the module itself"
        )
    report = check(module, port, inputs, **options)
    if not report.passed:
        text = failure(report)
        if msg is not None:
            text = msg(text) if callable(msg) else msg
        raise RoundingError(text)
    return report


def failure(report):
    """The first bad array, in words."""
    line = report.first_wrong
    if line is None:
        return "there is no array to compare"
    texts = [f"{line.name}: {line.word}"]
    if np.isfinite(line.ratio):
        texts[0] += f", {line.ratio:.3g} times the allowed error"
    texts += line.elements
    if line.diagnosis:
        texts.append(line.diagnosis)
    bad = sum(x.word != "rounding" for x in report.lines)
    texts.append(
        f"{bad} of {len(report.lines)} arrays are not rounding"
    )
    return "\n".join(texts)


def check(
    module,
    port,
    inputs,
    *,
    weights=None,
    gradients=True,
    layers=None,
    precision="float32",
    runs=budget.RUNS,
    seed=SEED,
    framework=None,
    python=None,
):
    """A Report on the port of a PyTorch module.

    module: nn.Module, in the mode (train, eval) to check
    port: a function forward(params, <the inputs>) in PyTorch, JAX,
        TensorFlow, MXNet or NumPy; an object (objects.py); or the path
        of a file with forward or make, which runs in `python`
    inputs: a dict (keywords of forward), a tuple or list, or one array;
        nests of floats, integers, booleans, None
    weights: map to the port's names and layouts (weights.py); without
        one a function gets PyTorch's, and an object keeps its own
    gradients: of float inputs and parameters, for random cotangents
    layers: outputs of submodules too; True, or {torch path: port's name}
    framework: of a function that does not say it
    Raises: CheckError where nothing can be judged, TypeError, ValueError
    """
    check_options(precision, runs, python, port)
    reference = Reference(module, inputs, precision, bool(layers))
    first = guarded("module", reference.first_run)
    cotangents = None
    if gradients:
        cotangents = draw_cotangents(
            first, reference.complex, seed, precision
        )
    request = make_request(reference, cotangents, weights)
    answer = run_port(port, request, framework, python)
    results = port_results(answer, reference, weights)
    if gradients:
        used = [name.partition(".")[2] for name in answer["used"]]
        cotangents = {path: cotangents[path] for path in used}
    case = Case(
        *(reference, cotangents, results, answer["dtypes"]),
        *(layers, precision, runs, seed),
    )
    lines, notes, made = guarded("module", lambda: judge_all(case))
    notes += remarks(reference, answer, request, weights)
    return Report(lines, notes, precision, made, seed)


def check_options(precision, runs, python, port):
    precisions.precision(precision)
    if not isinstance(runs, int) or runs < 1:
        raise ValueError(
            f"runs expected a positive integer, got {runs!r}"
        )
    if python is not None and not is_path(port):
        got = type(port).__name__
        raise ValueError(
            f"python= expected a port that is a file, got {got}"
        )


def draw_cotangents(results, without, seed, precision):
    """{path: ndarray}, one for each output of floats but for these."""
    rng = np.random.default_rng(seed + 1)
    shapes = {
        name.removeprefix("out."): array.shape
        for name, array in results.items()
        if name.startswith("out.") and array.dtype.kind == "f"
    }
    return {
        path: cotangent(precision, rng.standard_normal(shape))
        for path, shape in shapes.items()
        if path not in without
    }


def cotangent(precision, array):
    """Numbers that both sides have exactly, whatever their output is."""
    narrow = precision.removeprefix("autocast-")
    return given(precision, precisions.rounded(narrow, array))


def remarks(reference, answer, request, weights):
    notes = [
        f"the port's {name} is not the same bits the second time"
        for name in answer["unsteady"]
    ]
    if answer["kept"]:
        names = ", ".join(answer["kept"])
        notes.append(
            f"the port's own {names} are not PyTorch's, and were kept:"
            " only a weights map sets what a port holds"
        )
    unused = [n for n in answer["unheld"] if n in reference.trainable]
    if weights is not None:
        names = list(reference.params), list(request["params"])
        unused = weight_maps.leftover(weights, *names)[0]
    if unused and weights is None:
        notes.append(
            f"the port holds no {', '.join(unused)}: a weights map says"
            " what they are called there"
        )
    elif unused:
        notes.append(f"the port does not get {', '.join(unused)}")
    if request["cotangents"] is not None:
        notes += [
            f"no gradients of out.{path}: it is complex"
            for path in reference.complex
        ]
    left_out = {**reference.left_out, **answer["left_out"]}
    notes += [
        f"{path} is a {kind}, no array: not compared"
        for path, kind in left_out.items()
    ]
    held = dict(reference.module.named_parameters())
    params = {n: reference.params[n] for n in held}
    return notes + constant(params)

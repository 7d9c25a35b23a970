"""`make fuzz`: random cases for the four frameworks, for as long as you like.

python -m shared_tests.command fuzz [--minutes 10] [--seed N] [--layers A,B]
python -m shared_tests.command fuzz --fault NAME  plant a fault and find it

hypothesis draws a case: a row (layer, configuration, shapes, precision,
eager or compiled) and the numbers. The four frameworks compute it at the
same time, and judging.py judges what they answer. A failure is
shrunk, printed as a row for cases.py and kept in build/fuzz/, where the
next run starts; it is reported once for each layer, array, framework and
kind, and the run goes on. Rows come from a pool that changes every ROUND
cases, since JAX needs a second for each new shape.
"""

import argparse
import pathlib
import sys
import tempfile
import time
from collections import Counter

import ml_dtypes
import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from rich.console import Console

from pytorch_impl import adapter
from shared_tests.environments import FRAMEWORKS
from shared_tests.files import ROOT, append, sha256, shown, write
from shared_tests.live.client import Request, Worker, ask_all
from shared_tests.live.judging import examine, known
from shared_tests.live.planted import FAULTS, plant
from shared_tests.live.random_rows import (
    LAYERS,
    LOW,
    VOCABULARY,
    Dice,
    draw_row,
    shape_of,
    size_of,
)
from shared_tests.live.server import LENGTH, pack, unpack
from shared_tests.run import group

BUILD = ROOT / "build" / "fuzz"
ROUND = 200  # cases with one pool of rows
POOL = 12
SHRINK_SECONDS = 60


# --- numbers


def draw_pool(dice, layers):
    """POOL rows, the small ones first: hypothesis shrinks to those.

    Every other pool has a compiled row, the same for each layer always:
    for new shapes PyTorch would call a C++ compiler, for 10 seconds.
    """
    chosen = [dice.pick(*layers) for _ in range(POOL)]
    rows = [draw_row(dice, layer) for layer in chosen]
    if dice.flip():
        row = draw_row(Dice(0), chosen[0])
        rows[0] = row._replace(compiled=True)
    return sorted(rows, key=lambda row: (row.compiled, size_of(row)))


TAME = [1.0, 1.0, 30.0, 1e-3]
WILD = [*TAME, 1e4, 1e-30, 1e-40, 1e15, 1e30, 1e37]
SPECIAL = [0.0, -0.0, np.nan, np.inf, -np.inf, 2.0**-149, -(2.0**-130)]
SPECIAL += [3e38, -3e38, 2.0**-126]
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def numbers(draw, shape, mood):
    """Normal at some scale, quarters with ties, all equal, or zeros."""
    kind = draw(st.sampled_from(["normal"] * 4 + ["quarter", "equal"]))
    scale = draw(st.sampled_from(TAME if mood == "tame" else WILD))
    offset = draw(st.sampled_from([0.0, 0.0, 0.0, 1.0, 1e4]))
    rng = np.random.default_rng(draw(SEEDS))
    if kind == "normal":
        array = offset + rng.standard_normal(shape)
    elif kind == "quarter":
        array = rng.integers(-6, 7, shape) / 4
    else:
        array = np.full(shape, rng.integers(-2, 3) / 2)
    array = np.asarray(scale * array)
    if mood == "special" and array.size:
        places = st.integers(0, array.size - 1)
        for place, value in draw(
            st.lists(
                st.tuples(places, st.sampled_from(SPECIAL)), max_size=3
            )
        ):
            array.flat[place] = value
    return array


@st.composite
def of_kind(draw, spec, mood):
    if spec == shape_of(spec):
        return draw(numbers(spec, mood))
    what, shape = spec
    rng = np.random.default_rng(draw(SEEDS))
    if what == "mask":
        return rng.random(shape) < draw(
            st.sampled_from([0.6, 1.0, 0.2])
        )
    if what == "id":
        return rng.integers(VOCABULARY, size=shape, dtype=np.int32)
    if what == "zero":
        return rng.integers(-9, 10, shape, dtype=np.int32)
    step = draw(st.sampled_from([0.125, 0.1, 0.37, 2.0, 0.0173]))
    return np.asarray(step * (1 + rng.integers(0, 4, shape)))


def narrow(array, precision):
    """As float32, and exact in the precision."""
    if np.asarray(array).dtype.kind != "f":
        return array
    dtype = getattr(ml_dtypes, precision, "float32")
    if precision == "float16":
        dtype = "float16"
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(array).astype(dtype).astype(np.float32)


STEPS = ("step", "alpha")


def output_of(row):
    """(shape, dtype kind) of y."""
    fixed = {"mask": True, "step": 0.5, "zero": np.int32(0)}
    fixed["id"] = np.int32(1)
    inputs = {}
    for name, spec in row.inputs.items():
        value = np.float32(0.5)
        if spec != shape_of(spec):
            value = fixed[spec[0]]
            value = np.float32(value) if spec[0] == "step" else value
        inputs[name] = np.full(shape_of(spec), value)
    shapes = adapter.shapes(row.layer, row.config)
    params = {n: np.full(s, 0.5, "f4") for n, s in shapes.items()}
    built = adapter.build(row.layer, row.config, params, "float64")
    y = adapter.run(built, inputs)["out.y"]
    return y.shape, y.dtype.kind


def requests(pool):
    """Cases of some rows."""
    made = [
        (row, adapter.shapes(row.layer, row.config), *output_of(row))
        for row in pool
    ]
    return case(made)


@st.composite
def case(draw, made):
    row, shapes, *y = draw(st.sampled_from(made))
    mood = draw(
        st.sampled_from(["tame"] * 7 + ["wild"] * 2 + ["special"])
    )

    def array(spec):
        return narrow(draw(of_kind(spec, mood)), row.precision)

    inputs = {n: array(spec) for n, spec in row.inputs.items()}
    params = {}
    for name, shape in shapes.items():
        step = name.split(".")[-1] in STEPS
        params[name] = array(("step", shape) if step else shape)
    shape, kind = y
    cotangents = {"y": array(shape)} if kind == "f" else {}
    return Request(
        row.layer,
        row.config,
        params,
        inputs,
        cotangents,
        row.precision,
        row.compiled,
    )


# --- what is kept, and what is printed


def save_case(request, findings, folder):
    """Into the corpus, by the hash of its numbers."""
    message = {
        "layer": request.layer,
        "config": request.config,
        "precision": request.precision,
        "compiled": request.compiled,
    }
    kinds = ("param", "in", "cotangent")
    arrays = {
        f"{kind}.{name}": array
        for kind, part in zip(kinds, request[2:5])
        for name, array in part.items()
    }
    data = pack(message, arrays)
    name = f"{request.layer}-{sha256(data)[:12]}"
    write(folder / "corpus" / name, data)
    line = {"case": name} | message
    line["findings"] = [finding._asdict() for finding in findings]
    append(folder / "findings.jsonl", line)


class Damaged(Exception):
    """A file of the corpus holds no case."""


def load_case(path):
    try:
        message, arrays = unpack(path.read_bytes()[LENGTH.size :])
        layer, config = message["layer"], message["config"]
        rest = message["precision"], message["compiled"]
    except Exception as error:  # whatever bytes may come to
        text = f"{shown(path)} holds no case, remove it"
        raise Damaged(
            f"{text} ({type(error).__name__}: {error})"
        ) from None
    numbers = (group(arrays, k) for k in ("param", "in", "cotangent"))
    return Request(layer, config, *numbers, *rest)


def literal(array):
    """One Draw of cases.py."""
    if array.dtype.kind == "b":
        # the table draws its masks: this one has the same share
        share = round(float(array.mean()), 2) if array.size else 1.0
        return f"mask(*{array.shape}, allow={share})"
    numbers = tuple(array.ravel().tolist())
    if not numbers:
        return f"zeros(*{array.shape})"
    if array.dtype.kind == "i":
        numbers = ", ".join(map(str, numbers))
        return f"whole({numbers}, shape={array.shape})"
    named = {"nan": 'float("nan")', "inf": 'float("inf")'}
    named["-inf"] = '-float("inf")'
    texts = [named.get(repr(x), repr(x)) for x in numbers]
    return f"Draw({array.shape}, values=({', '.join(texts)},))"


def table_row(request, found):
    """The case as a row for cases.py."""
    flags = "fuzz low_precision" if request.precision in LOW else "fuzz"
    flags += " compiled" if request.compiled else ""
    digest = sha256(repr(request).encode())[:6]
    params = {n: literal(p) for n, p in request.params.items()}
    for y in request.cotangents.values():
        params["cotangent"] = literal(y)
    inputs = {n: literal(x) for n, x in request.inputs.items()}

    def table(draws):
        each = (f'"{n}": {text}' for n, text in draws.items())
        return "{" + ", ".join(each) + "}"

    return (
        f'case("{request.layer}", "{found.framework}_{digest}",'
        f" {request.config!r},\n     {table(inputs)},\n"
        f'     "{flags}", "{found.framework} {found.array}: {found.kind}",'
        f"\n     {table(params)}),"
    )


# --- the run


class Enough(KeyboardInterrupt):
    """Time is up: hypothesis lets this one through."""


class Wrong(Exception):
    """A case with a new finding."""


class Run:
    """What a run has seen so far."""

    def __init__(self, workers, deadline, console, folder):
        self.workers, self.console = workers, console
        self.folder = folder
        self.deadline, self.begin = deadline, time.monotonic()
        self.cases = self.judged = self.left_out = 0
        self.seen = {}  # key: (finding, seconds)
        self.damaged = []  # files of the corpus
        self.layers = Counter()

    def try_case(self, request):
        """The new findings of one case."""
        wrong, judged, left_out = examine(request, self.workers)
        self.cases += 1
        self.layers[request.layer] += 1
        self.judged += judged
        self.left_out += left_out
        return [
            f for f in wrong if f.key not in self.seen and not known(f)
        ]

    def report(self, request, findings, seconds, once=False):
        """once: the same case, asked again, had no finding"""
        for finding in findings:
            self.seen[finding.key] = finding, seconds
        save_case(request, findings, self.folder)
        for f in findings:
            mode = "compiled" if request.compiled else "eager"
            self.console.print(
                f"[bold]{f.layer} {f.array} {f.framework} {f.kind}[/]"
                f" ({request.precision}, {mode}): ",
                end="",
            )
            self.console.print(f.detail, markup=False)
        if once:
            self.console.print("It did not come again with this case:")
        row = table_row(request, findings[0])
        self.console.print(row, markup=False, highlight=False)

    def seconds(self):
        return time.monotonic() - self.begin

    def status(self):
        seconds = self.seconds()
        return (
            f"{seconds:.0f} s, {self.cases} cases,"
            f" {self.cases / max(seconds, 1):.1f} a second,"
            f" {len(self.seen)} findings"
        )


def play_round(run, pool, number, status):
    """ROUND cases of one pool, or fewer, up to a new finding, shrunk."""
    smallest = []  # (request, findings), the last that failed
    met = []  # when it did, in seconds

    @seed(number)
    @settings(
        max_examples=ROUND,
        deadline=None,
        database=None,  # choices mean nothing without their pool
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
    )
    @given(requests(pool))
    def play(request):
        if time.monotonic() > run.deadline:
            raise Enough
        if met and run.seconds() > met[0] + SHRINK_SECONDS:
            raise Enough
        new = run.try_case(request)
        status.update(run.status())
        if smallest:  # shrinking keeps to what it found first
            keys = {f.key for f in smallest[-1][1]}
            if not any(f.key in keys for f in new):
                return
        if new:
            met.append(run.seconds())
            smallest.append((request, new))
            raise Wrong

    once = False
    try:
        play()
    except (Wrong, Enough):
        pass
    except Flaky:  # as when a worker was killed
        once = True
    if smallest:
        run.report(*smallest[-1], met[0], once)


def fuzz(run, layers, number, done=lambda: False):
    """Rounds until the time is up, or done()."""
    dice = Dice(number)
    with run.console.status("starting") as status:
        for path in sorted((run.folder / "corpus").glob("[!.]*")):
            try:
                request = load_case(path)
            except Damaged as error:
                run.damaged.append(path)
                run.console.print(
                    str(error), markup=False, soft_wrap=True
                )
                continue
            new = (
                run.try_case(request) if request.layer in layers else []
            )
            if new:
                run.report(request, new, run.seconds())
        while time.monotonic() < run.deadline and not done():
            pool = draw_pool(dice, layers)
            play_round(run, pool, dice.number(0, 2**32), status)


def find_fault(
    name, layers, minutes, number, console, frameworks=FRAMEWORKS
):
    """Seconds until a finding in the framework of the fault, or None."""
    fault = FAULTS[name]
    with tempfile.TemporaryDirectory() as folder:
        root = plant(fault, pathlib.Path(folder))
        roots = {fw: ROOT for fw in frameworks}
        roots[fault.framework] = root
        run = start(minutes, console, roots, root / "fuzz")

        def hits():
            return [
                seconds
                for finding, seconds in run.seen.values()
                if finding.framework == fault.framework
            ]

        try:
            fuzz(run, layers, number, hits)
        finally:
            stop(run)
    return min(hits(), default=None)


def start(minutes, console, roots, folder):
    """The workers, started and warm; then the clock runs."""
    workers = [Worker(*each) for each in roots.items()]
    x = {"x": np.ones(2, np.float32)}
    ask_all(workers, Request("ScaledReLU", {}, {}, x, {}))
    deadline = time.monotonic() + 60 * minutes
    return Run(workers, deadline, console, folder)


def stop(run):
    for worker in run.workers:
        worker.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--layers", help="all; those of a fault's page")
    parser.add_argument("--fault", choices=FAULTS)
    args = parser.parse_args()
    usual = FAULTS[args.fault].layers if args.fault else LAYERS
    layers = args.layers.split(",") if args.layers else list(usual)
    for layer in layers:
        if layer not in LAYERS:
            want = ", ".join(LAYERS)
            parser.error(
                f"--layers expected some of {want}, got {layer}"
            )
    torch.set_num_threads(1)
    console = Console()
    number = time.time_ns() % 2**32 if args.seed is None else args.seed
    console.print(f"seed {number}")
    if args.fault:
        seconds = find_fault(
            args.fault, layers, args.minutes, number, console
        )
        word = (
            f"found after {seconds:.1f} s" if seconds else "not found"
        )
        console.print(f"{args.fault}: {word}")
        return 0 if seconds else 1
    roots = {fw: ROOT for fw in FRAMEWORKS}
    run = start(args.minutes, console, roots, BUILD)
    try:
        fuzz(run, layers, number)
    finally:
        stop(run)
        console.print(run.status())
        console.print(
            f"{run.judged} elements judged,"
            f" {run.left_out} left to the range"
        )
    return 1 if run.seen or run.damaged else 0


if __name__ == "__main__":
    sys.exit(main())

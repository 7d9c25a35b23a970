"""The false-alarm trial draws what it says, and can raise an alarm."""

import functools
import json

import ml_dtypes
import numpy as np
import pytest
from rich.console import Console

from pytorch_impl import adapter
from shared_tests.cases import CASES
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.live.random_rows import LAYERS, LOW
from shared_tests.run import group
from shared_tests.trials import (
    compared,
    criteria,
    false_alarms,
    shapes,
)
from shared_tests.trials.array_criteria import TWO_RUNS
from shared_tests.trials.shapes import allowed, settled

ENVIRONMENTS = ("pytorch",)

SAME, COMPILED = false_alarms.SAME, false_alarms.COMPILED


class Local:
    """A worker that computes here, by PyTorch; flaw: what it spoils."""

    flaw = staticmethod(lambda arrays: arrays)

    def __init__(self, framework):
        self.framework = framework

    def send(self, request):
        self.request = request

    def receive(self, finding, timeout):
        layer, config, params, inputs, cotangents, precision, _ = (
            self.request
        )
        if precision in LOW:
            return "unsupported: not here"
        built = adapter.build(layer, config, params, precision)
        return self.flaw(adapter.run(built, inputs, cotangents or None))

    def stop(self):
        pass


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(false_alarms, "Worker", Local)
    monkeypatch.setattr(false_alarms, "SIDES", {})
    monkeypatch.setattr(false_alarms, "USUAL", range(2, 8))
    monkeypatch.setattr(false_alarms, "LEAST", 0)


def test_every_layer_and_both_modes_come_up():
    rows = [
        false_alarms.row_of(SAME * n)
        for n in range(len(LAYERS) * COMPILED)
    ]
    assert {row.layer for row in rows} == set(LAYERS)
    assert {row.layer for row in rows if row.compiled} == set(LAYERS)
    again = false_alarms.row_of(SAME * len(LAYERS) * COMPILED)
    assert again == rows[0]  # what is compiled stays the same


@pytest.mark.parametrize("number", [SAME * 3 + 1, SAME * 9 + 2])
def test_a_case_is_its_number(number):
    one, _, drawn = false_alarms.request_of(number)
    two, *_ = false_alarms.request_of(number)
    for mine, its in zip(one[2:5], two[2:5]):
        assert mine.keys() == its.keys()
        for name in mine:
            assert np.array_equal(mine[name], its[name])
    assert 1e-6 <= drawn["scale"] <= 1e6
    other, *_ = false_alarms.request_of(number + 1)
    assert not np.array_equal(one.inputs["x"], other.inputs["x"])


@pytest.mark.parametrize("precision", LOW)
def test_numbers_are_exact(precision):
    wide = 300 * np.random.default_rng(0).standard_normal(500)
    array = false_alarms.exact(wide, precision)
    dtype = getattr(ml_dtypes, precision, precision)
    assert np.array_equal(array.astype(dtype).astype("f4"), array)
    assert np.abs(array / wide - 1).max() < 2**-7


def test_a_run_goes_on_where_it_stopped(small, tmp_path):
    console = Console(quiet=True)
    lines = false_alarms.run(0.05, console, tmp_path)
    assert false_alarms.totals(lines)[1] == 0 < len(lines)
    (path,) = tmp_path.iterdir()
    with path.open("a") as file:
        file.write('{"case": 99, "cut')
    more = false_alarms.run(0.05, console, tmp_path)
    assert [line["case"] for line in more] == list(range(len(more)))
    assert len(more) > len(lines)
    kept = path.read_text().splitlines()
    assert [json.loads(line) for line in kept] == more


@pytest.mark.parametrize(
    "flaw",
    [
        lambda y: y * np.float32(1.001),
        lambda y: y[..., None],
        lambda y: y + np.float32("nan"),
        lambda y: y.astype("f2"),
    ],
)
def test_an_alarm_is_raised(small, monkeypatch, tmp_path, flaw):
    def spoil(arrays):
        if arrays["out.y"].dtype != "float32":
            return arrays
        return arrays | {"out.y": flaw(arrays["out.y"])}

    monkeypatch.setattr(Local, "flaw", staticmethod(spoil))
    line = false_alarms.examine(SAME * 2, [Local("jax")])
    found = line["modes"]["float32 eager"]["jax"]
    (alarm,) = found["alarms"]
    assert alarm.startswith("out.y")
    assert line["modes"]["float64 eager"]["jax"]["alarms"] == []


ALLOWED = {"out": {"ulps": 10, "terms": 1}}


@pytest.mark.parametrize(
    "answer, alarms, failures",
    [
        ("crash: signal SIGKILL (as when memory runs out)", 0, 1),
        ("hang: no answer in 600 s", 0, 1),
        ("error: ValueError: expected a float", 1, 0),
        ("unsupported: no", 0, 0),
    ],
)
def test_a_killed_worker_is_no_alarm(answer, alarms, failures):
    """But one that refuses what the reference computes is."""
    found = false_alarms.judged(answer, {}, {}, "float32", {}, {})
    assert len(found["alarms"]) == alarms
    assert len(found["failures"]) == failures
    assert found["elements"] == 0


@pytest.mark.parametrize(
    "alarms, failures, status, said",
    [
        ([], [], 0, "0 arrays with an alarm"),
        (["out.y"], [], 1, "1 arrays with an alarm"),
        ([], ["crash: gone"], 1, "1 answers are missing"),
    ],
)
def test_the_exit_status(capsys, alarms, failures, status, said):
    one = dict(elements=5, alarms=alarms, failures=failures)
    lines = [dict(modes={"float32 eager": {"jax": one}})]
    console = Console(width=200)
    assert false_alarms.conclude(lines, console) == status
    output = capsys.readouterr().out
    assert said in output
    assert ("missing" in output) == bool(failures)


def test_a_run_with_a_killed_worker_goes_on(small, monkeypatch):
    """The others are judged, and so is the next case."""

    class Killed(Local):
        def receive(self, finding, timeout):
            return "crash: signal SIGKILL"

    workers = [Local("pytorch"), Killed("jax")]
    modes = false_alarms.examine(SAME * 2, workers)["modes"]
    found = modes["float32 eager"]
    assert found["jax"]["failures"] == ["crash: signal SIGKILL"]
    assert found["jax"]["alarms"] == found["pytorch"]["alarms"] == []
    assert found["pytorch"]["elements"] > 0


def test_ulps_grow_with_the_shape():
    """WebNN: 2 K for a product of K terms, and 1 for the bias."""
    config = dict(in_features=7, out_features=3)
    params = dict(weight=np.ones((3, 7), "f4"), bias=np.ones(3, "f4"))
    inputs = dict(x=np.ones((5, 7), "f4"))
    cotangents = dict(y=np.ones((5, 3), "f4"))
    found = allowed("Linear", config, params, inputs, cotangents)
    assert found["out"]["ulps"] == 2 * 7 + 1
    # dx: 2 * 3, dW: 2 * 5, db: a sum of 5
    assert found["grad"]["ulps"] == 2 * 7 + 1 + 6 + 10 + 5


def test_terms_multiply_along_the_way():
    """nvFuser: the reductions of one operation times those before it."""
    config = dict(in_features=7, out_features=3)
    params = dict(weight=np.ones((3, 7), "f4"), bias=np.ones(3, "f4"))
    inputs = dict(x=np.ones((5, 7), "f4"))
    cotangents = dict(y=np.ones((5, 3), "f4"))
    found = allowed("Linear", config, params, inputs, cotangents)
    assert found["out"]["terms"] == found["grad"]["terms"] == 7
    config = dict(input_size=7, hidden_size=4, output_size=3)
    params = {
        "layer1.weight": np.ones((4, 7), "f4"),
        "layer1.bias": np.ones(4, "f4"),
        "layer2.weight": np.ones((3, 4), "f4"),
        "layer2.bias": np.ones(3, "f4"),
    }
    found = allowed("MLP", config, params, inputs, {})
    assert found["out"]["terms"] == 7 * 4


def test_all_criteria_see_an_answer():
    wanted, sigma = {"out.y": np.ones(4)}, {"out.y": np.ones(4)}
    value = {"out.y": np.ones(4, "f4") + np.float32(2e-5)}
    second = {"out.y": np.ones(4, "f4") + np.float32(1e-5)}
    found = false_alarms.judged(
        value, wanted, sigma, "float32", ALLOWED, {}, second
    )
    peaks = found["peaks"]["output"]
    assert peaks.keys() == set(criteria.NAMES)
    assert peaks["abs 1e-5"] == [2.0]
    assert peaks["onnx"] == [0.02]
    assert found["bins"][-1] == 4 and sum(found["bins"]) == 4
    found = false_alarms.judged(
        value, wanted, sigma, "float32", ALLOWED, {}
    )
    left = set(criteria.NAMES) - set(TWO_RUNS)
    assert found["peaks"]["output"].keys() == left


def test_arrays_by_kind():
    kinds = {
        name: compared.kind_of(name, {"x": None})
        for name in ("out.y", "grad.x", "grad.weight")
    }
    assert [*kinds.values()] == ["output", "input_grad", "param_grad"]


def test_pytorch_is_no_second_run_of_itself(small):
    workers = [Local("pytorch"), Local("jax")]
    modes = false_alarms.examine(SAME * 2, workers)["modes"]
    for name, said in (("pytorch", False), ("jax", True)):
        peaks = modes["float32 eager"][name]["peaks"]["output"]
        assert ("flash" in peaks) == said


def test_a_tie_is_settled():
    """Half to even, in float32: noise turns it, and float32 does not."""
    config, params = dict(bits=2), dict(alpha=np.float32(1.5))
    x = np.array([0.25, 0.75, 1.25, 0.5], "f4")
    inputs, cotangents = dict(x=x), dict(y=np.ones(4, "f4"))
    request = false_alarms.Request(
        "PACT", config, params, inputs, cotangents
    )
    _, noisy = false_alarms.reference(*request[:5])
    known, sigma = settled(*request[:5], 0)
    assert known["out.y"].tolist() == [0, 1, 1, 0.5]
    assert noisy["out.y"].max() > 1e6 > 100 > sigma["out.y"].max()
    assert settled("Linear", {}, {}, {}, {}, 0) is None


def test_what_is_sorted_is_not_settled(monkeypatch):
    """A percentile sorts: one position between each two of a row."""
    few = functools.partial(shapes.by_working_precision, runs=1)
    monkeypatch.setattr(shapes, "by_working_precision", few)
    (case,) = (c for c in CASES if c.id == "QATLinear-percentile")
    fixture = read_fixture(case, read_manifest())
    known, sigma = settled(
        *(case.layer, case.config, group(fixture, "param")),
        *(group(fixture, "in"), group(fixture, "cotangent"), 0),
    )
    references = group(fixture, "ref")
    assert known.keys() == sigma.keys() == references.keys()


def test_where_noise_makes_nan_there_is_no_verdict(monkeypatch):
    """Such elements are counted apart, and not as comparisons."""
    request, *_ = false_alarms.request_of(SAME * 2)
    two = {"out.y": np.ones(2)}, {"out.y": np.array([np.nan, 1.0])}
    monkeypatch.setattr(false_alarms, "reference", lambda *_, **__: two)
    references, sigmas = false_alarms.sampled(request, 0)
    value = {"out.y": np.array([7, 1], "f4")}
    found = false_alarms.judged(
        value, references, sigmas, "float32", ALLOWED, {}
    )
    assert found["undecided"] == found["elements"] == 1
    assert found["alarms"] == [] and sum(found["bins"]) == 1
    peaks = found["peaks"]["output"]
    assert all(peak == [0.0] for peak in peaks.values())
    value = {"out.y": np.array([1, 7], "f4")}
    found = false_alarms.judged(
        value, references, sigmas, "float32", ALLOWED, {}
    )
    assert len(found["alarms"]) == 1


def test_overflow_is_no_alarm(monkeypatch):
    """1e30 times 1e30: float32 ends before, and all say infinity."""
    big = np.full((2, 2), 1e30, "f4")
    one = false_alarms.Request(
        "ScaledReLU", dict(scale=1e30), {}, dict(x=big), dict(y=big)
    )
    drawn = one, False, dict(scale=1.0, offset=0.0)
    monkeypatch.setattr(false_alarms, "request_of", lambda _: drawn)
    modes = false_alarms.examine(0, [Local("jax")])["modes"]
    found = modes["float32 eager"]["jax"]
    assert found["alarms"] == [] and found["undecided"] == 8
    assert modes["float64 eager"]["jax"]["undecided"] == 0
    right = one._replace(config=dict(scale=2.0))
    near = false_alarms.range_decides(
        right, *false_alarms.sampled(right, 0)
    )
    assert not any(where.any() for where in near.values())

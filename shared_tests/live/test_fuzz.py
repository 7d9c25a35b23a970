"""Live fuzzing finds what is planted, and nothing in what is right."""

import io
import sys
import time
import types

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from rich.console import Console

from pytorch_impl import adapter
from pytorch_impl.quantization import quantizers
from shared_tests import draws
from shared_tests.environments import FRAMEWORKS
from shared_tests.files import ROOT
from shared_tests.live import fuzz, judging, planted, ranges
from shared_tests.live.client import Request
from shared_tests.live.server import pack
from shared_tests.make_fixtures import draw_array, reference

ENVIRONMENTS = ("pytorch",)

X = np.float32([1.5, -2.0, 0.25])


def quiet():
    return Console(file=io.StringIO())


def request(layer, x, config=None, params=None, **more):
    x = np.float32(x)
    numbers = params or {}, {"x": x}, {"y": x}
    return Request(layer, config or {}, *numbers, **more)


def sample(case, runs):
    with np.errstate(all="ignore"):
        stage = reference(*case[:6], runs=runs)
        nears = ranges.in_range(case)
        return judging.sampled(stage, runs, case.precision, nears)


def decided(case):
    """As after all runs, but that they are the same four 12 times."""
    with np.errstate(all="ignore"):
        stage = reference(*case[:6], runs=4)
        nears = ranges.in_range(case)
        return judging.sampled(stage, 48, case.precision, nears)


def judged(case, arrays, sampled=None):
    sampled = sampled or sample(case, 48)
    return judging.findings_of(case, "jax", arrays, sampled, arrays)


def test_a_planted_fault_is_found():
    seconds = fuzz.find_fault(
        "scale", ["attention"], 5, 1, quiet(), ("mxnet",)
    )
    assert seconds is not None


@pytest.mark.parametrize("name", planted.FAULTS)
def test_faults_fit_the_pages(name, tmp_path):
    fault = planted.FAULTS[name]
    assert set(fault.layers) <= set(fuzz.LAYERS)
    page = f"{fault.framework}_impl/{fault.page}.py"
    changed = (planted.plant(fault, tmp_path) / page).read_text()
    assert changed != (ROOT / page).read_text()
    with pytest.raises(ValueError, match=r"expected .* once, got 0"):
        planted.plant(
            fault._replace(old="no such text"), tmp_path / "two"
        )


@pytest.mark.parametrize("layer", fuzz.LAYERS)
def test_rows_are_valid(layer):
    dice = fuzz.Dice(3)
    for _ in range(100):
        row = fuzz.draw_row(dice, layer)
        shape, kind = fuzz.output_of(row)
        assert kind == ("i" if layer == "quantize" else "f")
        assert len(shape) <= 4


@settings(
    max_examples=25,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(fuzz.requests(fuzz.draw_pool(fuzz.Dice(4), fuzz.LAYERS)))
def test_a_printed_row_has_the_same_numbers(case):
    finding = judging.Finding(case.layer, "out.y", "jax", "value", "")
    names = vars(draws) | {"__builtins__": {"float": float}}
    rng = np.random.default_rng(0)
    (row,) = eval(fuzz.table_row(case, finding), names)
    assert (row.layer, row.config) == (case.layer, case.config)
    wanted = case.inputs | case.params
    if case.cotangents:
        wanted["cotangent"] = case.cotangents["y"]
    drawn = row.inputs | row.params
    assert drawn.keys() == wanted.keys()
    for name, array in wanted.items():
        assert drawn[name].shape == array.shape
        if array.dtype.kind != "b":
            made = draw_array(rng, drawn[name], False)
            assert np.array_equal(
                made, array, equal_nan=array.dtype.kind == "f"
            )


def test_the_corpus_keeps_a_case(tmp_path):
    case = request("CenteredLayer", X, precision="float64")
    fuzz.save_case(case, [], tmp_path)
    (path,) = (tmp_path / "corpus").iterdir()
    back = fuzz.load_case(path)
    assert back.inputs["x"].tobytes() == X.tobytes()
    assert back[:2] == case[:2] and back[5:] == case[5:]


@pytest.mark.parametrize(
    "data, why",
    [
        (b"", "error"),
        (b"12345678", "error"),
        (b"\xff" * 40, "rror"),
        (pack({}, {"in.x": X}), "KeyError: 'layer'"),
        (pack([], {"in.x": X}), "TypeError"),
        (pack({}, {"in.x": X})[:-5], "SafetensorError"),
    ],
)
def test_a_damaged_corpus_is_named_and_the_rest_is_run(
    monkeypatch, tmp_path, capsys, data, why
):
    case, tried = request("CenteredLayer", X), []

    def examine(request, workers):
        tried.append(request)
        return [], 0, 0

    monkeypatch.setattr(fuzz, "examine", examine)
    fuzz.save_case(case, [], tmp_path)
    path = tmp_path / "corpus" / "A"
    path.write_bytes(data)
    console = Console(file=io.StringIO(), width=1000)
    run = fuzz.Run([], -1, console, tmp_path)
    fuzz.fuzz(run, fuzz.LAYERS, 1)
    assert [request.layer for request in tried] == ["CenteredLayer"]
    assert run.damaged == [path]
    said = console.file.getvalue()
    assert f"{path} holds no case, remove it (" in said and why in said


def test_a_finding_that_does_not_come_again_is_reported(
    monkeypatch, tmp_path
):
    """As of a worker that was killed, not by the case."""
    text = "signal SIGKILL (as when memory runs out)"
    answers = [{}, f"crash: {text}"]

    def examine(case, workers):
        found = {}
        if answers:
            found = answers.pop(0)
        if not found:
            return [], 3, 0
        finding = judging.Finding(case.layer, "", "jax", "crash", found)
        return [finding], 0, 0

    monkeypatch.setattr(fuzz, "examine", examine)
    console = Console(file=io.StringIO(), width=1000)
    run = fuzz.Run([], time.monotonic() + 600, console, tmp_path)
    pool = fuzz.draw_pool(fuzz.Dice(4), ["ScaledReLU"])
    fuzz.play_round(run, pool, 5, types.SimpleNamespace(update=print))
    assert list(run.seen) == [("ScaledReLU", "", "jax", "crash")]
    said = console.file.getvalue()
    assert "ScaledReLU  jax crash (float" in said and text in said
    assert "It did not come again with this case:" in said
    assert len(list((tmp_path / "corpus").iterdir())) == 1


class Idle:
    """A worker that only starts and stops."""

    def __init__(self, framework, root):
        self.framework, self.stopped = framework, False

    def stop(self):
        self.stopped = True


def test_an_interrupted_run_says_how_far_it_was(
    monkeypatch, tmp_path, capsys
):
    """Its workers stop; command.py says the rest."""
    started = []

    def interrupted(request, workers):
        started.extend(workers)
        raise KeyboardInterrupt

    monkeypatch.setattr(fuzz, "Worker", Idle)
    monkeypatch.setattr(fuzz, "ask_all", lambda *_: None)
    monkeypatch.setattr(fuzz, "examine", interrupted)
    monkeypatch.setattr(fuzz, "BUILD", tmp_path)
    monkeypatch.setattr(sys, "argv", ["make fuzz", "--seed", "1"])
    with pytest.raises(KeyboardInterrupt):
        fuzz.main()
    assert [w.framework for w in started] == [*FRAMEWORKS]
    assert all(worker.stopped for worker in started)
    assert "0 cases" in capsys.readouterr().out


def test_each_kind_of_finding():
    case = request("ScaledReLU", X)
    right = {"out.y": np.maximum(X, 0), "grad.x": X * (X > 0)}
    assert judged(case, right) == []

    y = right["out.y"]
    for wrong, kind in (
        (y + X, "value"),
        (y * np.float32(np.nan), "nan for number"),
        (y.astype("f8"), "dtype"),
        (y[:2], "shape"),
    ):
        (found,) = judged(case, right | {"out.y": wrong})
        assert (found.array, found.kind) == ("out.y", kind)
    assert [f.kind for f in judged(case, {"out.y": y})] == ["missing"]
    assert [f.kind for f in judged(case, "crash: signal SIGKILL")] == [
        "crash"
    ]
    assert judged(case, "unsupported: no compiler") == []


def test_the_range_leaves_out_what_overflows():
    """The squares of 1e30 overflow float32, those of 2 do not."""
    params = {"weight": np.ones(3, np.float32)}
    huge = request("RMSNorm", [1e30, 2e30, -1e30], dict(dim=3), params)
    tame = request("RMSNorm", X, dict(dim=3), params)
    assert decided(huge).outside["out.y"].all()
    assert not decided(tame).outside["out.y"].any()
    wide = huge._replace(precision="float64")
    assert not decided(wide).outside["out.y"].any()


def test_an_infinity_that_goes_in_is_judged():
    case = request("ScaledReLU", [np.inf, np.nan, -1.0])
    sampled = decided(case)
    assert not sampled.outside["out.y"].any()
    y = np.float32([np.inf, np.nan, 0.0])
    right = {"out.y": y, "grad.x": sampled.references["grad.x"]}
    right["grad.x"] = right["grad.x"].astype("f4")
    assert judged(case, right, sampled) == []
    wrong = right | {"out.y": np.float32([np.inf, 0.0, 0.0])}
    assert [f.kind for f in judged(case, wrong, sampled)] == [
        "number for nan"
    ]


def test_fewer_runs_never_pass_what_all_would_fail():
    case = request("CenteredLayer", X)
    few, all_of_them = sample(case, 4), sample(case, 48)
    assert any((s > 0).any() for s in few.sigmas.values())
    for name, sigma in all_of_them.sigmas.items():
        assert (few.sigmas[name] <= sigma).all()


def test_runs_go_on_where_fewer_stopped():
    case = request("CenteredLayer", X)
    counted = [s for _, s in judging.reference_stages(case)]
    parts, before = [], 0
    for runs, sigmas in zip(judging.COUNTS, counted):
        part = runs - before
        _, alone = reference(*case[:6], seed=before, runs=part)
        parts.append((part, alone["out.y"]))
        wanted = sum(n * s**2 for n, s in parts) / runs
        assert np.array_equal(sigmas["out.y"], np.sqrt(wanted))
        before = runs
    assert before == 48


def answered(case, **answers):
    """Findings, by framework and kind."""
    with np.errstate(all="ignore"):
        stages = judging.reference_stages(case)
        wrong, _ = judging.judged(case, answers, stages)
    return [(f.framework, f.array, f.kind) for f in wrong]


def test_a_sum_of_infinity_is_no_news_of_mxnet():
    """Where the sum has it: not in an element beside it."""
    case = request("WeightedSum", [[np.inf, 1.0], [1.0, 2.0]])
    case = case._replace(
        config=dict(in_features=2),
        params={"weight": np.ones(2, np.float32)},
        cotangents={"y": np.float32(1)},
    )
    right = {
        "out.y": np.float32(np.inf),
        "grad.x": np.ones((2, 2), np.float32),
        "grad.weight": np.float32([np.inf, 3.0]),
    }
    odd = right | {"out.y": np.float32(np.nan)}
    odd["grad.weight"] = np.float32([np.nan, 3.0])
    wrong = right | {"grad.weight": np.float32([np.inf, np.nan])}
    assert answered(case, mxnet=right, jax=right) == []
    assert answered(case, mxnet=odd) == []
    assert answered(case, jax=odd) == [
        ("jax", "grad.weight", "nan for inf"),
        ("jax", "out.y", "nan for inf"),
    ]
    assert answered(case, mxnet=wrong) == [
        ("mxnet", "grad.weight", "nan for number")
    ]


def test_a_range_that_refuses_excuses_a_refusal():
    """The scores overflow float32, and an observer wants finite ones."""
    config = dict(embed_dim=2, num_heads=1)
    shapes = adapter.shapes("QATMultiHeadAttention", config)
    huge, one = np.float32(3e38), np.float32(1)
    params = {n: np.full(s, one) for n, s in shapes.items()}
    case = Request(
        "QATMultiHeadAttention",
        config,
        params,
        {"x": np.float32([[[1.0, 0.5], [2.0, 3.0]]])},
        {"y": np.full((1, 2, 2), one)},
    )
    refused = "error: ValueError: observe: x expected finite numbers"
    assert answered(case, jax=refused) == [("jax", "*", "error")]
    params["qkv.weight"] = np.full_like(params["qkv.weight"], huge)
    assert answered(case, jax=refused) == []


def test_squares_that_vanish_leave_their_elements_out():
    x = np.array([1e-190, 3e-190, 7e-190])
    case = request("CenteredLayer", X, precision="float64")
    case = case._replace(inputs={"x": x}, cotangents={"y": x})
    y = x - np.mean(x)
    near = {"out.y": y * (1 + 1e-15), "grad.x": y}
    assert answered(case, jax=near) == []
    case = case._replace(inputs={"x": 1e60 * x})
    far = near | {"out.y": 1e60 * y * (1 + 1e-12)}
    assert answered(case, jax=far) == [("jax", "out.y", "value")]


def test_compiled_rows_are_few_and_the_same():
    pools = [
        fuzz.draw_pool(fuzz.Dice(n), list(fuzz.LAYERS))
        for n in range(60)
    ]
    found = [[row for row in pool if row.compiled] for pool in pools]
    assert {len(rows) for rows in found} == {0, 1}
    rows = [row for rows in found for row in rows]
    assert len({row.layer for row in rows}) > 5
    assert len({str(row) for row in rows}) == len(
        {row.layer for row in rows}
    )


def test_what_the_reference_refuses_all_must_refuse():
    case = request("ScaledReLU", X)
    error = ValueError("x")
    answers = {
        "jax": "error: ValueError: x",
        "tf": {},
        "mxnet": "crash: s",
    }
    found = list(judging.refusals(case, answers, error))
    assert [f.framework for f in found] == ["tf", "mxnet"]


def test_a_sum_whose_parts_overflow_is_left_out():
    """Sums of -1e45 and 1e45: -inf, inf or NaN, by their order."""
    params = {"weight": np.float32(1e30 * np.ones((3, 3)))}
    params["weight"][:2, 1] *= -3, -1
    params["weight"][2] = 1
    params["bias"] = np.zeros(3, np.float32)
    x = np.full((1, 3), 1e15)
    config = dict(in_features=3, out_features=3)
    case = request("LinearReLU", x, config, params)
    case = case._replace(cotangents={"y": np.ones((1, 3), np.float32)})
    outside = decided(case).outside
    assert outside["out.y"].tolist() == [[True, True, False]]
    assert outside["grad.bias"].tolist() == [True, True, False]
    tame = case._replace(inputs={"x": np.float32(x / 1e10)})
    assert not decided(tame).outside["out.y"].any()
    endless = case._replace(inputs={"x": np.float32(x * np.inf)})
    params["weight"][:] = [[1, 1, 1], [1, -1, 1], [1, 1, 1]]
    assert not decided(endless).outside["out.y"].any()


def test_infinity_is_beyond_any_margin():
    """Also where the noise is infinite, since some runs overflowed."""
    value, margin = np.array([4e38, 1.0]), np.full(2, np.inf)
    near = {"y": np.array([np.inf, 1.5])}
    moved = judging.beyond(value, "y", margin, near, overflowed=False)
    assert moved.tolist() == [True, False]


def test_a_gradual_underflow_that_grows_again_is_left_out():
    """0.6 and -0.4 of the smallest number: 1 and 0 of it, or both 0."""
    small, large = 2.0**-20, np.float32(2.0**24)
    params = {"layer1.weight": np.full((2, 1), large)}
    params["layer1.bias"] = np.zeros(2, np.float32)
    params["layer2.weight"] = np.float32([[0.6 * small, -0.4 * small]])
    params["layer2.bias"] = np.zeros(1, np.float32)
    sizes = dict(input_size=1, hidden_size=2, output_size=1)
    case = request(
        "MLP", np.ones((1, 1)), sizes | dict(scale=1.0), params
    )
    case = case._replace(cotangents={"y": np.float32([[2.0**-129]])})
    flushed, _ = ranges.ranged(case)
    assert flushed["grad.x"] == 0
    known = decided(case)
    assert 0 < known.references["grad.x"] < 2.0**-127
    assert known.outside["grad.x"].all()
    assert not known.outside["out.y"].any()


def test_a_tie_that_only_rounding_makes_is_left_out():
    """Two logits near 1e30 that float32 cannot tell apart."""
    k = np.float32(1.91 * 2.0**98)
    k = np.array([k, np.nextafter(k, np.float32(np.inf))])
    q, v = np.float32(1.1), np.array([1.0, -1.0], "f4")
    assert k[0] != k[1] and q * k[0] == q * k[1]
    inputs = dict(q=q.reshape(1, 1, 1, 1))
    inputs |= dict(k=k.reshape(1, 1, 2, 1), v=v.reshape(1, 1, 2, 1))
    asked = request("attention", 0)._replace(
        inputs=inputs, cotangents={}
    )
    known = decided(asked)
    assert abs(known.references["out.y"]) == 1  # one key wins
    assert known.outside["out.y"].all()


def stage_of(value, sigma):
    """What reference_stages() gives, of one array."""
    return {"out.y": value}, {"out.y": sigma}


def test_fewer_runs_leave_nothing_out_that_all_would_judge():
    """A near one that is 5,000 u away, 3 runs that saw little noise."""
    value, u = np.float64([1.0, 1.0, 1.0]), 2.0**-24
    arrays = {"out.y": np.array([1 + 5000 * u, np.inf, 0.0])}
    nears = [(arrays, False)]
    few, enough = (np.full(3, s) for s in (200.0, 400.0))
    part = judging.sampled(stage_of(value, few), 6, "float32", nears)
    full = judging.sampled(
        stage_of(value, enough), 48, "float32", nears
    )
    assert full.outside["out.y"].tolist() == [False, True, True]
    assert not (part.outside["out.y"] & ~full.outside["out.y"]).any()
    assert part.outside["out.y"].tolist() == [False, True, False]


def test_a_margin_from_few_runs_hides_nothing(monkeypatch):
    """judged() goes on to all runs, and finds what is 5,000 u off."""
    u = 2.0**-24
    case = request("ScaledReLU", [1.0])
    near = {"out.y": np.array([1 + 5000 * u]), "grad.x": np.ones(1)}
    monkeypatch.setattr(judging, "in_range", lambda _: [(near, False)])
    stages = [
        (
            {"out.y": np.ones(1), "grad.x": np.ones(1)},
            {"out.y": np.full(1, s), "grad.x": np.zeros(1)},
        )
        for s in (9.0, 9.0, 30.0, 320.0)
    ]
    answer = {
        "out.y": np.float32([1 + 5200 * u]),
        "grad.x": np.float32([1]),
    }
    wrong, known = judging.judged(case, {"jax": answer}, stages)
    assert [f.kind for f in wrong] == ["value"]
    assert not known.outside["out.y"].any()


def test_a_code_has_no_margin():
    """Noise that moves a code by 1e7 leaves no code beside it right."""
    codes = np.array([3, 3, 3])
    nears = [({"out.y": np.array([3.0, 4.0, 1e6])}, False)]
    for runs in (6, 48):
        stage = stage_of(codes, np.full(3, 9.7e6))
        known = judging.sampled(stage, runs, "float32", nears)
        assert known.outside["out.y"].tolist() == [False, True, True]


def test_a_sigma_that_says_nothing_is_left_out():
    value = np.array([1.0, 1.0, 1.0, np.nan, np.inf])
    sigma = np.array([1.0, np.nan, 1e300, np.nan, 0.0])
    for runs in (6, 48):
        known = judging.sampled(stage_of(value, sigma), runs, "float32")
        left = known.outside["out.y"].tolist()
        assert left == [False, True, True, False, False]
        assert np.isfinite(known.sigmas["out.y"]).all()


WRAPPED = dict(in_features=2, out_features=2)


def qat_case(bias):
    shapes = adapter.shapes("QATLinear", WRAPPED)
    params = {n: np.full(s, 0.5, "f4") for n, s in shapes.items()}
    params["bias"] = np.float32([0.25, bias])
    case = request(
        "QATLinear", [[1.0, 0.5], [2.0, 3.0]], WRAPPED, params
    )
    known = sample(case, 48).references
    right = {n: np.float32(v) for n, v in known.items()}
    return case, right


@pytest.mark.parametrize("framework", ["jax", "tf"])
def test_a_sum_beyond_int32_is_no_news_of_jax(framework):
    """Where the sum wraps, not in an element beside it."""
    case, right = qat_case(bias=1e8)
    nan = {n: v.copy() for n, v in right.items()}
    nan["out.y"][:, 1] = np.nan
    found = (
        []
        if framework == "jax"
        else [(framework, "out.y", "nan for number")]
    )
    assert answered(case, **{framework: right}) == []
    assert answered(case, **{framework: nan}) == found
    nan["out.y"][:, 0] = np.nan
    assert answered(case, **{framework: nan}) == [
        (framework, "out.y", "nan for number")
    ]


@pytest.mark.parametrize("framework", ["jax", "tf"])
def test_an_infinite_bias_is_beyond_int32_too(framework):
    case, right = qat_case(bias=np.inf)
    nan = {n: v.copy() for n, v in right.items()}
    nan["out.y"][:, 1] = np.nan
    assert answered(case, **{framework: right}) == []
    found = [(framework, "out.y", "nan for inf")]
    found = [] if framework == "jax" else found
    assert answered(case, **{framework: nan}) == found


@pytest.mark.parametrize("array", ["out.y", "grad.x", "grad.weight"])
def test_any_other_nan_of_a_qat_layer_is_news(array):
    case, right = qat_case(bias=0.5)
    right[array].flat[0] = np.nan
    assert answered(case, jax=right) == [
        ("jax", array, "nan for number")
    ]


@pytest.mark.parametrize(
    "layer", ["QATLinear", "QATMultiHeadAttention"]
)
def test_rows_draw_every_quantizer(layer):
    dice = fuzz.Dice(5)
    rows = [fuzz.draw_row(dice, layer) for _ in range(200)]
    drawn = {row.config["input_quantizer"] for row in rows}
    assert drawn == set(quantizers.NAMES.split(", "))

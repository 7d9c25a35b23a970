"""check and assert_rounding: the right port passes, the wrong one is told."""

import copy
import pathlib

import numpy as np
import pytest
import torch
from torch import nn

import shared_tests.roundoff as package
from shared_tests.roundoff.check import assert_rounding, check
from shared_tests.roundoff.errors import CheckError, RoundingError

ENVIRONMENTS = ("pytorch",)

X = np.random.default_rng(0).standard_normal((5, 3)).astype("f4")
RUNS = 8


def words(*args, **options):
    report = check(*args, runs=RUNS, **options)
    return {line.name: line.word for line in report.lines}


@pytest.fixture
def dense():
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def dense_port(params, x):
    return nn.functional.linear(x, params["weight"], params["bias"])


def test_a_module_and_its_copy(dense):
    report = assert_rounding(dense, copy.deepcopy(dense), X, runs=RUNS)
    names = [line.name for line in report.lines]
    assert names == ["out.y", "grad.input", "grad.weight", "grad.bias"]
    assert report.passed and report.runs <= RUNS and not report.notes


def test_an_object_keeps_its_own_weights(dense):
    """It was loaded by somebody's converter, which may be wrong."""
    square = nn.Linear(3, 3)
    wrong = copy.deepcopy(square)
    wrong.weight.data = square.weight.data.T.contiguous()
    before = wrong.weight.clone()
    report = check(square, wrong, X, runs=RUNS)
    assert not report.passed
    assert report.first_wrong.diagnosis == "weight is transposed"
    (note,) = report.notes
    assert note.startswith("the port's own weight are not PyTorch's")
    assert wrong.weight.equal(before) and wrong.weight.grad is None


def test_a_map_sets_what_an_object_holds(dense):
    same = {"weight": "weight", "bias": "bias"}
    other = nn.Linear(3, 2)
    before = other.weight.clone()
    report = assert_rounding(dense, other, X, weights=same, runs=RUNS)
    assert report.passed and not report.notes
    wider = nn.Linear(3, 4)
    with pytest.raises(
        CheckError, match=r"weight expected shape \(4, 3"
    ):
        check(dense, wider, X, weights=same, runs=RUNS)
    assert other.weight.equal(before) and other.weight.grad is None


def test_a_loss_is_one_number():
    """As most that are trained end."""
    loss, pair = nn.MSELoss(), (X, X[::-1].copy())
    assert check(loss, copy.deepcopy(loss), pair, runs=RUNS).passed
    report = check(loss, nn.MSELoss(reduction="sum"), pair, runs=RUNS)
    assert report.first_wrong.elements[0].startswith("[]: got")


def test_a_complex_output_has_no_gradient():
    class Spectrum(nn.Module):
        def forward(self, x):
            return torch.fft.rfft(x), x * 2

    found = check(Spectrum(), Spectrum(), X, runs=RUNS)
    assert found.passed
    assert found.notes == ["no gradients of out.0: it is complex"]


def test_the_first_bad_array_is_told(dense):
    def port(params, x):
        return dense_port(params, x) * 1.001

    with pytest.raises(RoundingError) as caught:
        assert_rounding(dense, port, {"x": X}, runs=RUNS)
    text = str(caught.value)
    assert text.startswith("out.y: bug, ")
    assert "times the allowed error" in text and "]: got " in text
    assert "4 of 4 arrays" in text
    assert isinstance(caught.value, AssertionError)
    for msg in ("mine", lambda text: f"mine: {text[:5]}"):
        with pytest.raises(RoundingError, match=r"^mine"):
            assert_rounding(dense, port, {"x": X}, runs=RUNS, msg=msg)


def test_there_is_no_tolerance(dense):
    for name in ("rtol", "atol"):
        with pytest.raises(TypeError, match="derived from the module"):
            assert_rounding(dense, dense_port, X, **{name: 1e-5})


def test_forward_only(dense):
    def port(params, x):  # nobody differentiates it
        return dense_port(params, x).detach()

    assert words(dense, port, X, gradients=False) == {
        "out.y": "rounding"
    }
    found = words(dense, port, X)
    assert (
        found["grad.weight"] == "bug" and found["out.y"] == "rounding"
    )


class TwoOutputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(3))
        self.register_buffer("seen", torch.zeros(3))

    def forward(self, x):
        self.seen += x.mean(0)
        return {"a": x * self.w, "b": (x + self.w).sum(-1)}


def parts(params, x, **others):
    w = params["w"]
    out = {"a": x * w, "b": (x + w).sum(-1)}
    buffers = {"seen": params["seen"] + x.mean(0)}
    return {"out": out, "buffers": buffers} | others


def test_outputs_and_buffers_that_one_side_lacks():
    module = TwoOutputs()
    assert set(words(module, parts, X).values()) == {"rounding"}

    def less(params, x):
        return {"a": x * params["w"], "c": x}

    found = words(module, less, X)
    assert found == {
        "out.a": "rounding",
        "out.b": "missing",
        "out.c": "missing",
        "buffer.seen": "missing",
        # of what both sides have
        "grad.x": "rounding",
        "grad.w": "rounding",
    }


def test_a_buffer_that_has_to_stay(dense):
    module = nn.BatchNorm1d(3).eval()

    def port(params, x):
        h = (x - params["running_mean"]) / torch.sqrt(
            params["running_var"] + 1e-5
        )
        y = h * params["weight"] + params["bias"]
        return {"out": y, "buffers": {"running_mean": x.mean(0)}}

    found = words(module, port, X)
    assert found.pop("buffer.running_mean") == "bug"
    assert set(found.values()) == {"rounding"}


def test_integers_have_to_be_equal():
    class Ids(nn.Module):
        def forward(self, ids):
            return ids + 1, ids > 2

    ids = np.arange(5)
    assert words(
        Ids(),
        lambda params, ids: (ids + 1, ids > 2),
        (ids,),
        framework="torch",
    ) == {
        "out.0": "rounding",
        "out.1": "rounding",
    }
    found = words(
        Ids(),
        lambda params, ids: (ids + 2, ids > 3),
        (ids,),
        framework="torch",
    )
    assert set(found.values()) == {"bug"}


def test_weights_of_other_names_and_layouts(dense):
    names = {
        "kernel": {"from": "weight", "transpose": [1, 0]},
        "offset": "bias",
    }

    def port(params, x):
        return x @ params["kernel"] + params["offset"]

    found = words(dense, port, X, weights=names)
    assert found == dict.fromkeys(
        ("out.y", "grad.input", "grad.weight", "grad.bias"), "rounding"
    )


def test_a_state_that_is_no_buffer_is_refused():
    class Counts(nn.Module):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return x * self.calls

    with pytest.raises(CheckError, match=r"out\.y is another one"):
        check(Counts(), nn.Identity(), X, runs=RUNS)


def test_a_parameter_that_the_port_does_not_get(dense):
    bare = nn.Linear(3, 2, bias=False)
    report = check(dense, bare, X, runs=RUNS)
    assert report.notes[-1].startswith("the port holds no bias: a ")
    weight = {"weight": "weight"}
    report = check(dense, bare, X, runs=RUNS, weights=weight)
    assert report.notes == ["the port does not get bias"]
    found = {line.name: line.word for line in report.lines}
    assert found["grad.bias"] == "missing" and found["out.y"] == "bug"

    def port(params, x):
        return x @ params["kernel"].T

    report = check(
        dense, port, X, weights={"kernel": "weight"}, runs=RUNS
    )
    assert report.notes == ["the port does not get bias"]


def test_a_note_on_what_stays_unseen():
    module = nn.LayerNorm(3)

    def port(params, x):
        return nn.functional.layer_norm(
            x, (3,), params["weight"], params["bias"]
        )

    report = check(module, port, X, runs=RUNS)
    assert "weight is 1 throughout" in report.notes[0]


def test_a_port_that_is_not_the_same_twice(dense):
    def port(params, x):
        return dense_port(params, x) + 1e-6 * torch.rand(2)

    notes = check(dense, port, X, runs=RUNS).notes
    assert any("not the same bits the second time" in n for n in notes)


def test_float64(dense):
    assert words(
        dense, dense_port, X, precision="float64"
    ) == dict.fromkeys(
        ("out.y", "grad.input", "grad.weight", "grad.bias"), "rounding"
    )

    def narrow(params, x):
        return dense_port(params, x).float().double()

    found = words(dense, narrow, X, precision="float64")
    assert found["out.y"] == "bug"


def test_the_dtype_of_a_port(dense):
    def port(params, x):
        return dense_port(params, x).bfloat16()

    report = check(dense, port, X, runs=RUNS)
    line = report.lines[0]
    assert line.word == "bug"
    assert line.elements == ["dtype bfloat16, expected float32"]


def test_the_same_seed_gives_the_same_report(dense):
    one, two = (
        check(dense, dense_port, X, runs=RUNS, seed=3) for _ in range(2)
    )
    assert one.to_json() == two.to_json()
    other = check(dense, dense_port, X, runs=RUNS, seed=4)
    assert other.to_json() != one.to_json()


def test_a_file_in_another_interpreter(dense, tmp_path):
    path = tmp_path / "numpy_port.py"
    path.write_text(
        "def forward(params, x):\n"
        "    return x @ params['weight'].T + params['bias']\n"
    )
    for port in (path, str(path)):
        report = check(
            dense, port, {"x": X}, gradients=False, runs=RUNS
        )
        assert report.passed
    with pytest.raises(CheckError, match=r"numpy_port.py: .*gradients"):
        check(dense, path, {"x": X}, runs=RUNS)


def raising(params, x):
    return params["none"]


@pytest.mark.parametrize(
    "options, error, message",
    [
        (
            {"precision": "int8"},
            ValueError,
            r"precision expected .*'int8'",
        ),
        ({"runs": 0}, ValueError, "positive integer, got 0"),
        ({"python": "python3"}, ValueError, "a file, got function"),
        ({"port": raising}, CheckError, "port: KeyError: 'none'"),
        ({"port": 3}, CheckError, "port expected a function.* got int"),
        ({"port": pathlib.Path("no")}, CheckError, "does not exist"),
        ({"inputs": X.T}, CheckError, "module: RuntimeError"),
    ],
)
def test_wrong_calls(dense, options, error, message):
    given = {"module": dense, "port": dense_port, "inputs": X} | options
    with pytest.raises(error, match=message):
        check(**given)


def test_nothing_to_compare_is_no_pass():
    class Nothing(nn.Module):
        def forward(self, x):
            return None

    nothing = Nothing()
    report = check(nothing, nothing, X, gradients=False, runs=RUNS)
    assert not report.lines and report.status == 2
    with pytest.raises(RoundingError, match="no array to compare"):
        assert_rounding(nothing, nothing, X, gradients=False)


def test_a_pass_is_proven_before_all_runs_are_made(dense):
    report = check(dense, dense_port, {"x": X})
    assert report.passed and report.runs < 16
    report = check(dense, lambda params, x: 2 * x[:, :2], {"x": X})
    assert report.status == 1 and report.runs == 48


def test_what_is_wrong_in_words():
    class Gelu(nn.Module):
        def forward(self, x):
            return nn.functional.gelu(x)

    def port(params, x):
        return nn.functional.gelu(x, approximate="tanh")

    report = check(Gelu(), port, X)
    assert "gelu" in report.lines[0].diagnosis
    assert "gelu" in str(report)


def test_a_choice_that_rounding_decides():
    """Two columns that are equal but for rounding: which is larger?"""

    class Largest(nn.Module):
        def forward(self, x):
            h = torch.stack([x[:, 0] * 3, x[:, 0] + x[:, 0] * 2], 1)
            return h.argmax(1)

    def other(params, x):
        return torch.zeros(5, dtype=torch.int64) + 1

    found = words(Largest(), other, (X,), framework="torch")
    assert found["out.y"] == "undecided"

    def wrong(params, x):
        return torch.zeros(5, dtype=torch.int64) + 2

    found = words(Largest(), wrong, (X,), framework="torch")
    assert found["out.y"] == "bug"


@pytest.mark.parametrize(
    "precision", ["bfloat16", "float16", "tf32", "autocast-bfloat16"]
)
def test_other_precisions(dense, precision):
    narrow = precision.removeprefix("autocast-")

    def port(params, x):
        if precision.startswith("autocast"):
            with torch.autocast("cpu", getattr(torch, narrow)):
                return dense_port(params, x)
        return dense_port(params, x)

    report = check(dense, port, X, precision=precision)
    assert report.passed, str(report)
    assert report.precision == precision

    def wrong(params, x):
        return 1.5 * port(params, x)

    assert check(dense, wrong, X, precision=precision).status == 1
    # a port in float32 is no port in bfloat16
    if precision in ("bfloat16", "float16"):

        def float32(params, x):
            return dense_port(params, x).float()

        line = check(dense, float32, X, precision=precision).lines[0]
        assert f"expected {precision}" in line.elements[0]


def test_the_package_offers_them():
    assert package.assert_rounding is assert_rounding
    assert package.RoundingError is RoundingError
    with pytest.raises(AttributeError, match=r"has no assert_round$"):
        package.assert_round  # noqa: B018

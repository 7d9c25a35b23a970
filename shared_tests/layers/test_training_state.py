"""Training state: stopped and continued is the run that nobody stopped.

Bit for bit in one framework; from one framework to another is judged in
shared_tests/live/test_resume.py.
"""

import importlib

import numpy as np
import pytest

from shared_tests.cases import CASES
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.run import group
from shared_tests.verdict import judge

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

LR = 1 / 64
MLP = dict(input_size=7, hidden_size=5, output_size=3)
LEARNED = dict(weight_quantizer="lsq", input_quantizer="pact")
LAYERS = {
    "MLP": MLP,
    "TiedMLP": dict(features=7),
    "QATLinear": dict(in_features=7, out_features=3) | LEARNED,
}


@pytest.fixture(scope="session")
def training(framework):
    return importlib.import_module(f"{framework}_impl.training")


@pytest.fixture(scope="session")
def states(framework):
    return importlib.import_module(f"{framework}_impl.training_state")


@pytest.fixture
def made(adapter):
    """made(layer, params): built in float32; without params, drawn."""

    def made(layer, params=None):
        config = LAYERS[layer]
        if params is None:
            rng = np.random.default_rng(0)
            params = {
                name: np.float32(rng.uniform(0.25, 1, shape))
                for name, shape in sorted(
                    adapter.shapes(layer, config).items()
                )
            }
        return adapter.build(layer, config, params, "float32").call

    return made


@pytest.fixture
def steps(adapter, training, numbers):
    """steps(layer, rule, range, state): losses, and parameters after
    each of these steps, which have the batches of their numbers."""

    def batch(step, layer):
        rng = np.random.default_rng(step)
        x = np.float32(rng.standard_normal((4, 7)))
        target = np.zeros_like(adapter.to_numpy(layer(tensor(x))))
        return tensor(x), tensor(target + np.float32(0.5))

    def tensor(x):
        return adapter.to_tensor(x, "float32")

    def steps(layer, rule, which, state=None, lr=LR):
        losses = training.train(
            layer,
            training.squared_error,
            getattr(training, rule),
            (batch(step, layer) for step in which),
            lr,
            state,
        )
        return [(adapter.to_numpy(v), numbers(layer)) for v in losses]

    return steps


@pytest.fixture
def plain(adapter):
    """plain(state): with copies in NumPy in place of its arrays."""

    def copied(arrays):
        return {n: adapter.to_numpy(a) for n, a in arrays.items()}

    def plain(state):
        parts = {p: copied(state[p]) for p in ("first", "second")}
        return dict(state) | parts

    return plain


@pytest.fixture
def begin(training, states):
    """begin(layer, rule): the state before the first step."""
    return lambda layer, rule: states.start_state(
        layer, getattr(training, rule), LR
    )


@pytest.fixture
def tensors(adapter):
    """The way back: a state with the framework's arrays."""

    def moved(arrays):
        return {
            n: adapter.to_tensor(a, a.dtype.name)
            for n, a in arrays.items()
        }

    return lambda state: (
        state | {p: moved(state[p]) for p in ("first", "second")}
    )


def equal(one, two):
    """Also the sign of a zero, and dtypes."""
    assert one.keys() == two.keys()
    for name, array in one.items():
        other = two[name]
        assert array.dtype == other.dtype and array.shape == other.shape
        assert array.tobytes() == other.tobytes(), name


def test_it_starts_with_zeros(made, parameters, begin, plain):
    for layer in LAYERS:
        state = plain(begin(made(layer), "adam"))
        assert list(state) == ["rule", "lr", "step", "first", "second"]
        assert (state["rule"], state["lr"], state["step"]) == (
            "adam",
            LR,
            0,
        )
        shapes = parameters.list_parameters(made(layer))
        for part in ("first", "second"):
            found = {n: a.shape for n, a in state[part].items()}
            assert found == shapes
            for array in state[part].values():
                assert array.dtype == np.float32 and not array.any()


def test_what_is_frozen_has_none(made, parameters, begin, steps):
    """A shared parameter is there once, under its first name."""
    layer = made("TiedMLP")
    parameters.freeze(layer, "layer1.bias")
    state = begin(layer, "momentum")
    names = {"layer1.weight", "layer2.bias"}
    assert set(state["first"]) == set(state["second"]) == names
    steps(layer, "momentum", range(2), state)
    assert set(state["first"]) == set(state["second"]) == names
    assert state["step"] == 2


@pytest.mark.parametrize(
    "layer, rule",
    [
        ("MLP", "sgd"),
        ("MLP", "adam"),
        ("TiedMLP", "momentum"),
        ("QATLinear", "adam"),
    ],
)
def test_stopped_and_continued(
    adapter, made, begin, steps, plain, tensors, layer, rule
):
    """5 steps, or 2, a new layer and a new state, and 3 more."""
    one, whole = made(layer), begin(made(layer), rule)
    unbroken = steps(one, rule, range(5), whole)
    two, state = made(layer), begin(made(layer), rule)
    first = steps(two, rule, range(2), state)
    assert state["step"] == 2
    kept = plain(state)
    if layer != "QATLinear":  # what it has seen is in the layer
        two = made(layer, first[-1][1])
    state = tensors(kept)
    second = steps(two, rule, range(2, 5), state)
    assert state["step"] == whole["step"] == 5
    for a, b in zip(unbroken, first + second, strict=True):
        equal({"loss": a[0]} | a[1], {"loss": b[0]} | b[1])
    for part in ("first", "second"):
        equal(plain(whole)[part], plain(state)[part])
    if rule != "sgd":  # it has something to remember
        assert all(a.any() for a in plain(state)["first"].values())
    if rule == "adam":
        assert all(a.any() for a in plain(state)["second"].values())


def test_a_state_is_whole_after_each_step(
    made, begin, steps, plain, training, adapter
):
    """Whoever stops between two batches has the state of that step."""
    layer = made("MLP")
    state = begin(layer, "adam")
    x = np.float32(np.random.default_rng(0).standard_normal((3, 4, 7)))
    xs = adapter.to_tensor(x, "float32")
    pairs = zip(xs, xs[..., :3])
    seen = []
    for _ in training.train(
        layer,
        training.squared_error,
        training.adam,
        pairs,
        LR,
        state,
    ):
        seen.append(plain(state))
    assert [kept["step"] for kept in seen] == [1, 2, 3]
    last = [kept["first"]["layer1.weight"] for kept in seen]
    assert not np.array_equal(last[0], last[1])
    equal(seen[-1]["first"], plain(state)["first"])


def test_the_rate_may_change(made, begin, steps):
    state = begin(made("MLP"), "momentum")
    steps(made("MLP"), "momentum", range(1), state, lr=1 / 16)
    assert state["lr"] == 1 / 16


def without(arrays, name):
    return {n: a for n, a in arrays.items() if n != name}


WEIGHT, BIAS = "layer1.weight", "layer1.bias"
# a wrong state, the error and its words
WRONG = {
    "no dict": (
        lambda s: [s],
        TypeError,
        "state expected a dict, got list",
    ),
    "a part missing": (
        lambda s: without(s, "second"),
        ValueError,
        "state expected first, lr, rule, second, step, "
        "got first, lr, rule, step",
    ),
    "a part too much": (
        lambda s: s | {"third": {}},
        ValueError,
        "state expected first, lr, rule, second, step, "
        "got first, lr, rule, second, step, third",
    ),
    "another rule": (
        lambda s: s | {"rule": "sgd"},
        ValueError,
        "rule of state expected 'momentum', got 'sgd'",
    ),
    "a negative step": (
        lambda s: s | {"step": -1},
        ValueError,
        "step of state expected an integer of at least 0, got -1",
    ),
    "half a step": (
        lambda s: s | {"step": 1.5},
        ValueError,
        "step of state expected an integer of at least 0, got 1.5",
    ),
    "no step": (
        lambda s: s | {"step": True},
        ValueError,
        "step of state expected an integer of at least 0, got True",
    ),
    "a name missing": (
        lambda s: s | {"first": without(s["first"], BIAS)},
        ValueError,
        r"first of state: layer1.bias expected float32 \(5,\), got none",
    ),
    "another name": (
        lambda s: s | {"second": s["second"] | {"w": s["first"][BIAS]}},
        ValueError,
        r"second of state: w expected none, got float32 \(5,\)",
    ),
    "another shape": (
        lambda s: (
            s | {"first": s["first"] | {WEIGHT: s["first"][BIAS]}}
        ),
        ValueError,
        r"first of state: layer1.weight expected float32 \(5, 7\), "
        r"got float32 \(5,\)",
    ),
    "no array": (
        lambda s: s | {"second": s["second"] | {BIAS: [0.0] * 5}},
        ValueError,
        r"second of state: layer1.bias expected float32 \(5,\), "
        "got list",
    ),
    "an array of NumPy": (
        lambda s: (
            s
            | {"second": s["second"] | {BIAS: np.zeros(5, np.float32)}}
        ),
        ValueError,
        r"second of state: layer1.bias expected float32 \(5,\), "
        "got ndarray",
    ),
    "no names at all": (
        lambda s: s | {"first": None},
        ValueError,
        r"first of state: layer1.bias expected float32 \(5,\), got none",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_state_that_does_not_fit(
    made, begin, steps, numbers, plain, wrong
):
    """An error that names both sides, and nothing has changed."""
    change, error, words = WRONG[wrong]
    layer = made("MLP")
    good = begin(layer, "momentum")
    before, kept = numbers(layer), plain(good)
    bad = change(good)
    with pytest.raises(error, match=f"train: {words}"):
        steps(layer, "momentum", range(2), bad)
    equal(numbers(layer), before)
    assert plain(good)["step"] == kept["step"] == 0
    equal(plain(good)["first"], kept["first"])


def test_another_dtype(made, begin, steps, states, adapter):
    params = {
        n: np.ones(s) for n, s in adapter.shapes("MLP", MLP).items()
    }
    wide = adapter.build("MLP", MLP, params, "float64").call
    words = (
        "first of state: .*layer1.weight expected float32 .5, 7., "
        "got float64 .5, 7."
    )
    with pytest.raises(ValueError, match=words):
        steps(made("MLP"), "adam", range(1), begin(wide, "adam"))


# what a file can lose or mix up, and the case that sees it
LOST = {
    "the step": ("MLP-adam", lambda s: s | {"step": 0}),
    "first": (
        "MLP-momentum",
        lambda s: s | {"first": zeroed(s["first"])},
    ),
    "second": (
        "MLP-adam",
        lambda s: s | {"second": zeroed(s["second"])},
    ),
    "which is first": (
        "MLP-adam",
        lambda s: s | {"first": s["second"], "second": s["first"]},
    ),
}


def zeroed(arrays):
    return {n: 0 * a for n, a in arrays.items()}


@pytest.mark.parametrize("lost", LOST)
def test_what_is_lost_is_seen(
    adapter, training, states, plain, tensors, lost
):
    """15 steps, a state that lost something, and 5 more: the losses
    leave the budget of the unbroken run."""
    name, change = LOST[lost]
    case = next(c for c in CASES if c.id == name)
    fixture = read_fixture(case, read_manifest())
    params = group(fixture, "param")
    layer = adapter.build(
        case.layer, case.config, params, "float64"
    ).call
    how = case.training
    rule = getattr(training, how["rule"])
    loss = getattr(training, how["loss"])
    state = states.start_state(layer, rule, how["lr"])
    losses = []
    for part in (slice(15), slice(15, None)):
        batches = (
            adapter.to_tensor(fixture[f"in.{n}"][part], "float64")
            for n in ("x", "target")
        )
        made = training.train(
            layer, loss, rule, zip(*batches), how["lr"], state
        )
        losses += [adapter.to_numpy(value) for value in made]
        state = tensors(change(plain(state)))
    for after, passes in ((16, True), (20, False)):
        verdict = judge(
            np.stack(losses)[:after],
            fixture["ref.trained.loss"][:after],
            fixture["sigma.trained.loss"][:after],
            "float64",
        )
        assert verdict.passed == passes, verdict.detail

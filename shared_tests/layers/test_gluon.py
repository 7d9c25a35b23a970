"""Gluon: what its users do with a layer works with each of ours."""

import copy
import pickle

import numpy
import pytest
from mxnet import autograd, gluon, np

import mxnet_impl
from mxnet_impl.parameters import list_parameters
from shared_tests.layers.setups import NAMES, SETUPS, drawn, of_ids

ENVIRONMENTS = ("mxnet",)

TRAINED = "MLP", "TextClassifier", "TransformerClassifier"
EVERY_SETUP = pytest.mark.parametrize(
    "layer, config, shape", SETUPS, ids=NAMES
)


def draw(*shape):
    x = drawn(shape, numpy.float64)  # then rounded
    narrow = "float32" if x.dtype.kind == "f" else "int32"
    return np.array(x, dtype=narrow)


def started(layer, config, shape):
    """Quantizers have seen x, and no longer move."""
    made = getattr(mxnet_impl, layer)(**config)
    made.initialize()
    if hasattr(made, "start"):
        made.start(draw(*shape))
    mxnet_impl.set_mode(made, "observe")(draw(*shape))
    return mxnet_impl.set_mode(made, "frozen")


def same(a, b):
    a, b = a.asnumpy(), b.asnumpy()
    return a.dtype == b.dtype and a.tobytes() == b.tobytes()


@EVERY_SETUP
def test_it_prints_its_sizes(layer, config, shape):
    shown = repr(getattr(mxnet_impl, layer)(**config))
    sizes = ", ".join(f"{n}={value!r}" for n, value in config.items())
    assert shown.splitlines()[0] == f"{layer}({sizes})"
    for name in list_parameters(getattr(mxnet_impl, layer)(**config)):
        for part in name.split(".")[:-1]:
            assert f"({part}): " in shown


def test_what_is_inside_is_printed_below():
    assert repr(mxnet_impl.MLP(3, 5, 2)).splitlines() == [
        "MLP(input_size=3, hidden_size=5, output_size=2)",
        "  (layer1): Linear(in_features=3, out_features=5)",
        "  (relu): ScaledReLU(scale=0.5)",
        "  (layer2): Linear(in_features=5, out_features=2)",
    ]


@EVERY_SETUP
def test_copies(layer, config, shape):
    made, x = started(layer, config, shape), draw(*shape)
    for again in (
        copy.deepcopy(made),
        pickle.loads(pickle.dumps(made)),
    ):
        assert same(again(x), made(x))
        assert repr(again) == repr(made)
        assert list_parameters(again) == list_parameters(made)


@pytest.mark.parametrize("initialized", [False, True])
@EVERY_SETUP
def test_its_own_files(tmp_path, layer, config, shape, initialized):
    made, x = started(layer, config, shape), draw(*shape)
    path = str(tmp_path / "layer.params")
    made.save_parameters(path)
    again = getattr(mxnet_impl, layer)(**config)
    if initialized:
        again.initialize()
    again.load_parameters(path)
    assert same(mxnet_impl.set_mode(again, "frozen")(x), made(x))


def test_a_file_that_does_not_fit(tmp_path):
    path = str(tmp_path / "layer.params")
    made = started(
        "Linear", dict(in_features=7, out_features=3), (4, 7)
    )
    made.save_parameters(path)
    words = r"expected weight \(3, 5\).*, got weight \(3, 7\)"
    with pytest.raises(ValueError, match=words):
        mxnet_impl.Linear(5, 3).load_parameters(path)
    bare = mxnet_impl.Linear(7, 3, bias=False)
    with pytest.raises(ValueError, match=r"got weight .*, bias \(3,\)"):
        bare.load_parameters(path)
    bare.load_parameters(path, ignore_extra=True)
    assert same(bare.weight.data(), made.weight.data())


@EVERY_SETUP
def test_in_containers(tmp_path, layer, config, shape):
    made, x = started(layer, config, shape), draw(*shape)
    outer, inner = gluon.nn.Sequential(), gluon.nn.Sequential()
    inner.add(made)
    outer.add(inner)
    assert same(outer(x), made(x))
    listed = list_parameters(made)
    named = {f"0.0.{n}": shape for n, shape in listed.items()}
    assert list_parameters(outer) == named
    every = outer.collect_params()
    assert set(every.values()) == set(made.collect_params().values())


@EVERY_SETUP
def test_what_hybrid_containers_say(layer, config, shape):
    hybrid = gluon.nn.HybridSequential()
    words = "Children of HybridBlock must also be HybridBlock"
    with pytest.raises(ValueError, match=words):
        hybrid.add(getattr(mxnet_impl, layer)(**config))


@EVERY_SETUP
def test_cast(layer, config, shape):
    """Of a layer that has its numbers."""
    made = started(layer, config, shape)
    made.cast("float64")
    x = draw(*shape)
    x = x if of_ids(shape) else x.astype("float64")
    assert made(x).dtype == "float64"


def test_casting_comes_after_initializing():
    made = mxnet_impl.Linear(7, 3)
    made.cast("float64")
    with pytest.raises(Exception, match=r"[Ff]loat64|dtype"):
        made.initialize()


@pytest.mark.parametrize(
    "layer, config, shape",
    [s for s in SETUPS if s[0] in TRAINED],
)
def test_trainer(layer, config, shape):
    made, x = started(layer, config, shape), draw(*shape)
    y, loss_of = draw(*made(x).shape), gluon.loss.L2Loss()
    rule = gluon.Trainer(
        made.collect_params(), "sgd", {"learning_rate": 0.1}
    )
    losses = []
    for _ in range(5):
        with autograd.record():
            loss = loss_of(made(x), y).mean()
        loss.backward()
        rule.step(1)
        losses.append(float(loss))
    assert losses[-1] < losses[0]

"""Keras: what its users do with a layer works with each of ours."""

import copy
import pickle
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_impl
from shared_tests.cases import CASES
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.layers.setups import (
    HEADS,
    NAMES,
    PREPARED,
    SETUPS,
    drawn,
    of_ids,
)
from shared_tests.run import group
from shared_tests.verdict import judge
from tf_impl.parameters import freeze, list_parameters, named_parameters
from tf_impl.quantization.int8_linear import Int8Linear
from tf_impl.quantization.observers import (
    MinMaxObserver,
    MovingAverageObserver,
    PercentileObserver,
)
from tf_impl.quantization.quantizers import FakeQuantizer

ENVIRONMENTS = ("tf",)

TILED = HEADS | dict(attention=tf_impl.attention_tiled)
EVERY = [*SETUPS, ("MultiHeadAttention", TILED, (4, 5, 12))]
TRAINED = "MLP", "TextClassifier", "TransformerClassifier"
EVERY_SETUP = pytest.mark.parametrize(
    "layer, config, shape", EVERY, ids=[*NAMES, "attention_tiled"]
)


def draw(*shape):
    return drawn(shape)


def started(layer, config, shape, **kwargs):
    """Quantizers have seen x, and no longer move."""
    x = tf.constant(draw(*shape))
    made = getattr(tf_impl, layer)(**config, **kwargs)
    if hasattr(made, "start"):
        made.start(x)
    return settled(made, x)


def settled(made, x):
    tf_impl.set_mode(made, "observe")(x)
    return tf_impl.set_mode(made, "frozen")


def same(a, b):
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.tobytes() == b.tobytes()


def reloaded(model, folder):
    model.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras")


def entry(shape):
    dtype = "int32" if of_ids(shape) else None
    return keras.Input(shape[1:], dtype=dtype)


def functional(layer, shape):
    x = entry(shape)
    return keras.Model(x, layer(x))


def sequential(layer, shape):
    return keras.Sequential([entry(shape), layer])


@pytest.mark.parametrize("make", [functional, sequential])
@EVERY_SETUP
def test_a_keras_file(tmp_path, layer, config, shape, make):
    made = started(layer, config, shape)
    model, x = make(made, shape), draw(*shape)
    again = reloaded(model, tmp_path)
    inside = tf_impl.set_mode(again.layers[-1], "frozen")
    assert type(inside) is type(made)
    assert list_parameters(inside) == list_parameters(made)
    assert same(again(x), model(x))
    if layer != "WeightedSum":  # Keras wants a row for each of a batch
        assert same(again.predict(x), model.predict(x))


@EVERY_SETUP
def test_copies(layer, config, shape):
    made, x = started(layer, config, shape), tf.constant(draw(*shape))
    for again in (
        copy.deepcopy(made),
        pickle.loads(pickle.dumps(made)),
        type(made).from_config(made.get_config()),
    ):
        assert list_parameters(again) == list_parameters(made)
        for a, b in zip(again.variables, made.variables):
            assert a is not b and a.shape == b.shape
    for again in (
        copy.deepcopy(made),
        pickle.loads(pickle.dumps(made)),
    ):
        assert same(tf_impl.set_mode(again, "frozen")(x), made(x))


@pytest.mark.parametrize("layer, config, shape", PREPARED)
@pytest.mark.parametrize("quantizer", ["moving_average", "pact"])
def test_prepared_and_converted(
    tmp_path, layer, config, shape, quantizer
):
    x = tf.constant(draw(*shape))
    made = getattr(tf_impl, layer)(**config)
    options = dict(weight_bits=4, input_quantizer=quantizer)
    tf_impl.prepare(made, {"*": options, "*1": None})
    settled(made, x)
    model = functional(made, shape)
    for turn in ("prepared", "converted"):
        again = reloaded(model, tmp_path)
        tf_impl.set_mode(again.layers[-1], "frozen")
        assert same(again(x), model(x)), turn
        assert list_parameters(again.layers[-1]) == list_parameters(
            model.layers[-1]
        )
        if turn == "prepared":
            model = functional(tf_impl.convert(made), shape)


@pytest.mark.parametrize("turn", ["prepared", "converted"])
def test_one_twin_under_two_names(tmp_path, turn):
    x = tf.constant(draw(4, 3))
    made = tf_impl.MLP(3, 3, 3)
    made.layer2 = made.layer1
    settled(tf_impl.prepare(made, {"*": {}}), x)
    if turn == "converted":
        tf_impl.convert(made)
    model = sequential(made, (4, 3))
    again = reloaded(model, tmp_path)
    inside = again.layers[-1]
    assert inside.layer1 is inside.layer2
    assert same(tf_impl.set_mode(again, "frozen")(x), model(x))


@pytest.mark.parametrize("make", [functional, sequential])
def test_a_whole_model(tmp_path, make):
    """Prepared as it is, saved, loaded, converted, saved, loaded."""
    x, layer = tf.constant(draw(4, 7)), tf_impl.Linear(7, 3)
    model = make(layer, (4, 7))
    model.compile("sgd", loss="mse")
    y = draw(4, 3)
    model.fit(x, y, verbose=0)
    floats = model.predict(x, verbose=0)
    assert tf_impl.prepare(model, {"*": dict(weight_bits=3)}) is model
    assert model.layers[-1].name == layer.name
    tf_impl.set_mode(model, "observe")(x)
    tf_impl.set_mode(model, "frozen")
    frozen = model.predict(x, verbose=0)  # not what was traced before
    assert not same(frozen, floats) and same(frozen, model(x))
    before = layer.weight.numpy()
    model.fit(x, y, verbose=0)
    assert not same(layer.weight, before)
    tf_impl.set_mode(model, "quantize")  # the weights have moved
    tf_impl.set_mode(model, "frozen")
    again = reloaded(model, tmp_path)
    tf_impl.set_mode(again, "frozen")
    assert same(again(x), model(x))
    frozen = again(x)
    tf_impl.convert(again)
    assert same(again.predict(x, verbose=0), frozen)
    third = reloaded(again, tmp_path)
    assert same(third(x), frozen)
    assert len(third.trainable_variables) == 0


@pytest.mark.parametrize(
    "layer",
    [
        MinMaxObserver(),
        MovingAverageObserver(0.5, axis=1, num_channels=7),
        PercentileObserver(90.0),
        FakeQuantizer(MinMaxObserver(), bits=3, symmetric=True),
    ],
)
def test_parts_of_quantizers(layer):
    x = tf.constant(draw(4, 7))
    getattr(layer, "start", getattr(layer, "observe", None))(x)
    again = pickle.loads(pickle.dumps(layer))
    assert vars(again).keys() == vars(layer).keys()
    for a, b in zip(again.weights, layer.weights):
        assert same(a, b)
    if hasattr(layer, "qparams"):
        assert same(again(x), layer(x))


def test_int8_linear_alone(tmp_path):
    x = tf.constant(draw(4, 7))
    made = settled(tf_impl.QATLinear(7, 3), x)
    made = tf_impl.convert(made)
    assert isinstance(made, Int8Linear)
    again = reloaded(sequential(made, (4, 7)), tmp_path).layers[-1]
    assert again.codes == made.codes
    assert same(again(x), made(x))


def test_every_layer_of_every_page_is_registered():
    """Also those that are not in __all__."""
    ours = [
        layer
        for layer in keras.layers.Layer.__subclasses__()
        if layer.__module__.startswith("tf_impl.")
    ]
    assert len(ours) > 20
    for layer in ours:
        name = keras.saving.get_registered_name(layer)
        assert name == f"tf_impl>{layer.__name__}"


def test_sizes_from_numpy():
    made = tf_impl.Linear(np.int64(7), np.int32(3))
    again = pickle.loads(pickle.dumps(made))
    assert same(again.weight, made.weight)


def test_a_subclass_has_the_arguments_of_its_own():
    class Twice(tf_impl.Linear):
        def __init__(self, size, **kwargs):
            super().__init__(size, 2 * size, **kwargs)

    config = Twice(3).get_config()
    assert Twice.from_config(config).weight.shape == (6, 3)


def test_what_is_frozen_stays_so():
    made = tf_impl.MLP(7, 5, 3)
    freeze(made, "layer1.bias")
    named = named_parameters(copy.deepcopy(made))
    frozen = [n for n, p in named.items() if not p.trainable]
    assert frozen == ["layer1.bias"]


def fixture_of(name):
    (case,) = [c for c in CASES if c.id == name]
    return case, read_fixture(case, read_manifest())


def allowed(fixture, name, got):
    """Inside the budget of that array of the case."""
    want, sigma = fixture[f"ref.{name}"], fixture[f"sigma.{name}"]
    return judge(np.asarray(got), want, sigma, "float32").passed


@pytest.mark.parametrize(
    "name",
    """MultiHeadAttention-basic MultiHeadAttention-causal
    MultiHeadAttention-one_token MultiHeadAttention-many_tokens
    TransformerClassifier-basic""".split(),
)
@pytest.mark.parametrize("tiled", [False, True])
def test_an_unknown_number_of_tokens(tmp_path, adapter, name, tiled):
    case, fixture = fixture_of(name)
    whole = case.layer == "TransformerClassifier"
    config = case.config
    if tiled and not whole:
        config = config | dict(attention="attention_tiled")
    made = adapter.build(case.layer, config, group(fixture, "param"))
    layer, x = made.call, fixture["in.x"]
    inputs = keras.Input((None, x.shape[-1]))
    model = keras.Model(inputs, layer(inputs))
    again = reloaded(model, tmp_path)
    assert same(again(x), layer(tf.constant(x)))
    compiled = model.predict(x, verbose=0)
    assert allowed(fixture, "out.y", compiled)


@pytest.mark.parametrize(
    "name", ["attention_tiled-basic", "attention_tiled-masked"]
)
def test_attention_tiled_of_unknown_sizes(name):
    """Also its gradients, and a mask."""
    case, fixture = fixture_of(name)
    inputs = group(fixture, "in")
    dy = tf.constant(fixture["cotangent.y"])

    def both(**inputs):
        qkv = [inputs[n] for n in "qkv"]
        with tf.GradientTape() as tape:
            tape.watch(qkv)
            y = tf_impl.attention_tiled(**inputs, **case.config)
        return y, *tape.gradient(y, qkv, dy)

    specs = {
        n: tf.TensorSpec(
            (None, *a.shape[1:2], None, a.shape[3]), a.dtype
        )
        for n, a in inputs.items()
        if n in "qkv"
    }
    if "attn_mask" in inputs:
        unknown = (None,) * inputs["attn_mask"].ndim
        specs["attn_mask"] = tf.TensorSpec(unknown, tf.bool)
    traced = tf.function(both).get_concrete_function(**specs)
    got = traced(**{n: tf.constant(a) for n, a in inputs.items()})
    arrays = ["out.y", "grad.q", "grad.k", "grad.v"]
    for array, value in zip(arrays, got):
        assert allowed(fixture, array, value), array


@pytest.mark.parametrize(
    "policy, stored, computed",
    [
        ("float64", "float64", "float64"),
        ("mixed_float16", "float32", "float16"),
        ("bfloat16", "bfloat16", "bfloat16"),
    ],
)
@pytest.mark.parametrize(
    "layer, config, shape",
    [s for s in EVERY if s[0] not in ("QATLinear", "HalfSpectrum")],
)
def test_the_dtype_policy_holds_everywhere(
    layer, config, shape, policy, stored, computed
):
    made = getattr(tf_impl, layer)(**config, dtype=policy)
    if hasattr(made, "start"):
        made.start(tf.cast(draw(*shape), made.compute_dtype))
    assert {v.dtype for v in made.variables} <= {stored}
    assert made(tf.constant(draw(*shape))).dtype.name == computed
    inside = made._flatten_layers()
    assert {one.dtype_policy.name for one in inside} == {policy}


@EVERY_SETUP
def test_no_warning_of_unbuilt_layers(layer, config, shape):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        made = sequential(started(layer, config, shape), shape)
        assert made.built
    inside, x = made.layers[-1], tf.constant(draw(*shape))
    for batch in (None, shape[0]):
        found = inside.compute_output_shape((batch, *shape[1:]))
        assert inside(x).shape[1:] == found[1:]


@pytest.mark.parametrize(
    "layer, config, shape",
    [s for s in EVERY if s[0] in TRAINED],
)
def test_compile_and_fit(tmp_path, layer, config, shape):
    """The loss falls, and a saved model goes on from there."""
    keras.utils.set_random_seed(0)
    made = getattr(tf_impl, layer)(**config)
    model, x = functional(made, shape), draw(*shape)
    y = draw(*model(x).shape)
    model.compile("sgd", loss="mse")
    history = model.fit(x, y, epochs=5, shuffle=False, verbose=0)
    losses = history.history["loss"]
    assert losses[-1] < losses[0]
    again = reloaded(model, tmp_path)
    for a, b in zip(again.variables, model.variables, strict=True):
        assert same(a, b)
    again.fit(x, y, epochs=5, shuffle=False, verbose=0)
    assert again.evaluate(x, y, verbose=0) < losses[-1]


@pytest.mark.parametrize(
    "prefix, hold",
    [
        ("0.", lambda made, x: keras.Sequential([x, made])),
        ("1.", lambda made, x: keras.Model(x, made(x))),
        ("held.1.", lambda made, x: ["", made]),
        ("held.1.", lambda made, x: ("", made)),
        ("held.a.", lambda made, x: dict(a=made)),
        ("held.a.0.", lambda made, x: dict(a=(made,))),
        ("held.0.", lambda made, x: keras.Sequential([x, made])),
    ],
)
@EVERY_SETUP
def test_in_containers(layer, config, shape, prefix, hold):
    made = started(layer, config, shape)
    holder = hold(made, entry(shape))
    if prefix.startswith("held."):
        outer = keras.layers.Layer()
        outer.held = holder
        holder = outer
    listed = list_parameters(made)
    named = {prefix + n: s for n, s in listed.items()}
    assert list_parameters(holder) == named


def test_what_belongs_to_a_variable_goes_on_with_it():
    """A regularizer and a constraint, which Keras looks for there."""
    made = tf_impl.MLP(7, 5, 3)
    made.layer1.weight.regularizer = keras.regularizers.L2(0.5)
    made.layer1.weight.constraint = keras.constraints.NonNeg()
    before = [float(one) for one in made.losses]
    tf_impl.prepare(made, {"*": {}})
    assert [float(one) for one in made.losses] == before != []
    assert made.layer1.weight.constraint is not None


def test_a_private_attribute_is_listed():
    """Keras trains it, so it is a parameter as any other."""

    class Private(keras.Model):
        def __init__(self):
            super().__init__()
            self._dense = tf_impl.Linear(7, 3)

    model = Private()
    assert list_parameters(model) == {
        "_dense.weight": (3, 7),
        "_dense.bias": (3,),
    }
    tf_impl.prepare(model, {"_dense": {}})
    assert isinstance(model._dense, tf_impl.QATLinear)
    assert len(model.trainable_variables) == 2


def test_freezing_inside_a_container():
    model = keras.Sequential([keras.Input((7,)), tf_impl.MLP(7, 5, 3)])
    freeze(model, "0.layer1.bias")
    assert len(model.trainable_variables) == 3

"""Keras: a compiled predict follows the mode, and files have it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_impl
from tf_impl.quantization.qat_linear import QATLinear

ENVIRONMENTS = ("tf",)

X = np.random.default_rng(0).standard_normal((8, 7), np.float32)


@pytest.fixture
def model():
    layer = tf_impl.prepare(tf_impl.MLP(7, 5, 3), {"*": {}})
    tf_impl.set_mode(layer, "observe")(X)
    tf_impl.set_mode(layer, "quantize")
    x = keras.Input((7,))
    return keras.Model(x, layer(x))


def bounds(model):
    layer = model.layers[-1]
    found = [
        layer.layer1.input_quantizer,
        layer.layer1.weight_quantizer,
    ]
    return [one.observer.bounds.numpy().tolist() for one in found]


def test_a_compiled_predict_follows_the_mode(model, monkeypatch):
    """Traced once, and then told."""
    traced, call = [], QATLinear.call

    def counted(self, x, training=None):
        traced.append(training)
        return call(self, x, training)

    monkeypatch.setattr(QATLinear, "call", counted)
    layer, before = model.layers[-1], bounds(model)
    quantized = model.predict(X, verbose=0)
    count = len(traced)
    assert count and set(traced) == {False}
    tf_impl.set_mode(layer, "observe")
    plain = model.predict(3 * X, verbose=0)
    assert bounds(model) != before and len(traced) == count
    x, *params = map(np.float64, (3 * X, *layer.trainable_variables))
    w1, b1, w2, b2 = params
    scale = layer.relu.scale
    y = np.maximum(x @ w1.T + b1, 0) * scale @ w2.T + b2
    # a number goes through 7 + 1 + 1 + 5 + 1 roundings at most
    size = (abs(x) @ abs(w1.T) + abs(b1)) * scale @ abs(w2.T) + abs(b2)
    assert (abs(plain - y) <= 15 * 2.0**-24 * size).all()
    assert (abs(quantized - y) > 15 * 2.0**-24 * size).any()
    for mode in ("quantize", "frozen"):
        tf_impl.set_mode(layer, mode)
        before = bounds(model)
        assert not np.array_equal(model.predict(X, verbose=0), plain)
        model.predict(9 * X, verbose=0)
        assert bounds(model) == before and len(traced) == count
    assert not np.array_equal(quantized, plain)


def test_a_compiled_fit_follows_the_mode(model):
    y = np.zeros((8, 3), np.float32)
    model.compile("sgd", "mse")
    model.fit(3 * X, y, epochs=1, verbose=0)
    moved = bounds(model)
    model.evaluate(9 * X, y, verbose=0)
    assert bounds(model) == moved
    tf_impl.set_mode(model.layers[-1], "frozen")
    moved = bounds(model)
    model.fit(9 * X, y, epochs=1, verbose=0)
    assert bounds(model) == moved
    tf_impl.set_mode(model.layers[-1], "quantize")
    model.fit(9 * X, y, validation_data=(X, y), epochs=1, verbose=0)
    assert bounds(model) != moved


def test_validation_is_no_batch(model):
    y, ends = np.zeros((8, 3), np.float32), []
    for validate in (None, (99 * X, y)):
        twin = keras.models.clone_model(model)
        twin.set_weights(model.get_weights())
        twin.compile("sgd", "mse")
        more = dict(validation_data=validate, verbose=0, epochs=3)
        twin.fit(3 * X, y, shuffle=False, **more)
        ends.append(bounds(twin))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("mode", ["observe", "quantize", "frozen"])
def test_a_keras_file_has_the_mode(tmp_path, model, mode):
    tf_impl.set_mode(model.layers[-1], mode)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.layers[-1].layer1.mode == mode
    assert bounds(again) == bounds(model)


def test_an_empty_batch_in_a_graph(model):
    """Of a size that the graph does not know: no range moves."""
    before = bounds(model)
    spec = tf.TensorSpec((None, 7), tf.float32)
    run = tf.function(model, input_signature=[spec])
    run(tf.constant(X[:0]))
    assert bounds(model) == before
    run(tf.constant(3 * X))
    assert bounds(model) != before


@pytest.mark.parametrize("mode", ["observe", "quantize", "frozen"])
@pytest.mark.parametrize("wrap", [lambda f: f, tf.function])
def test_a_stateless_call(model, mode, wrap):
    """The new ranges are returned, and the layer keeps its own."""
    layer = model.layers[-1]
    tf_impl.set_mode(layer, mode)
    before = bounds(model)
    weights = [
        [v.value for v in group]
        for group in (
            layer.trainable_variables,
            layer.non_trainable_variables,
        )
    ]
    y, state = wrap(layer.stateless_call)(*weights, 3 * X)
    assert bounds(model) == before
    want = wrap(layer.__call__)(3 * X)
    assert np.array_equal(y, want)
    for got, variable in zip(state, layer.non_trainable_variables):
        assert np.array_equal(got, variable.value)
    assert (bounds(model) == before) == (mode == "frozen")

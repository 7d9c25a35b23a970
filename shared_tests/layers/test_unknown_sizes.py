"""TensorFlow: a tf.function that does not know sizes does not broadcast."""

import math

import numpy as np
import pytest

from shared_tests.cases import CASES
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.layers.setups import SETUPS
from shared_tests.run import group
from shared_tests.verdict import judge

ENVIRONMENTS = ("tf",)


@pytest.mark.parametrize("compiled", [False, True])
def test_what_would_broadcast_is_nan(package, compiled):
    import tensorflow as tf

    from tf_impl import training

    def value(loss, *arrays):
        """It knows the ranks, and no size."""
        signature = [
            tf.TensorSpec([None] * len(a.shape), a.dtype)
            for a in arrays
        ]
        function = tf.function(
            loss, input_signature=signature, jit_compile=compiled
        )
        return float(function(*arrays))

    y, target = tf.ones((4, 2)), tf.zeros((4, 2))
    assert value(training.squared_error, y, target) == 1
    assert math.isnan(value(training.squared_error, y, target[:1]))
    assert math.isnan(value(training.squared_error, y[:1], target))
    labels = tf.constant([0, 1, 0, 1])
    assert f"{value(training.cross_entropy, y, labels):.4f}" == "0.6931"
    assert math.isnan(value(training.cross_entropy, y, labels[:1]))
    assert math.isnan(value(training.cross_entropy, y[:1], labels))


LAYERS = sorted({name for name, _, _ in SETUPS} - {"TiedMLP"})


@pytest.mark.parametrize("layer", LAYERS)
def test_an_unknown_batch(adapter, layer):
    """tf.function traces once, for batches of any size; y is within the
    budget of a case."""
    import tensorflow as tf

    case = next(c for c in CASES if c.layer == layer)
    fixture = read_fixture(case, read_manifest())
    params = group(fixture, "param")
    made = adapter.build(layer, case.config, params, "float32").call
    x = tf.constant(fixture["in.x"])
    anything = tf.TensorSpec([None, *x.shape[1:]], x.dtype)
    function = tf.function(
        lambda x: made(x), input_signature=[anything]
    )
    y = np.asarray(function(x))
    want, sigma = fixture["ref.out.y"], fixture["sigma.out.y"]
    verdict = judge(y, want, sigma, "float32")
    assert verdict.passed, verdict.detail
    more = function(tf.concat([x, x], 0))
    assert more.shape[1:] == y.shape[1:]
    assert function.experimental_get_tracing_count() == 1

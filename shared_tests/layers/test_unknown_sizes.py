"""TensorFlow: a tf.function that does not know sizes does not broadcast."""

import math

import pytest

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

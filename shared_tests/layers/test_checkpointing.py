"""Activation checkpointing: a forward pass that runs a second time gives
the same outputs and gradients, bit for bit.

PyTorch's is in test_pytorch_transforms.py; MXNet has none for a Block.
"""

import functools

import numpy as np
import pytest

from shared_tests.layers.rules import RULES, given

ENVIRONMENTS = ("jax", "tf")


@pytest.mark.parametrize("name", RULES)
def test_computed_again(package, adapter, framework, name):
    rule = RULES[name]
    inputs, fixed = given(rule, adapter)

    def function(*arrays):
        named = dict(zip(rule.inputs, arrays))
        y = getattr(package, name)(**named, **fixed)
        return y * y

    run = functools.partial(gradients[framework], function, inputs)
    want, got = run(again=False), run(again=True)
    for a, b in zip(want, got, strict=True):
        assert np.array_equal(adapter.to_numpy(a), adapter.to_numpy(b))


def in_jax(function, inputs, again):
    import jax

    made = jax.checkpoint(function) if again else function
    y, pull = jax.vjp(made, *inputs)
    return y, *pull(jax.numpy.ones_like(y))


def in_tf(function, inputs, again):
    import tensorflow as tf

    made = tf.recompute_grad(function) if again else function
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        y = made(*inputs)
    return y, *tape.gradient(y, inputs, unconnected_gradients="zero")


gradients = dict(jax=in_jax, tf=in_tf)

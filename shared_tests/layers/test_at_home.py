"""PyTorch and JAX: copies of each layer, and containers that hold it.

test_keras.py and test_gluon.py ask the same of the other two.
"""

import copy
import pickle

import numpy as np
import pytest

from shared_tests.layers.setups import NAMES, SETUPS, drawn

ENVIRONMENTS = ("pytorch", "jax")

EVERY_SETUP = pytest.mark.parametrize(
    "layer, config, shape", SETUPS, ids=NAMES
)


@pytest.fixture
def started(framework, adapter, package, start):
    """The layer and x; quantizers have seen x, and no longer move."""

    def started(layer, config, shape):
        x = drawn(shape, np.float64)
        # the JAX adapter turns float64 on: layers start in it
        precision = "float64" if framework == "jax" else "float32"
        x = adapter.to_tensor(x, precision)
        made = start(layer, config)
        if hasattr(made, "start"):
            made.start(x)
        package.set_mode(made, "observe")(x)
        return package.set_mode(made, "frozen"), x

    return started


@EVERY_SETUP
def test_copies(adapter, parameters, started, layer, config, shape):
    made, x = started(layer, config, shape)
    y = adapter.to_numpy(made(x))
    for again in (
        copy.deepcopy(made),
        pickle.loads(pickle.dumps(made)),
    ):
        assert type(again) is type(made)
        assert np.array_equal(adapter.to_numpy(again(x)), y)
        listed = parameters.list_parameters(made)
        assert parameters.list_parameters(again) == listed


@EVERY_SETUP
def test_a_copy_shares_nothing(
    framework, numbers, started, layer, config, shape
):
    made, _ = started(layer, config, shape)
    before = numbers(made)
    again = copy.deepcopy(made)
    if framework == "pytorch":
        for p in again.parameters():
            p.data.add_(1)
    else:
        from flax import nnx

        for _, p in nnx.iter_graph(again):
            if isinstance(p, nnx.Param):
                p.set_value(p[...] + 1)
    after = numbers(made)
    assert all(np.array_equal(after[n], before[n]) for n in before)


def containers(framework, made):
    """{prefix of the names: container}"""
    if framework == "pytorch":
        from torch import nn

        return {
            "0.": nn.Sequential(made),
            "1.": nn.ModuleList([nn.Identity(), made]),
            "a.": nn.ModuleDict({"a": made}),
            "0.1.": nn.Sequential(nn.ModuleList([nn.Identity(), made])),
        }
    from flax import nnx

    return {
        "layers.0.": nnx.Sequential(made),
        "0.": nnx.List([made]),
        "a.": nnx.Dict({"a": made}),
        "layers.0.layers.0.": nnx.Sequential(nnx.Sequential(made)),
    }


@EVERY_SETUP
def test_in_containers(
    framework, parameters, started, layer, config, shape
):
    made, _ = started(layer, config, shape)
    listed = parameters.list_parameters(made)
    for prefix, holder in containers(framework, made).items():
        named = {prefix + n: s for n, s in listed.items()}
        assert parameters.list_parameters(holder) == named


@EVERY_SETUP
def test_a_sequence_computes_the_same(
    framework, adapter, started, layer, config, shape
):
    made, x = started(layer, config, shape)
    held = next(iter(containers(framework, made).values()))
    y, expected = (adapter.to_numpy(one(x)) for one in (held, made))
    assert np.array_equal(y, expected)

"""A parameter without a part in a batch: its gradient is 0, in the four.

The layer has two heads and a batch uses one of them, or none: which, its
size says, since a compiled function sees shapes and no numbers.
"""

import importlib

import numpy as np
import pytest

from shared_tests.layers.setups import assign

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

SIZES = {4: "a", 2: "b", 1: None}
LR = 1 / 16


def two_heads(framework, package):
    """a of the batches of 4, b of those of 2; c of none."""

    def forward(self, x):
        name = SIZES[x.shape[0]]
        return x[:, :1] if name is None else getattr(self, name)(x)

    names, sizes = ("a", "b", "c"), (3, 1)
    if framework == "jax":
        from flax import nnx

        class Heads(nnx.Module):
            def __init__(self):
                for name in names:
                    head = package.Linear(*sizes, rngs=nnx.Rngs(0))
                    setattr(self, name, head)

            __call__ = forward

        return Heads()
    if framework == "pytorch":
        from torch.nn import Module
    if framework == "tf":
        from keras.layers import Layer as Module
    if framework == "mxnet":
        from mxnet.gluon.nn import Block as Module

    class Heads(Module):
        def __init__(self):
            super().__init__()
            for name in names:
                setattr(self, name, package.Linear(*sizes))

    setattr(Heads, "call" if framework == "tf" else "forward", forward)
    heads = Heads()
    if framework == "mxnet":
        heads.initialize()
    return heads


def batches(sizes):
    """Small whole numbers, so that a few steps are exact in float32."""
    for n in sizes:
        x = np.arange(3 * n).reshape(n, 3) % 3 - 1
        yield np.float32(x), np.float32(np.arange(n)[:, None] % 2)


@pytest.fixture
def trained(
    framework, package, adapter, parameters, numbers, first_dtype
):
    """trained(rule, sizes): the parameters before and after each step."""

    def trained(rule, sizes):
        training = importlib.import_module(f"{framework}_impl.training")
        heads = two_heads(framework, package)
        zeros = {n: 0 * p for n, p in numbers(heads).items()}
        for name, param in parameters.named_parameters(heads).items():
            assign(
                param,
                adapter.to_tensor(zeros[name], first_dtype),
            )
        steps = training.train(
            heads,
            training.squared_error,
            getattr(training, rule),
            [
                [
                    adapter.to_tensor(array, first_dtype)
                    for array in batch
                ]
                for batch in batches(sizes)
            ],
            LR,
        )
        kept = [numbers(heads)]
        for _ in steps:
            kept.append(numbers(heads))
        return kept

    return trained


def by_hand(rule, sizes):
    """The same by the formulas, in NumPy."""
    params = {
        f"{head}.{name}": np.zeros(shape)
        for head in "abc"
        for name, shape in dict(weight=(1, 3), bias=(1,)).items()
    }
    states = {n: np.zeros_like(p) for n, p in params.items()}
    for x, target in batches(sizes):
        head = SIZES[len(x)]
        grads = {n: np.zeros_like(p) for n, p in params.items()}
        if head:
            y = x @ params[f"{head}.weight"].T + params[f"{head}.bias"]
            dy = 2 * (y - target) / len(x)
            grads[f"{head}.weight"] = dy.T @ x
            grads[f"{head}.bias"] = dy.sum(axis=0)
        for name, g in grads.items():
            keep = 7 / 8 if rule == "momentum" else 0
            states[name] = keep * states[name] + g
            params[name] = params[name] - LR * states[name]
    return params


@pytest.mark.parametrize("rule", ["sgd", "momentum"])
@pytest.mark.parametrize(
    "sizes",
    [(4,), (2,), (4, 2), (2, 4, 4), (4, 1), (1,), (1, 4)],
    ids=str,
)
def test_its_gradient_is_zero(trained, rule, sizes):
    """Also after a batch that used it, and where no head is used."""
    found = trained(rule, sizes)[-1]
    want = by_hand(rule, sizes)
    assert found.keys() == want.keys()
    for name, value in want.items():
        assert (found[name] == value).all(), name


def test_adam_goes_on(trained):
    """m and v decay; b was used first, c never."""
    start, used, after = trained("adam", (2, 4))
    assert (start["b.bias"] != used["b.bias"]).all()
    assert (used["b.bias"] != after["b.bias"]).all()
    assert (after["c.weight"] == 0).all()

"""Ports that are objects: a dense layer and a batch norm in each kind."""

import numpy as np
import pytest

from shared_tests.roundoff.foreign import port as port_side

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((6, 3)).astype("f4")
DY = RNG.standard_normal((6, 4)).astype("f4")
# our names of what each kind holds
WEIGHT, BIAS, SCALE, SHIFT, MEAN, VAR = range(6)


def nnx_model():
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.dense = nnx.Linear(3, 4, rngs=rngs)
            self.norm = nnx.BatchNorm(4, rngs=rngs)

        def __call__(self, x):
            return self.norm(self.dense(x))

    return Net(nnx.Rngs(0))


def linen_model(training):
    import flax.linen as nn
    import jax

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            h = nn.Dense(4)(x)
            norm = nn.BatchNorm(not training, use_fast_variance=False)
            return norm(h)

    net = Net()
    return net, net.init(jax.random.key(0), X)


def keras_model():
    import keras

    parts = (
        keras.layers.Dense(4, name="dense"),
        (keras.layers.BatchNormalization(name="norm")),
    )
    model = keras.Sequential(parts)
    model.build(X.shape)
    return model


def gluon_model():
    import mxnet as mx
    from mxnet.gluon import nn

    mx.npx.set_np()
    model = nn.Sequential()
    model.add(nn.Dense(4, in_units=3), nn.BatchNorm(in_channels=4))
    model.initialize()
    return model


def torch_model():
    from torch import nn

    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


NAMES = {
    "torch": "0.weight 0.bias 1.weight 1.bias 1.running_mean 1.running_var",
    "nnx": "dense.kernel dense.bias norm.scale norm.bias norm.mean norm.var",
    "linen": (
        "Dense_0.kernel Dense_0.bias BatchNorm_0.scale BatchNorm_0.bias"
        " batch_stats.BatchNorm_0.mean batch_stats.BatchNorm_0.var"
    ),
    "keras": (
        "dense.kernel dense.bias norm.gamma norm.beta norm.moving_mean"
        " norm.moving_variance"
    ),
    "gluon": "0.weight 0.bias 1.gamma 1.beta 1.running_mean 1.running_var",
}
KINDS = {
    "pytorch": ("torch",),
    "jax": ("nnx", "linen"),
    "tf": ("keras",),
    "mxnet": ("gluon",),
}
MODELS = {
    "torch": torch_model,
    "nnx": nnx_model,
    "keras": keras_model,
    "gluon": gluon_model,
}
EPS = {"keras": 1e-3}


def model_of(kind, training):
    if kind == "linen":
        return linen_model(training)
    return MODELS[kind]()


@pytest.fixture
def kinds(framework):
    return KINDS[framework]


def numbers(holds):
    """Other numbers than it holds, positive where they must be."""
    rng = np.random.default_rng(1)
    return {
        name: rng.uniform(0.5, 1.5, a.shape).astype("f4")
        if a.dtype.kind == "f"
        else a
        for name, a in holds.items()
    }


def wanted(kind, params, training):
    """y in float64."""
    w, b, scale, shift, mean, var = (
        params[name].astype("f8") for name in NAMES[kind].split()
    )
    h = X.astype("f8") @ (w if w.shape[0] == 3 else w.T) + b
    if training:
        mean, var = h.mean(0), h.var(0)
    eps = EPS.get(kind, 1e-5)
    return scale * (h - mean) / np.sqrt(var + eps) + shift


@pytest.mark.parametrize("training", [False, True])
def test_numbers_of_the_check_go_in(kinds, training):
    for kind in kinds:
        model = model_of(kind, training)
        port = port_side.adopt(model, None, training, layers=True)
        names = NAMES[kind].split()
        assert set(names) <= set(port.holds)
        params = numbers(port.holds)
        request = {
            "params": params,
            "mapped": True,
            "moving": names[:MEAN],
            "inputs": {"image": X},  # no name of theirs
            "by_name": True,
            "cotangents": {"y": DY},
            "training": training,
            "precision": "float32",
        }
        answer = port_side.run(port, request)
        found = answer["results"]
        y = wanted(kind, params, training)
        np.testing.assert_allclose(found["out.y"], y, 1e-4, 1e-4)
        shift = found[f"grad.{names[SHIFT]}"]
        np.testing.assert_allclose(shift, DY.sum(0), 1e-4, 1e-4)
        assert found[f"grad.{names[WEIGHT]}"].shape == (
            params[names[WEIGHT]].shape
        )
        assert any(name.startswith("layer.") for name in found)
        moved = f"buffer.{names[MEAN]}" in found and not np.array_equal(
            found[f"buffer.{names[MEAN]}"], params[names[MEAN]]
        )
        assert moved == training
        # again, from the same numbers: the same bits
        assert not port_side.unsteady(port, request, found)


def test_names_and_shapes_that_are_not_theirs(kinds):
    for kind in kinds:
        port = port_side.adopt(model_of(kind, False), None, False)
        names = NAMES[kind].split()
        request = {
            "params": numbers(port.holds),
            "mapped": True,
            "moving": [],
            "inputs": {"x": X},
            "by_name": False,
            "cotangents": None,
            "training": False,
            "precision": "float32",
        }
        lost = request["params"].pop(names[WEIGHT])
        with pytest.raises(ValueError, match="got nothing for"):
            port_side.run(port, request)
        request["params"][names[WEIGHT]] = lost.T
        with pytest.raises(ValueError, match="expected shape"):
            port_side.run(port, request)


def test_what_is_no_port(framework):
    with pytest.raises(ValueError, match=r"port expected .* got dict"):
        port_side.adopt({}, None, False)
    if framework == "tf":
        import keras

        with pytest.raises(ValueError, match="expected built"):
            port_side.adopt(keras.layers.Dense(3), None, False)

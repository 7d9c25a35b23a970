"""What parts of a model return is recorded, in each framework."""

import numpy as np
import pytest

from shared_tests.roundoff.layerwise.calls import kind_of, record

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

# rows x and -x, so large that no bias counts: one output is negative
X = np.outer([1000, -1000], [1, 2, 3]).astype(np.float32)


def in_torch():
    import torch
    from torch import nn

    class Pair(nn.Module):
        def forward(self, x, scale):
            return x, {"half": scale / 2, "none": None}

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.act = (
                nn.Linear(3, 3),
                nn.ReLU(inplace=True),
            )
            self.blocks = nn.ModuleList(nn.Linear(3, 3) for _ in "ab")
            self.pair = Pair()

        def forward(self, x):
            x = self.act(self.first(self.first(x)))
            for block in self.blocks:
                x = block(x)
            return self.pair(x, scale=x)

    return Model(), torch.tensor(X)


def in_nnx():
    import jax.numpy as jnp
    from flax import nnx

    class Act(nnx.Module):
        def __call__(self, x):
            return nnx.relu(x)

    class Pair(nnx.Module):
        def __call__(self, x, scale):
            return x, {"half": scale / 2, "none": None}

    class Model(nnx.Module):
        def __init__(self, rngs):
            self.first, self.act = nnx.Linear(3, 3, rngs=rngs), Act()
            self.blocks = nnx.List(
                nnx.Linear(3, 3, rngs=rngs) for _ in "ab"
            )
            self.pair = Pair()

        def __call__(self, x):
            x = self.act(self.first(self.first(x)))
            for block in self.blocks:
                x = block(x)
            return self.pair(x, scale=x)

    return Model(nnx.Rngs(0)), jnp.asarray(X)


def in_linen():
    import flax.linen as nn
    import jax
    import jax.numpy as jnp

    class Act(nn.Module):
        def __call__(self, x):
            return nn.relu(x)

    class Pair(nn.Module):
        def __call__(self, x, scale):
            return x, {"half": scale / 2, "none": None}

    class Model(nn.Module):
        def setup(self):
            self.first, self.act, self.pair = nn.Dense(3), Act(), Pair()
            self.blocks = [nn.Dense(3) for _ in "ab"]

        def __call__(self, x):
            x = self.act(self.first(self.first(x)))
            for block in self.blocks:
                x = block(x)
            return self.pair(x, scale=x)

    model, x = Model(), jnp.asarray(X)
    variables = model.init(jax.random.key(0), x)
    return model, x, lambda x: model.apply(variables, x)


def in_keras():
    import keras
    import tensorflow as tf

    class Pair(keras.layers.Layer):
        def call(self, x, scale):
            return x, {"half": scale / 2}

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.first = keras.layers.Dense(3)
            self.act = keras.layers.ReLU()
            self.blocks = [keras.layers.Dense(3) for _ in "ab"]
            self.pair = Pair()

        def call(self, x):
            x = self.act(self.first(self.first(x)))
            for block in self.blocks:
                x = block(x)
            return self.pair(x, scale=x)

    model, x = Model(), tf.constant(X)
    model(x)
    return model, x


def in_gluon():
    import mxnet as mx
    from mxnet.gluon import nn

    mx.npx.set_np()

    class Pair(nn.Block):
        def forward(self, x, scale):
            return x, {"half": scale / 2}

    class Model(nn.Block):
        def __init__(self):
            super().__init__()
            self.first, self.act = nn.Dense(3), nn.Activation("relu")
            self.blocks = nn.Sequential()
            self.blocks.add(nn.Dense(3), nn.Dense(3))
            self.pair = Pair()

        def forward(self, x):
            x = self.blocks(self.act(self.first(self.first(x))))
            return self.pair(x, x)  # a Block takes no keywords

    model = Model()
    model.initialize()
    return model, mx.np.array(X)


MAKERS = {
    "pytorch": [in_torch],
    "jax": [in_nnx, in_linen],
    "tf": [in_keras],
    "mxnet": [in_gluon],
}
OUTPUTS = "first first#2 act blocks.0 blocks.1 pair.0 pair.1.half"
INPUTS = (
    "first@0 first#2@0 act@0 blocks.0@0 blocks.1@0 pair@0 pair@scale"
)


def array(tensor):
    if hasattr(tensor, "asnumpy"):
        return tensor.asnumpy()
    if hasattr(tensor, "detach"):
        return tensor.detach().numpy()
    return np.asarray(tensor)


def pytest_generate_tests(metafunc):
    if "made" in metafunc.fixturenames:
        here = metafunc.config.getoption("--framework")
        metafunc.parametrize("made", MAKERS[here], indirect=True)


@pytest.fixture
def made(request):
    """(model, x, the call of it)."""
    model, x, *call = request.param()
    return model, x, call[0] if call else model


def test_calls_are_recorded_in_the_order_in_which_they_end(made):
    model, x, call = made
    plain = call(x)
    with record(model, "layer.") as found:
        output = call(x)
    found = {
        name.replace("blocks_", "blocks.").replace(
            "pair@1", "pair@scale"
        ): array(tensor)
        for name, tensor in found.items()
        if not name.startswith(("layer.blocks@", "layer.blocks'"))
        and name != "layer.blocks"  # of Gluon, where it is a part
    }
    names = [name[6:] for name in found]
    assert [n for n in names if "@" not in n] == OUTPUTS.split()
    assert sorted(n for n in names if "@" in n) == sorted(
        INPUTS.split()
    )
    found = {name[6:]: value for name, value in found.items()}
    for before, after in (
        ("first", "first#2@0"),
        ("first#2", "act@0"),  # PyTorch's works in place
        ("act", "blocks.0@0"),
        ("blocks.1", "pair@scale"),
        ("blocks.1", "pair.0"),
    ):
        assert np.array_equal(found[before], found[after])
    assert found["first#2"].min() < 0 <= found["act"].min()
    assert np.array_equal(found["first@0"], X)
    assert np.array_equal(array(output[0]), found["pair.0"])
    assert np.array_equal(array(output[0]), array(plain[0]))


def test_nothing_is_recorded_afterwards(made):
    model, x, call = made
    with record(model) as found:
        call(x)
    names = list(found)
    call(x)
    assert list(found) == names
    with pytest.raises(ZeroDivisionError), record(model):
        raise ZeroDivisionError
    with record(model) as again:
        call(x)
    assert list(again) == names


def test_an_error_of_the_model_leaves_it_as_it_was(made):
    model, x, call = made
    with record(model), pytest.raises(Exception, match=r"."):
        call("no tensor")
    with record(model) as found:
        call(x)
    assert [n for n in found if "@" not in n and "#3" in n] == []
    plain = [n for n in found if n.startswith("first")]
    assert plain[:2] == ["first@0", "first"]


def test_other_models_are_not_recorded(made, request):
    model, x, _ = made
    makers = MAKERS[request.config.getoption("--framework")]
    other, x, *call = makers[0]()
    with record(model) as found:
        (call or [other])[0](x)
    assert found == {} or kind_of(model) == "linen"


def test_what_is_no_model_is_refused():
    with pytest.raises(ValueError, match=r"layers expected .* got int"):
        record(3)


def test_a_part_gets_what_it_is_fed(made):
    model, x, call = made
    with record(model) as before:
        call(x)
    places = {
        name.replace("blocks_", "blocks.").replace(
            "pair@1", "pair@scale"
        ): name
        for name in before
    }
    second, scale = places["blocks.1@0"], places["pair@scale"]
    ones, twos = (np.full((2, 3), n, np.float32) for n in (1, 2))
    with record(model, feed={second: ones, scale: twos}) as found:
        call(x)
    found, before = (
        {n: array(a) for n, a in some.items()}
        for some in (found, before)
    )
    assert list(found) == list(before)
    assert np.array_equal(found[second], ones)
    assert np.array_equal(found[scale], twos)
    assert np.array_equal(found[places["pair.1.half"]], twos / 2)
    # the one before it is as it was, the one that was fed is not
    for part, same in (("blocks.0", True), ("blocks.1", False)):
        name = places[part]
        assert np.array_equal(found[name], before[name]) == same
    # and what it returns goes on
    name = places["pair@0"]
    assert np.array_equal(found[name], found[places["blocks.1"]])

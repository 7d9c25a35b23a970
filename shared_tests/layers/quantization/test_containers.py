"""prepare, set_mode and convert reach every container, nested too.

What comes out is compared with what the same layers gave before: in
"observe" nothing changes, and the converted model is the frozen one.
"""

import numpy as np
import pytest

from shared_tests.real_data.quantized_digits import to_array

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

X = np.linspace(-1, 2, 12, dtype=np.float32).reshape(4, 3)


def torch_holders():
    from torch import nn

    from pytorch_impl import MLP, Linear

    class Held(nn.Module):
        def __init__(self):
            super().__init__()
            one = nn.ModuleDict({"a": Linear(3, 3), "b": MLP(3, 4, 3)})
            self.held = nn.ModuleList(
                [one, nn.Sequential(Linear(3, 2))]
            )

        def forward(self, x):
            one, two = self.held
            return two(one["b"](one["a"](x)))

    layers = nn.Sequential(Linear(3, 3), nn.Sequential(MLP(3, 4, 2)))
    return dict(
        sequential=(layers, ["0", "1.0.layer1", "1.0.layer2"]),
        nested=(
            Held(),
            "held.0.a held.0.b.layer1 held.0.b.layer2 held.1.0".split(),
        ),
    )


def jax_holders():
    from flax import nnx

    from jax_impl import MLP, Linear

    rngs = nnx.Rngs(0)

    class Held(nnx.Module):
        def __init__(self, make, pack):
            a, b = Linear(3, 3, rngs=rngs), MLP(3, 4, 3, rngs=rngs)
            one = pack([make(a=a, b=b)])
            two = pack([Linear(3, 2, rngs=rngs)])
            self.held = nnx.data(one) if pack is not nnx.List else one
            self.last = nnx.data(two) if pack is not nnx.List else two
            self.first = a

        def __call__(self, x):
            one, two = self.held[0], self.last[0]
            return two(one["b"](one["a"](self.first(x))))

    names = ["held.0.a", "held.0.b.layer1", "held.0.b.layer2"]
    names += ["last.0", "first"]
    one, two = Linear(3, 3, rngs=rngs), MLP(3, 4, 2, rngs=rngs)
    layers = nnx.Sequential(one, nnx.Sequential(two))
    below = "layers.1.layers.0"
    return dict(
        sequential=(
            layers,
            ["layers.0", f"{below}.layer1", f"{below}.layer2"],
        ),
        nnx=(Held(nnx.Dict, nnx.List), names),
        lists=(Held(dict, list), names),
        tuples=(Held(dict, tuple), names),
    )


def tf_holders():
    import keras

    from tf_impl import MLP, Linear

    class Held(keras.layers.Layer):
        def __init__(self, pack):
            super().__init__()
            a, b = Linear(3, 3), MLP(3, 4, 3)
            self.held = pack([dict(a=a, b=b), pack([Linear(3, 2)])])
            self._first = a

        def call(self, x):
            one, two = self.held
            return two[0](one["b"](one["a"](self._first(x))))

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.one, self.held = Linear(3, 3), Held(tuple)

        def call(self, x):
            return self.held(self.one(x))

    class Graph(keras.Model):
        """Functional, with a layer under a name of its own as well."""

        def __init__(self):
            x = keras.Input((3,))
            first = Linear(3, 2)
            super().__init__(x, first(x))
            self.first = first

    def branches():
        x = keras.Input((3,))
        one, two = Linear(3, 3), MLP(3, 4, 3)
        a = one(x)
        both = keras.layers.Add()([two(a), one(a)])
        inner = keras.Sequential([keras.Input((3,)), Linear(3, 2)])
        y = keras.Input((3,))
        nested = keras.Model(y, Held(list)(y))
        return keras.Model(x, [inner(both), nested(both)])

    held = ["held.0.a", "held.0.b.layer1", "held.0.b.layer2"]
    held += ["held.1.0", "_first"]
    layers = keras.Sequential([Linear(3, 3), MLP(3, 4, 2)])
    known = keras.Sequential([keras.Input((3,)), Linear(3, 3)])
    known.add(keras.Sequential([MLP(3, 4, 2)]))
    return dict(
        sequential=(layers, ["0", "1.layer1", "1.layer2"]),
        built=(known, ["0", "1.0.layer1", "1.0.layer2"]),
        lists=(Held(list), held),
        tuples=(Held(tuple), held),
        subclassed=(
            Subclassed(),
            ["one", *(f"held.{n}" for n in held)],
        ),
        graph=(Graph(), ["1", "first"]),
        branches=(
            branches(),
            ["1", "2.layer1", "2.layer2", "4.0"]
            + [f"5.1.{n}" for n in held],
        ),
    )


def mxnet_holders():
    from mxnet.gluon import nn

    from mxnet_impl import MLP, Linear

    class Held(nn.Block):
        def __init__(self, pack):
            super().__init__()
            a, b = Linear(3, 3), MLP(3, 4, 3)
            self.held = pack([dict(a=a, b=b), pack([Linear(3, 2)])])
            self.first = a
            self.register_child(b)
            self.register_child(self.held[1][0])

        def forward(self, x):
            one, two = self.held
            return two[0](one["b"](one["a"](self.first(x))))

    layers, inner = nn.Sequential(), nn.Sequential()
    inner.add(MLP(3, 4, 2))
    layers.add(Linear(3, 3), inner)
    held = ["first", "1.layer1", "1.layer2", "2", "held.0.a"]
    held += ["held.0.b.layer1", "held.0.b.layer2", "held.1.0"]
    return dict(
        sequential=(layers, ["0", "1.0.layer1", "1.0.layer2"]),
        lists=(Held(list), held),
        tuples=(Held(tuple), held),
    )


HOLDERS = dict(
    pytorch=torch_holders,
    jax=jax_holders,
    tf=tf_holders,
    mxnet=mxnet_holders,
)


@pytest.fixture
def x(framework, tensor):
    """The JAX adapter turns float64 on: layers start in it."""
    return tensor(X, "float64" if framework == "jax" else "float32")


def seed(framework):
    """A layer whose outputs are all below 0 ends in zeros: not by chance.
    JAX has its own in Rngs."""
    if framework == "pytorch":
        import torch

        torch.manual_seed(0)
    elif framework == "tf":
        import keras

        keras.utils.set_random_seed(0)
    elif framework == "mxnet":
        import mxnet

        mxnet.random.seed(0)


@pytest.fixture
def holders(framework):
    seed(framework)
    every = HOLDERS[framework]()
    for model, _ in every.values():
        if framework == "mxnet":
            model.initialize()
    return every


@pytest.fixture
def y_of(adapter, x):
    def y_of(model):
        y = model(x)
        y = y if isinstance(y, list) else [y]
        return np.concatenate([to_array(adapter, a) for a in y])

    return y_of


def test_every_container(page, holders, y_of, x):
    prepare, find = page("prepare"), page("places").find
    QAT = page("qat_linear").QATLinear
    Float = page("linear").Linear
    Int8 = page("int8_linear").Int8Linear
    for kind, (model, names) in holders.items():
        y, layers = y_of(model), find(model, Float)
        assert sorted(layers) == sorted(names), kind
        assert prepare.prepare(model, {"*": {}}) is model
        twins = find(model, QAT)
        assert sorted(twins) == sorted(names), kind
        for name, twin in twins.items():  # once for each layer
            assert twin.weight is layers[name].weight
        pairs = {(id(layers[n]), id(twins[n])) for n in names}
        assert len(pairs) == len({a for a, _ in pairs})
        assert not find(model, Float), kind
        prepare.set_mode(model, "observe")
        assert {twin.mode for twin in twins.values()} == {"observe"}
        assert np.array_equal(y_of(model), y), kind
        prepare.set_mode(model, "frozen")
        frozen = y_of(model)
        assert not np.array_equal(frozen, y), kind
        assert page("convert").convert(model) is model
        assert sorted(find(model, Int8)) == sorted(names), kind
        assert not find(model, QAT), kind
        assert np.array_equal(y_of(model), frozen), kind


def test_parameters_of_every_container(parameters, page, holders, y_of):
    """Of the float model, and of the prepared one, which moves."""
    learned = dict(weight_quantizer="lsq", input_quantizer="lsq")
    for kind, (model, _) in holders.items():
        y_of(model)
        before = parameters.list_parameters(model)
        found = page("places").find(model, page("linear").Linear)
        count = len({id(layer) for layer in found.values()})
        assert len(before) == 2 * count, kind
        page("prepare").prepare(model, {"*": learned})
        after = parameters.list_parameters(model)
        assert len(after) == 4 * count, kind


@pytest.mark.parametrize("many", [[], (), {}])
def test_a_bare_container(framework, start, page, x, many):
    """Without a model around it; a tuple comes back anew."""
    layer = start("Linear", dict(in_features=3, out_features=2))
    held = {"a": layer} if many == {} else type(many)([layer])
    prepare = page("prepare")
    if framework == "pytorch":  # lists are no modules, and hold none
        with pytest.raises(ValueError, match="fits a Linear, got"):
            prepare.prepare([held, "no layer"], {"*": {}})
        return
    QAT = page("qat_linear").QATLinear
    new = prepare.prepare([held, "no layer"], {"*": {}})[0]
    assert (new is held) == (many != ())
    (twin,) = new.values() if many == {} else new
    assert isinstance(twin, QAT)
    prepare.set_mode(new, "observe")
    assert twin.mode == "observe"


def test_a_holder_that_its_layer_knows(start, page):
    """No endless search."""
    model = start(
        "MLP", dict(input_size=3, hidden_size=4, output_size=3)
    )
    find, Linear = page("places").find, page("linear").Linear
    holder = [model]
    holder.append(holder)
    assert list(find(holder, Linear)) in (
        ["0.layer1", "0.layer2"],
        [],  # PyTorch: a list holds nothing
    )


def test_a_place_that_is_not_there(start, page):
    model = start(
        "MLP", dict(input_size=3, hidden_size=4, output_size=3)
    )
    replace = page("places").replace
    with pytest.raises(ValueError, match=r"layer1, .*got 'layer3'"):
        replace(model, "layer3", model.layer1)
    with pytest.raises(ValueError, match=r"got 'weights'"):
        replace(model, "layer1.weights", model.layer1)

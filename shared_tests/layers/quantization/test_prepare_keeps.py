"""prepare and convert lose nothing that a user attached to a layer.

What can go on in the twin does: the parameters themselves, frozen or
shared, flags, names, dtype, device. For all else there is an error
before anything is changed, which says what it is and of which layer.
"""

import numpy as np
import pytest

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

SIZES = dict(input_size=3, hidden_size=3, output_size=3)
X = np.linspace(-1, 2, 12, dtype=np.float32).reshape(4, 3)
LEARNED = dict(weight_quantizer="lsq", input_quantizer="lsq")
CALL = dict(pytorch="forward", jax="__call__", tf="call")


@pytest.fixture
def model(start):
    return start("MLP", SIZES)


@pytest.fixture
def x(framework, tensor):
    """The JAX adapter turns float64 on: layers start in it."""
    return tensor(X, "float64" if framework == "jax" else "float32")


@pytest.fixture
def kinds(page):
    """kinds(model): {name: class} of the linear layers in it."""
    names = dict(linear="Linear", qat_linear="QATLinear")
    names |= dict(int8_linear="Int8Linear")

    def kinds(model):
        three = tuple(getattr(page(p), n) for p, n in names.items())
        found = page("places").find(model, three)
        return {n: type(layer).__name__ for n, layer in found.items()}

    return kinds


@pytest.fixture
def subclass(framework, package):
    """subclass(kind, depth): with a forward of its own, 10 more."""

    def subclass(kind, depth=1):
        plain, call = getattr(package, kind), CALL.get(framework)
        call = call or "forward"

        def forward(self, x):
            return getattr(plain, call)(self, x) + 10

        made = plain
        for _ in range(depth):
            made = type(f"My{kind}", (made,), {call: forward})
        return made

    return subclass


@pytest.fixture
def made(framework):
    """made(kind, ...): started."""

    def made(kind, *args, **options):
        if framework == "jax":
            from flax import nnx

            options["rngs"] = nnx.Rngs(0)
        layer = kind(*args, **options)
        if framework == "mxnet":
            layer.initialize()
        return layer

    return made


def torch_ways():
    import torch
    from torch import nn
    from torch.nn.utils import parametrizations, parametrize, prune

    def parametrization(layer):
        parametrize.register_parametrization(
            layer, "weight", nn.Identity()
        )

    def compiled(layer):
        layer.compile()

    def nothing(*args, **kwargs):
        pass

    ways = {
        name: lambda layer, name=name: getattr(layer, name)(nothing)
        for name in """register_forward_hook register_forward_pre_hook
        register_full_backward_hook register_full_backward_pre_hook
        register_state_dict_pre_hook _register_state_dict_hook
        register_state_dict_post_hook
        register_load_state_dict_pre_hook
        register_load_state_dict_post_hook""".split()
    }

    def last(layer):
        layer.last = 7

    def forward(layer):
        layer.forward = lambda x: x

    def frozen_buffer(layer):
        layer.register_buffer("mask", torch.ones(3))

    def parameter(layer):
        layer.gain = nn.Parameter(torch.ones(3))

    def inside(layer):
        layer.dropout = nn.Dropout(0.5)

    return ways | {
        "parametrization": parametrization,
        "weight_norm": parametrizations.weight_norm,
        "old_weight_norm": nn.utils.weight_norm,
        "pruned": lambda a: prune.l1_unstructured(a, "weight", 0.5),
        "compiled": compiled,
        "last": last,
        "forward": forward,
        "buffer": frozen_buffer,
        "parameter": parameter,
        "inside": inside,
    }


def jax_ways():
    import jax.numpy as jnp
    from flax import nnx

    def last(layer):
        layer.last = 7

    def variable(layer):
        layer.mask = nnx.Variable(jnp.ones(3))

    def inside(layer):
        layer.dropout = nnx.Dropout(0.5)

    def sown(layer):
        layer.sow(nnx.Intermediate, "seen", jnp.ones(3))

    return dict(last=last, variable=variable, inside=inside, sown=sown)


def tf_ways():
    import keras

    def last(layer):
        layer.last = 7

    def call(layer):
        layer.call = lambda x: x

    def attribute(layer):
        layer.mask = layer.add_weight((3,), "ones", trainable=False)

    def weight(layer):
        layer.add_weight((3,), "ones", name="gain")

    def inside(layer):
        layer.dropout = keras.layers.Dropout(0.5)

    def activity(layer):
        layer.activity_regularizer = keras.regularizers.L2(0.1)

    def spec(layer):
        layer.input_spec = keras.InputSpec(ndim=2)

    def masking(layer):
        layer.supports_masking = True

    return dict(
        last=last,
        call=call,
        attribute=attribute,
        weight=weight,
        inside=inside,
        activity=activity,
        spec=spec,
        masking=masking,
    )


def mxnet_ways():
    from mxnet.gluon import nn

    def nothing(*args):
        pass

    def last(layer):
        layer.last = 7

    def forward(layer):
        layer.forward = lambda x: x

    def parameter(layer):
        layer.gain = layer.params.get("gain", shape=(3,))

    def unnamed(layer):
        layer.params.get("gain", shape=(3,))

    def inside(layer):
        layer.dropout = nn.Dropout(0.5)

    def child(layer):
        layer.register_child(nn.Dropout(0.5))

    return dict(
        register_forward_hook=lambda a: a.register_forward_hook(
            nothing
        ),
        register_forward_pre_hook=lambda a: a.register_forward_pre_hook(
            nothing
        ),
        last=last,
        forward=forward,
        parameter=parameter,
        unnamed=unnamed,
        inside=inside,
        child=child,
    )


WAYS = dict(
    pytorch=torch_ways, jax=jax_ways, tf=tf_ways, mxnet=mxnet_ways
)


def refused(words, change, *args):
    with pytest.raises(ValueError) as error:
        change(*args)
    assert [w for w in words if w not in str(error.value)] == []


@pytest.mark.parametrize("depth", [1, 2])
def test_a_subclass_keeps_its_forward(
    model, kinds, subclass, made, page, x, array, depth
):
    prepare, places = page("prepare"), page("places")
    mine = made(subclass("Linear", depth), 3, 3)
    places.replace(model, "layer1", mine)
    y, before = array(model(x)), kinds(model)
    words = "layer1", "a plain Linear", "class MyLinear", "None"
    refused(words, prepare.prepare, model, {"*": {}})
    assert kinds(model) == before
    prepare.prepare(model, {"*": {}, "layer1": None})
    wanted = dict(layer1="MyLinear", layer2="QATLinear")
    assert kinds(model) == wanted
    prepare.set_mode(model, "observe")
    assert np.array_equal(array(model(x)), y)


def test_a_subclass_that_holds_layers_is_not_replaced(
    kinds, subclass, made, page, x, array
):
    """Its own forward goes on; the layers in it are."""
    mine = made(subclass("MLP"), **SIZES)
    y = array(mine(x))
    assert page("prepare").prepare(mine, {"*": {}}) is mine
    assert set(kinds(mine).values()) == {"QATLinear"}
    page("prepare").set_mode(mine, "observe")
    assert np.array_equal(array(mine(x)), y)


def test_a_subclass_of_the_prepared_layer(
    model, kinds, subclass, made, page, x
):
    prepare, places = page("prepare"), page("places")
    prepare.prepare(model, {"*": {}})
    mine = made(subclass("QATLinear"), 3, 3)
    places.replace(model, "layer2", mine)
    prepare.set_mode(model, "observe")(x)
    before = kinds(model)
    words = "layer2", "a plain QATLinear", "class MyQATLinear"
    refused(words, page("convert").convert, model)
    assert kinds(model) == before


@pytest.mark.parametrize("after", [False, True])
def test_nothing_attached_is_lost(
    framework, start, kinds, page, x, after
):
    """Nor is anything changed where there is an error."""
    prepare, convert = page("prepare").prepare, page("convert").convert
    for name, way in WAYS[framework]().items():
        model = start("MLP", SIZES)
        if after:
            prepare(model, {"*": {}})
            page("prepare").set_mode(model, "observe")(x)
            page("prepare").set_mode(model, "quantize")
        way(model.layer2)
        before = kinds(model)
        if after:
            refused(["layer2", "QATLinear"], convert, model)
            assert model.layer1.mode == "quantize"
        else:
            refused(["layer2", "None"], prepare, model, {"*": {}})
        assert kinds(model) == before, name
        if not after:
            prepare(model, {"*": {}, "layer2": None})


def test_a_hook_inside_a_prepared_layer(framework, model, page, x):
    """On a quantizer, or on its observer."""
    prepare = page("prepare")
    prepare.prepare(model, {"*": {}})
    prepare.set_mode(model, "observe")(x)
    inside = model.layer2.input_quantizer.observer
    if framework not in ("pytorch", "mxnet"):
        assert not hasattr(inside, "register_forward_hook")
        page("convert").convert(model)
        return
    handle = inside.register_forward_hook(print)
    words = "layer2", "_forward_hooks"
    refused(words, page("convert").convert, model)
    if framework == "mxnet":
        handle.detach()
    else:
        handle.remove()
    page("convert").convert(model)


def test_options_that_do_not_fit_change_nothing(model, kinds, page):
    config = {"*": {}, "layer2": dict(weight_bits=1)}
    before = kinds(model)
    with pytest.raises(ValueError, match="bits expected"):
        page("prepare").prepare(model, config)
    assert kinds(model) == before


@pytest.mark.parametrize("frozen", ["layer1.weight", "layer2.bias"])
def test_parameters_are_handed_on(
    framework, model, parameters, page, frozen
):
    """The very ones, frozen or not: an optimizer that holds them, and
    layers outside the model that share them, go on."""
    parameters.freeze(model, frozen)
    before = parameters.named_parameters(model)
    page("prepare").prepare(model, {"*": LEARNED})
    after = parameters.named_parameters(model)
    assert len(after) == len(before) + 4
    assert [n for n in after if n in before] == list(before)
    assert all(after[n] is p for n, p in before.items())
    own = list(parameters.named_parameters(model.layer1))[:2]
    assert own == ["weight", "bias"]
    if framework == "tf":
        named = [(v.name, v.trainable) for v in model.layer1.variables]
        assert [n for n, _ in named][:2] == ["weight", "bias"]
        moves = {id(v) for v in model.trainable_variables}
        assert (id(before[frozen]) in moves) is False
        assert len(moves) == len(after) - 1
    if framework == "mxnet":
        every = set(model.collect_params().values())
        assert every >= set(after.values())
        rest = every - set(after.values())
        assert {p.name.split("_")[-1] for p in rest} == {"place"}


def test_a_shared_weight_stays_shared(
    start, parameters, page, x, array
):
    prepare, convert = page("prepare"), page("convert").convert
    model = start("TiedMLP", dict(features=3))
    listed = parameters.list_parameters(model)
    y = array(model(x))
    prepare.prepare(model, {"*": dict(weight_bits=4), "layer2": {}})
    assert model.layer1.weight is model.layer2.weight
    assert parameters.list_parameters(model) == listed
    assert np.array_equal(
        array(prepare.set_mode(model, "observe")(x)), y
    )
    y = array(prepare.set_mode(model, "frozen")(x))
    assert np.array_equal(array(convert(model)(x)), y)
    codes = [
        np.abs(array(a.weight)) for a in (model.layer1, model.layer2)
    ]
    assert codes[0].max() == 7 and codes[1].max() == 127


@pytest.mark.parametrize("pattern", ["*", "layer1", "layer2"])
def test_one_layer_under_two_names(
    model, kinds, parameters, page, x, array, pattern
):
    prepare, convert = page("prepare"), page("convert").convert
    model.layer2 = model.layer1
    y = array(model(x))
    assert prepare.prepare(model, {pattern: LEARNED}) is model
    twin = model.layer1
    assert twin is model.layer2
    assert kinds(model) == dict.fromkeys(kinds(model), "QATLinear")
    assert list(kinds(model)) == ["layer1", "layer2"]
    assert np.array_equal(
        array(prepare.set_mode(model, "observe")(x)), y
    )
    y = array(prepare.set_mode(model, "frozen")(x))
    assert len(parameters.list_parameters(model)) == 4
    assert convert(model) is model
    assert model.layer1 is model.layer2 is not twin
    assert list(kinds(model).values()) == ["Int8Linear"] * 2
    assert np.array_equal(array(model(x)), y)


@pytest.mark.parametrize(
    "config",
    [
        {"*": {}, "layer2": None},
        {"layer2": dict(weight_bits=4), "layer1": {}},
    ],
)
def test_two_names_that_disagree(model, kinds, page, config):
    model.layer2 = model.layer1
    words = "layer1", "layer2", "the same layer"
    refused(words, page("prepare").prepare, model, config)
    assert list(kinds(model).values()) == ["Linear"] * 2


def test_a_model_that_is_one_layer(start, page, subclass, made):
    mine, words = made(subclass("Linear"), 3, 2), ["the model", "class"]
    refused(words, page("prepare").prepare, mine, {"*": {}})
    layer = start("Linear", dict(in_features=3, out_features=2))
    twin = page("prepare").prepare(layer, {"*": {}})
    assert twin.weight is layer.weight and twin.bias is layer.bias


def test_flags_names_and_places_go_on(framework, model, page, x):
    """Through prepare and convert."""
    prepare, convert = page("prepare"), page("convert").convert
    layer, found = model.layer2, []
    if framework == "pytorch":
        model.eval()
    if framework == "tf":
        layer.trainable = False
    name = getattr(layer, "name", None)
    prepare.prepare(model, {"*": {}})
    found.append(model.layer2)
    prepare.set_mode(model, "observe")(x)
    found.append(convert(model).layer2)
    for twin in found:
        assert getattr(twin, "name", None) == name
        assert getattr(twin, "prefix", None) == getattr(
            layer, "prefix", None
        )
        assert getattr(twin, "trainable", True) == (framework != "tf")
        assert getattr(twin, "training", False) is False
    if framework == "pytorch":
        model.train()
        assert all(part.training for part in model.modules())


def test_dtype_and_device(framework, start, page, x, adapter):
    if framework == "pytorch":
        layer = start("Linear", dict(in_features=3, out_features=2))
        twin = page("prepare").prepare(layer.to("meta"), {"*": {}})
        every = [*twin.parameters(), *twin.buffers()]
        assert {a.device.type for a in every} == {"meta"}
    if framework == "mxnet":
        import mxnet

        here = mxnet.cpu(1)
        layer = page("linear").Linear(3, 2)
        layer.initialize(ctx=here)
        twin = page("prepare").prepare(layer, {"*": {}})
        held = twin.collect_params().values()
        assert {p.list_ctx()[0] for p in held} == {here}
        x = x.as_in_context(here)
        page("prepare").set_mode(twin, "observe")(x)
        y = page("prepare").set_mode(twin, "frozen")(x)
        whole = page("convert").convert(twin)
        assert whole(x).ctx == here
        assert (whole(x) == y).all()

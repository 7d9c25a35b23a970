"""Parameters: the same names in all four; shared, frozen, copied."""

import numpy as np
import pytest

from shared_tests.cases import CASES
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.verdict import judge

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

LINEAR = dict(in_features=7, out_features=3)
MLP = dict(input_size=7, hidden_size=11, output_size=3)
ATTENTION = {
    "qkv.weight": (36, 12),
    "qkv.bias": (36,),
    "out.weight": (12, 12),
    "out.bias": (12,),
}
BLOCK = {
    "norm1.weight": (12,),
    **{f"attention.{n}": s for n, s in ATTENTION.items()},
    "norm2.weight": (12,),
    "mlp.layer1.weight": (48, 12),
    "mlp.layer1.bias": (48,),
    "mlp.layer2.weight": (12, 48),
    "mlp.layer2.bias": (12,),
}
# the checkpoint format: names and shapes, in order of construction
NAMES = [
    ("CenteredLayer", {}, {}),
    ("Linear", LINEAR, {"weight": (3, 7), "bias": (3,)}),
    ("Linear", LINEAR | dict(bias=False), {"weight": (3, 7)}),
    ("LinearReLU", LINEAR, {"weight": (3, 7), "bias": (3,)}),
    ("ScaledReLU", {}, {}),
    (
        "MLP",
        MLP,
        {
            "layer1.weight": (11, 7),
            "layer1.bias": (11,),
            "layer2.weight": (3, 11),
            "layer2.bias": (3,),
        },
    ),
    (
        "TiedMLP",
        dict(features=7),
        {
            "layer1.weight": (7, 7),
            "layer1.bias": (7,),
            "layer2.bias": (7,),
        },
    ),
    ("TensorReduction", LINEAR, {"weight": (7, 7, 3)}),
    ("HalfSpectrum", {}, {}),
    ("RMSNorm", dict(dim=7), {"weight": (7,)}),
    (
        "StandardizedConv2d",
        dict(in_channels=2, out_channels=5, kernel_size=3),
        {"weight": (5, 2, 3, 3), "bias": (5,)},
    ),
    ("WeightedSum", dict(in_features=7), {"weight": (7,)}),
    ("PACT", {}, {"alpha": ()}),
    ("LSQ", {}, {"step": ()}),
    ("LSQ", dict(axis=0, num_channels=3), {"step": (3,)}),
    ("LSQPlus", {}, {"step": (), "offset": ()}),
    ("ManualLinear", LINEAR, {"weight": (3, 7), "bias": (3,)}),
    (
        "MultiHeadAttention",
        dict(embed_dim=12, num_heads=6, num_kv_heads=2),
        ATTENTION | {"qkv.weight": (20, 12), "qkv.bias": (20,)},
    ),
    (
        "MultiHeadAttention",
        dict(embed_dim=12, num_heads=3, bias=False, out_proj=False),
        {"qkv.weight": (36, 12)},
    ),
    ("QATLinear", LINEAR, {"weight": (3, 7), "bias": (3,)}),
    (
        "QATLinear",
        LINEAR | dict(weight_quantizer="lsq", input_quantizer="pact"),
        {
            "weight": (3, 7),
            "bias": (3,),
            "weight_quantizer.step": (3,),
            "input_quantizer.alpha": (),
        },
    ),
    (
        "EmbeddingBag",
        dict(num_embeddings=11, embedding_dim=3),
        {"weight": (11, 3)},
    ),
    (
        "TextClassifier",
        dict(num_embeddings=11, embedding_dim=3, num_classes=4),
        {
            "bag.weight": (11, 3),
            "linear.weight": (4, 3),
            "linear.bias": (4,),
        },
    ),
    (
        "TransformerClassifier",
        dict(
            input_dim=5,
            embed_dim=12,
            num_heads=3,
            num_layers=2,
            num_classes=4,
        ),
        {"embed.weight": (12, 5), "embed.bias": (12,)}
        | {f"blocks.0.{n}": s for n, s in BLOCK.items()}
        | {f"blocks.1.{n}": s for n, s in BLOCK.items()}
        | {"norm.weight": (12,)}
        | {"head.weight": (4, 12), "head.bias": (4,)},
    ),
]


@pytest.mark.parametrize("layer, config, expected", NAMES)
def test_names_and_shapes(parameters, start, layer, config, expected):
    found = parameters.list_parameters(start(layer, config))
    assert list(found.items()) == list(expected.items())


def test_a_prepared_layer_keeps_its_names(adapter):
    """Each of its Linears, with the parameters of two quantizers."""
    config = dict(embed_dim=12, num_heads=6, num_kv_heads=2, bias=False)
    config |= dict(input_quantizer="pact", weight_quantizer="lsq")
    assert adapter.shapes("QATMultiHeadAttention", config) == {
        "qkv.weight": (20, 12),
        "qkv.weight_quantizer.step": (20,),
        "qkv.input_quantizer.alpha": (),
        "out.weight": (12, 12),
        "out.weight_quantizer.step": (12,),
        "out.input_quantizer.alpha": (),
    }


def test_every_layer_has_a_row(package):
    layers = {n for n in package.__all__ if n[0].isupper()}
    assert layers == {layer for layer, _, _ in NAMES}


def test_the_tied_gradient_is_the_sum_of_both_uses(adapter):
    """All numbers are small integers, so that every sum is exact."""
    rng = np.random.default_rng(20261121)

    def draw(*shape):
        return rng.integers(-4, 5, shape).astype(np.float64)

    x, weight, one, two, g = (
        draw(*s) for s in ((5, 7), (7, 7), (7,), (7,), (5, 7))
    )
    names = ("layer1.weight", "layer1.bias", "layer2.bias")
    tied = computed(
        adapter, "TiedMLP", dict(zip(names, (weight, one, two))), x, g
    )
    first = dict(weight=weight, bias=one)
    second = dict(weight=weight, bias=two)
    h = computed(adapter, "Linear", first, x, g)["out.y"]
    above = computed(adapter, "Linear", second, np.maximum(h, 0), g)
    below = computed(
        adapter, "Linear", first, x, np.where(h > 0, above["grad.x"], 0)
    )
    assert np.any(above["grad.weight"]) and np.any(below["grad.weight"])
    expected = {
        "out.y": above["out.y"],
        "grad.x": below["grad.x"],
        "grad.layer1.weight": below["grad.weight"]
        + above["grad.weight"],
        "grad.layer1.bias": below["grad.bias"],
        "grad.layer2.bias": above["grad.bias"],
    }
    assert tied.keys() == expected.keys()
    for name, value in expected.items():
        assert np.array_equal(tied[name], value), name


def computed(adapter, layer, params, x, g):
    square = dict(in_features=7, out_features=7)
    config = square if layer == "Linear" else dict(features=7)
    built = adapter.build(layer, config, params, "float64")
    return adapter.run(built, {"x": x}, {"y": g})


def torch_step(layer, x):
    import torch

    (layer(x) ** 2).sum().backward()
    torch.optim.SGD(layer.parameters(), lr=0.125).step()
    moving = dict(layer.named_parameters()).items()
    return {n for n, p in moving if p.grad is not None}


def jax_step(layer, x):
    import optax
    from flax import nnx

    optimizer = nnx.Optimizer(layer, optax.sgd(0.125), wrt=nnx.Param)
    grads = nnx.grad(lambda layer: (layer(x) ** 2).sum())(layer)
    optimizer.update(layer, grads)
    return {".".join(path) for path, _ in nnx.to_flat_state(grads)}


def tf_step(layer, x):
    import tensorflow as tf

    from tf_impl.parameters import named_parameters

    moving = layer.trainable_variables
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) ** 2)
    grads = tape.gradient(loss, moving)
    optimizer = tf.keras.optimizers.SGD(0.125)
    optimizer.apply_gradients(zip(grads, moving))
    assert all(grad is not None for grad in grads)
    found = {id(v) for v in moving}
    named = named_parameters(layer).items()
    return {n for n, p in named if id(p) in found}


def mxnet_step(layer, x):
    from mxnet import autograd, gluon

    from mxnet_impl.parameters import named_parameters

    with autograd.record():
        loss = (layer(x) ** 2).sum()
    loss.backward()
    every = layer.collect_params()
    gluon.Trainer(every, "sgd", {"learning_rate": 0.125}).step(1)
    moving = {p.name for p in every.values() if p.grad_req != "null"}
    for name in moving:
        assert every[name].grad().asnumpy().any()
    named = named_parameters(layer).items()
    return {n for n, p in named if p.name in moving}


# one step of SGD, as a reader of that framework would write it; returns
# the names of the parameters for which there is a gradient
STEP = {
    "pytorch": torch_step,
    "jax": jax_step,
    "tf": tf_step,
    "mxnet": mxnet_step,
}


@pytest.mark.parametrize(
    "frozen", [None, "layer1.weight", "layer1.bias", "layer2.bias"]
)
@pytest.mark.parametrize("layer", ["MLP", "TiedMLP"])
def test_training_leaves_what_is_frozen_alone(
    framework,
    adapter,
    parameters,
    start,
    numbers,
    first_dtype,
    layer,
    frozen,
):
    made = start(layer, MLP if layer == "MLP" else dict(features=7))
    listed = parameters.list_parameters(made)
    before = numbers(made)
    if frozen:
        parameters.freeze(made, frozen)
    x = np.random.default_rng(0).standard_normal((5, 7))
    x = adapter.to_tensor(x, first_dtype)
    moved = STEP[framework](made, x)
    after = numbers(made)
    changed = {n for n in after if (after[n] != before[n]).any()}
    assert moved == changed == set(before) - {frozen}
    assert parameters.list_parameters(made) == listed


@pytest.mark.parametrize("layer", ["MLP", "TiedMLP"])
def test_freezing_changes_no_other_gradient(
    framework, adapter, parameters, start, numbers, first_dtype, layer
):
    config = MLP if layer == "MLP" else dict(features=7)
    x = np.random.default_rng(0).standard_normal((5, 7))
    free, held = start(layer, config), start(layer, config)
    parameters.freeze(held, "layer1.weight")
    for made in (free, held):
        STEP[framework](made, adapter.to_tensor(x, first_dtype))
    free, held = numbers(free), numbers(held)
    for name in set(free) - {"layer1.weight"}:
        assert np.array_equal(free[name], held[name]), name


def test_freezing_an_unknown_name(parameters, start):
    words = (
        "freeze: name expected one of layer1.weight, .*layer2.bias, "
        "got 'layer2.weight'"
    )
    with pytest.raises(ValueError, match=words):
        parameters.freeze(
            start("TiedMLP", dict(features=7)), "layer2.weight"
        )


# our weight and bias in the framework's own dense layer
def torch_dense(weight, bias, x):
    import torch

    dense = torch.nn.Linear(7, 3)
    with torch.no_grad():
        dense.weight.copy_(weight)
        dense.bias.copy_(bias)
    return dense(x)


def flax_dense(weight, bias, x):
    from flax import nnx

    dense = nnx.Linear(7, 3, rngs=nnx.Rngs(0))
    dense.kernel.set_value(weight.T)
    dense.bias.set_value(bias)
    return dense(x)


def keras_dense(weight, bias, x):
    import tensorflow as tf

    dense = tf.keras.layers.Dense(3)
    dense.build((None, 7))
    dense.kernel.assign(tf.transpose(weight))
    dense.bias.assign(bias)
    return dense(x)


def gluon_dense(weight, bias, x):
    from mxnet.gluon import nn

    dense = nn.Dense(3, in_units=7, flatten=False)
    dense.initialize()
    dense.weight.set_data(weight)
    dense.bias.set_data(bias)
    return dense(x)


DENSE = {
    "pytorch": torch_dense,
    "jax": flax_dense,
    "tf": keras_dense,
    "mxnet": gluon_dense,
}


@pytest.mark.parametrize(
    "case", ["Linear-basic", "Linear-leading_axes"]
)
def test_our_weight_in_the_built_in_layer(framework, adapter, case):
    """docs/parameters.md says which of them want it transposed."""
    case = next(c for c in CASES if c.id == case)
    fixture = read_fixture(case, read_manifest())
    weight, bias, x = (
        adapter.to_tensor(fixture[key], "float32")
        for key in ("param.weight", "param.bias", "in.x")
    )
    y = adapter.to_numpy(DENSE[framework](weight, bias, x))
    reference, sigma = fixture["ref.out.y"], fixture["sigma.out.y"]
    verdict = judge(y, reference, sigma, "float32")
    assert verdict.passed, verdict.detail

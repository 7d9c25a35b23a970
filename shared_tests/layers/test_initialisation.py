"""The start: each framework draws from the distribution on the page.

The four are held, one by one, against the same documented distribution,
uniform in +-bound; so they draw from the same one. A row of DRAWN is
all that a layer needs. Seeds are fixed: a verdict never changes by
chance, and ALPHA is the chance that a right draw was refused when the
seed was chosen.
"""

import importlib
import math
import re
from statistics import NormalDist

import numpy as np
import pytest

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

ALPHA = 1e-6
# Kolmogorov: P(sqrt(n) D > k) = 2 exp(-2 k^2) - 2 exp(-8 k^2) + ...
KOLMOGOROV = math.sqrt(math.log(2 / ALPHA) / 2)  # 2.69
# a mean of n products, independent, of mean 0: normal
CORRELATION = NormalDist().inv_cdf(1 - ALPHA / 2)  # 4.89

LINEAR = dict(in_features=400, out_features=300)
MLP = dict(input_size=300, hidden_size=350, output_size=400)
TIED = dict(features=320)
REDUCTION = dict(in_features=53, out_features=41)
CONV = dict(in_channels=61, out_channels=67, kernel_size=5)
HEADS = dict(embed_dim=320, num_heads=4)
BAG = dict(num_embeddings=500, embedding_dim=300)
TEXT = BAG | dict(num_classes=400)
CLASSIFIER = dict(
    input_dim=330,
    embed_dim=320,
    num_heads=4,
    num_layers=1,
    num_classes=340,
)
# layer, configuration, parameter of at least 1e5 numbers, bound
DRAWN = [
    ("Linear", LINEAR, "weight", math.sqrt(6 / 700)),
    ("LinearReLU", LINEAR, "weight", math.sqrt(6 / 700)),
    ("MLP", MLP, "layer1.weight", math.sqrt(6 / 650)),
    ("MLP", MLP, "layer2.weight", math.sqrt(6 / 750)),
    ("TiedMLP", TIED, "layer1.weight", math.sqrt(6 / 640)),
    ("TensorReduction", REDUCTION, "weight", math.sqrt(3) / 53),
    (
        "StandardizedConv2d",
        CONV,
        "weight",
        math.sqrt(6 / (61 * 25 + 67 * 25)),
    ),
    (
        "WeightedSum",
        dict(in_features=100_001),
        "weight",
        math.sqrt(6 / 100_002),
    ),
    ("ManualLinear", LINEAR, "weight", math.sqrt(6 / 700)),
    ("MultiHeadAttention", HEADS, "qkv.weight", math.sqrt(6 / 1280)),
    ("MultiHeadAttention", HEADS, "out.weight", math.sqrt(6 / 640)),
    ("QATLinear", LINEAR, "weight", math.sqrt(6 / 700)),
    ("EmbeddingBag", BAG, "weight", math.sqrt(6 / 800)),
    ("TextClassifier", TEXT, "bag.weight", math.sqrt(6 / 800)),
    ("TextClassifier", TEXT, "linear.weight", math.sqrt(6 / 700)),
    *(
        ("TransformerClassifier", CLASSIFIER, name, math.sqrt(6 / both))
        for name, both in {
            "embed.weight": 330 + 320,
            "blocks.0.attention.qkv.weight": 960 + 320,
            "blocks.0.attention.out.weight": 320 + 320,
            "blocks.0.mlp.layer1.weight": 320 + 1280,
            "blocks.0.mlp.layer2.weight": 1280 + 320,
            "head.weight": 320 + 340,
        }.items()
    ),
]
EVERY_DRAW = pytest.mark.parametrize(
    "layer, config, name, bound",
    DRAWN,
    ids=[f"{layer}-{name}" for layer, _, name, _ in DRAWN],
)
LAYERS = {layer: config for layer, config, _, _ in DRAWN}
EVERY_LAYER = pytest.mark.parametrize("layer", LAYERS)


@pytest.mark.parametrize(
    "shape, square",
    [((3,), 6 / 4), ((2, 5), 6 / 7), ((4, 2, 3, 5), 1 / 15)],
)
def test_the_bound(framework, shape, square):
    page = importlib.import_module(f"{framework}_impl.glorot")
    assert page.glorot_bound(*shape) == math.sqrt(square)


def objections(x, bound):
    """What speaks against n numbers uniform in +-bound, independent."""
    found = []
    x = np.asarray(x, np.float64).reshape(-1)
    largest = np.abs(x).max()
    if not largest <= max(bound, np.float32(bound)):
        found.append("beyond the bound")
    # all of n fall short by a share d with probability (1 - d)^n
    if not largest >= bound * ALPHA ** (1 / x.size):
        found.append("short of the bound")
    u = np.sort((x / bound + 1) / 2)
    steps = np.arange(x.size + 1) / x.size
    distance = max((steps[1:] - u).max(), (u - steps[:-1]).max())
    if not distance * math.sqrt(x.size) <= KOLMOGOROV:
        found.append("another distribution")
    if correlated(x[:-1], x[1:], bound):
        found.append("neighbours correlated")
    return found


def correlated(x, y, bound):
    """Whether the mean of x y is too far from 0; var x = bound^2 / 3."""
    mean = np.mean(x * y) / (bound**2 / 3)
    return not abs(mean) * math.sqrt(x.size) <= CORRELATION


@EVERY_DRAW
def test_it_is_the_documented_distribution(
    start, numbers, layer, config, name, bound
):
    x = numbers(start(layer, config, seed=20261121))[name]
    assert x.size >= 100_000
    assert objections(x, bound) == []


@EVERY_DRAW
def test_the_seed_decides(start, numbers, layer, config, name, bound):
    first, again, other = (
        numbers(start(layer, config, seed))[name].astype("f8").ravel()
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert objections(other, bound) == []
    assert not correlated(first, other, bound)
    assert (first == other).mean() < 0.01


@EVERY_LAYER
def test_what_is_not_drawn_is_constant(start, numbers, layer):
    """Biases are 0, weights of a normalisation 1; the rest has a row."""
    drawn = {n for one, _, n, _ in DRAWN if one == layer}
    made = numbers(start(layer, LAYERS[layer]))
    assert drawn <= set(made)
    for name in set(made) - drawn:
        assert re.search(r"bias$|norm\d?\.weight$", name), name
        expected = 0.0 if name.endswith("bias") else 1.0
        assert (made[name] == expected).all(), name


def test_rms_norm_starts_as_ones(start, numbers):
    made = numbers(start("RMSNorm", dict(dim=7)))
    assert list(made) == ["weight"] and (made["weight"] == 1.0).all()


@EVERY_LAYER
def test_two_parameters_are_two_draws(start, numbers, layer):
    """One seed for both would start them with the same numbers."""
    made = numbers(start(layer, LAYERS[layer]))
    rows = [(n, b) for one, _, n, b in DRAWN if one == layer]
    units = [made[n].astype("f8").ravel() / b for n, b in rows]
    for i, one in enumerate(units):
        for two in units[:i]:
            size = min(one.size, two.size)
            assert not correlated(one[:size], two[:size], 1.0)


def test_every_layer_has_a_row(package, adapter):
    layers = {n for n in package.__all__ if n[0].isupper()}
    none = {"CenteredLayer", "HalfSpectrum", "RMSNorm", "ScaledReLU"}
    none |= {"LSQ", "LSQPlus", "PACT"}  # they start from the data
    assert layers == set(LAYERS) | none


def torch_state():
    import torch

    return torch.get_rng_state().tolist()


def tf_state():
    import random

    return random.getstate()


def mxnet_state():
    """It cannot be read; its next draw tells."""
    from mxnet import np

    return np.random.uniform(size=4).tolist()


@pytest.mark.parametrize("seed", [1, 2])
def test_what_becomes_of_the_global_generator(framework, start, seed):
    """PyTorch's is restored; Keras' and MXNet's go on from the seed."""
    make = {
        "pytorch": torch_state,
        "tf": tf_state,
        "mxnet": mxnet_state,
    }
    state = make.get(framework, list)  # JAX has none
    before = state()
    start("Linear", dict(in_features=7, out_features=3), seed)
    after = state()
    start("Linear", dict(in_features=7, out_features=3), seed)
    again = state()
    assert after == again
    assert (before == after) == (framework in ("pytorch", "jax"))


EVERY_OBJECTION = [
    "beyond the bound",
    "short of the bound",
    "another distribution",
    "neighbours correlated",
]


def uniform(bound, low=-1.0):
    rng = np.random.default_rng(0)
    return bound * rng.uniform(low, 1.0, 100_000)


@pytest.mark.parametrize(
    "draw, found",
    [
        (uniform(0.1), []),
        (uniform(0.101), ["beyond the bound"]),
        (uniform(0.1001), ["beyond the bound"]),
        (uniform(0.099), ["short of the bound"]),
        (uniform(0.0998), ["short of the bound"]),
        (
            uniform(0.1, low=0.0),
            ["another distribution", "neighbours correlated"],
        ),
        (
            np.clip(uniform(1.0) + uniform(1.0)[::-1], -1, 1) / 10,
            ["another distribution"],
        ),
        (
            np.random.default_rng(0).normal(0, 0.1 / 3**0.5, 100_000),
            ["beyond the bound", "another distribution"],
        ),
        (np.repeat(uniform(0.1), 2), ["neighbours correlated"]),
        (np.full(100_000, np.nan), EVERY_OBJECTION),
    ],
    ids=str,
)
def test_the_test_objects(draw, found):
    assert objections(draw, 0.1) == found

"""Random rows of the case table, for `make fuzz` and `make false-alarms`.

    row = draw_row(Dice(seed), "Linear")

A row has no numbers yet: it is a layer, its configuration, shapes, a
precision and a mode. The axes of a row have distinct sizes, as in
cases.py; one of those that a batch may have is 1 or 0 now and then.
"""

import math
from typing import NamedTuple

import numpy as np

LOW = ("bfloat16", "float16")
VOCABULARY = 11
SMALL = (2, 3, 4, 5, 6, 7)


class Row(NamedTuple):
    """A case without its numbers."""

    layer: str
    config: dict
    inputs: (
        dict  # name: shape, or (what, shape) of what is no real number
    )
    precision: str = "float32"
    compiled: bool = False


class Dice:
    """Random choices; sides: how long an axis may be."""

    def __init__(self, seed, sides=SMALL):
        self.rng, self.sides = np.random.default_rng(seed), sides

    def number(self, low, high):
        """A whole number, low <= n < high."""
        return int(self.rng.integers(low, high))

    def flip(self, share=0.5):
        return bool(self.rng.random() < share)

    def pick(self, *choices):
        return choices[self.number(0, len(choices))]

    def sizes(self, count, batch=0):
        """Distinct sizes; one of the first `batch` may be 1 or 0."""
        drawn = self.rng.permutation(self.sides)[:count].tolist()
        if batch and self.flip(0.2):
            drawn[self.number(0, batch)] = self.number(0, 2)
        return drawn

    def leading(self, last):
        """A shape that ends in `last`, with 0 to 2 axes before it."""
        rank = self.number(0, 3)
        return (*self.sizes(rank, rank), last)

    def shape(self):
        rank = self.number(0, 4)
        return tuple(self.sizes(rank, rank))


def dense(dice, layer):
    i, o = dice.sizes(2)
    config = dict(in_features=i, out_features=o)
    if layer == "Linear" and dice.flip():
        config["bias"] = False
    if layer == "ManualLinear":
        return config, dict(x=(*dice.sizes(1, 1), i))
    return config, dict(x=dice.leading(i))


def centered(dice, layer):
    return {}, dict(x=dice.shape())


def scaled_relu(dice, layer):
    scale = dice.pick(1.0, 0.5, 0.1, -3.0)
    return dict(scale=scale), dict(x=dice.shape())


def mlp(dice, layer):
    i, h, o = dice.sizes(3)
    config = dict(input_size=i, hidden_size=h, output_size=o)
    config["scale"] = dice.pick(0.5, 1.75)
    return config, dict(x=dice.leading(i))


def tied(dice, layer):
    (features,) = dice.sizes(1)
    return dict(features=features), dict(x=dice.leading(features))


def spectrum(dice, layer):
    n = dice.number(1, 2 * max(dice.sides) + 4)
    return {}, dict(x=dice.leading(n))


def rms_norm(dice, layer):
    (dim,) = dice.sizes(1)
    eps = dice.pick(1e-6, 0.1)
    return dict(dim=dim, eps=eps), dict(x=dice.leading(dim))


def conv(dice, layer):
    i, o = dice.sizes(2)
    kernel = dice.number(1, 4)
    config = dict(in_channels=i, out_channels=o, kernel_size=kernel)
    config["stride"] = dice.pick(1, 1, 2, 3)
    config["padding"] = dice.pick(0, 1)
    h, w = (kernel + n - 2 for n in dice.sizes(2))
    (b,) = dice.sizes(1, 1)
    return config, dict(x=(b, i, h, w))


def weighted_sum(dice, layer):
    (i,) = dice.sizes(1)
    return dict(in_features=i), dict(x=(*dice.sizes(1, 1), i))


def attention(dice, layer):
    b, n, m, d = dice.sizes(4, 2)
    g = dice.pick(1, 2, 3)
    h, m = g * dice.pick(1, 1, 2), max(m, 1)
    config = dict(causal=dice.flip())
    if dice.flip(0.3):
        config["scale"] = dice.pick(0.3, 8.0)
    if layer == "attention_tiled":
        config["block_size"] = dice.pick(*BLOCKS[dice.sides == SMALL])
    inputs = dict(q=(b, h, n, d), k=(b, g, m, d), v=(b, g, m, d))
    if dice.flip():
        by_head = (1, h, n, 1) if b == h else (h, n, 1)
        shapes = (b, h, n, m), (b, 1, 1, m), (n, m), by_head
        inputs["attn_mask"] = ("mask", dice.pick(*shapes))
    return config, inputs


# a loop over thousands of blocks of 1 shows no more than one over ten
BLOCKS = {True: (1, 2, 3, 128), False: (16, 32, 128)}


def heads(dice, layer):
    kv, width = dice.pick(1, 2, 3), dice.pick(1, 2, 4)
    count = kv * dice.pick(1, 2)
    config = dict(embed_dim=count * width, num_heads=count)
    config |= dict(num_kv_heads=kv, bias=dice.flip())
    config |= dict(causal=dice.flip(), out_proj=dice.flip(0.8))
    quantized = layer.startswith("QAT")
    b, n = dice.sizes(2, 0 if quantized else 1)
    inputs = dict(x=(b, n, config["embed_dim"]))
    if quantized:
        config |= qat(dice)
    elif dice.flip(0.3):
        inputs["attn_mask"] = ("mask", (b, 1, 1, n))
    return config, inputs


def qat(dice):
    """The grids of a layer that is trained to be quantized."""
    observed = "moving_average", "min_max", "absmax", "percentile"
    return dict(
        weight_bits=dice.pick(8, 4, 2),
        input_bits=dice.pick(8, 4, 3),
        weight_quantizer=dice.pick("absmax", "lsq"),
        input_quantizer=dice.pick(*observed, "pact", "lsq"),
    )


def qat_linear(dice, layer):
    i, o = dice.sizes(2)
    config = dict(in_features=i, out_features=o, bias=dice.flip())
    return config | qat(dice), dict(x=(*dice.sizes(1), i))


def transformer(dice, layer):
    b, n, i, c = dice.sizes(4, 1)
    config = dict(input_dim=i, embed_dim=6, num_heads=dice.pick(2, 3))
    config |= dict(num_layers=1, num_classes=c)
    return config, dict(x=(b, n, i))


def bags(dice, layer):
    """Ids are below VOCABULARY, whatever the sizes."""
    b, places, width, c = dice.sizes(4, 1)
    config = dict(num_embeddings=VOCABULARY, embedding_dim=width)
    if layer == "TextClassifier":
        config["num_classes"] = c
    inputs = dict(x=("id", (b, places)))
    if dice.flip():
        inputs["bag_mask"] = ("mask", (b, places))
    return config, inputs


def quantize(dice, layer):
    shape = tuple(dice.sizes(2, 1))
    axis = dice.pick(None, 0, 1, -1)
    config = dict(bits=dice.pick(2, 3, 4, 8, 16), axis=axis)
    config["signed"] = dice.flip(0.7)
    config["narrow_range"] = config["signed"] and dice.flip(0.3)
    step = () if axis is None else (shape[axis],)
    inputs = dict(x=shape, scale=("step", step))
    return config, inputs | dict(zero_point=("zero", step))


def pact(dice, layer):
    return dict(bits=dice.pick(2, 4, 8)), dict(x=dice.shape())


def lsq(dice, layer):
    shape, axis = tuple(dice.sizes(2, 1)), dice.pick(None, 0, 1)
    config = dict(bits=dice.pick(2, 4, 8), signed=dice.flip())
    if axis is not None and shape[axis]:  # no layer has 0 channels
        config |= dict(axis=axis, num_channels=shape[axis])
    return config, dict(x=shape)


LAYERS = {
    "CenteredLayer": centered,
    "ScaledReLU": scaled_relu,
    "Linear": dense,
    "LinearReLU": dense,
    "ManualLinear": dense,
    "TensorReduction": dense,
    "WeightedSum": weighted_sum,
    "RMSNorm": rms_norm,
    "HalfSpectrum": spectrum,
    "MLP": mlp,
    "TiedMLP": tied,
    "StandardizedConv2d": conv,
    "attention": attention,
    "attention_tiled": attention,
    "MultiHeadAttention": heads,
    "EmbeddingBag": bags,
    "TextClassifier": bags,
    "TransformerClassifier": transformer,
    "quantize": quantize,
    "fake_quantize": quantize,
    "PACT": pact,
    "LSQ": lsq,
    "LSQPlus": lsq,
    "QATLinear": qat_linear,
    "QATMultiHeadAttention": heads,
}
# float32 and float64 only, by their pages; no FFT is narrower either
WIDE = list(LAYERS)[list(LAYERS).index("TransformerClassifier") :]
WIDE.append("HalfSpectrum")


def draw_row(dice, layer):
    config, inputs = LAYERS[layer](dice, layer)
    precision, among = "float32", dice.rng.random()
    if among < 0.15:
        precision = "float64"
    elif among < 0.35 and layer not in WIDE:
        precision = dice.pick(*LOW)
    return Row(layer, config, inputs, precision)


def shape_of(spec):
    return spec[1] if spec and isinstance(spec[0], str) else spec


def size_of(row):
    """How many elements its inputs have."""
    return sum(math.prod(shape_of(s)) for s in row.inputs.values())

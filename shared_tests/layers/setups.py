"""Every public layer, as users make it: (name, arguments, shape of x).

For the tests of what a layer has to be able to do in its framework,
whatever it computes. An x of shape (..., WORDS) holds ids of words.
"""

import numpy as np

LINEAR = dict(in_features=7, out_features=3)
LEARNED = dict(weight_quantizer="lsq", input_quantizer="pact")
HEADS = dict(embed_dim=12, num_heads=6, num_kv_heads=2)
TOKENS = dict(
    input_dim=5,
    embed_dim=12,
    num_heads=3,
    num_layers=2,
    num_classes=4,
)
WORDS, VOCABULARY = 9, 11
BAG = dict(num_embeddings=VOCABULARY, embedding_dim=3)
SETUPS = [
    ("CenteredLayer", {}, (4, 7)),
    ("Linear", LINEAR, (4, 7)),
    ("Linear", LINEAR | dict(bias=False), (2, 4, 7)),
    ("LinearReLU", LINEAR, (4, 7)),
    ("ScaledReLU", dict(scale=0.25), (4, 7)),
    ("MLP", dict(input_size=7, hidden_size=5, output_size=3), (4, 7)),
    ("TiedMLP", dict(features=7), (4, 7)),
    ("TensorReduction", LINEAR, (4, 7)),
    ("HalfSpectrum", {}, (4, 7)),
    ("RMSNorm", dict(dim=7, eps=1e-3), (4, 7)),
    (
        "StandardizedConv2d",
        dict(in_channels=2, out_channels=5, kernel_size=3, padding=1),
        (4, 2, 7, 6),
    ),
    ("WeightedSum", dict(in_features=7), (4, 7)),
    ("ManualLinear", LINEAR, (4, 7)),
    ("PACT", dict(bits=3, alpha_init=2.0), (4, 7)),
    ("LSQ", dict(bits=3), (4, 7)),
    ("LSQ", dict(axis=1, num_channels=7), (4, 7)),
    ("LSQPlus", dict(bits=3), (4, 7)),
    ("MultiHeadAttention", HEADS | dict(causal=True), (4, 5, 12)),
    ("QATLinear", LINEAR | dict(weight_bits=4), (4, 7)),
    ("QATLinear", LINEAR | LEARNED, (4, 7)),
    ("EmbeddingBag", BAG, (4, WORDS)),
    ("TextClassifier", BAG | dict(num_classes=5), (4, WORDS)),
    ("TransformerClassifier", TOKENS, (4, 6, 5)),
]
NAMES = [f"{name}-{i}" for i, (name, _, _) in enumerate(SETUPS)]
# what prepare changes, and convert after it
PREPARED = [s for s in SETUPS if s[0] in ("MLP", SETUPS[-1][0])]


def of_ids(shape):
    return shape[1:] == (WORDS,)


def drawn(shape, dtype=np.float32, seed=0):
    """x: random numbers, or ids."""
    rng = np.random.default_rng(seed)
    if of_ids(shape):
        return rng.integers(VOCABULARY, size=shape, dtype=np.int32)
    return rng.standard_normal(shape, dtype)


def assign(param, array):
    """Numbers into a parameter of whatever framework."""
    home = type(param).__module__.split(".")[0]
    if home == "torch":
        param.data.copy_(array)
    elif home in ("flax", "jax_impl"):
        param[...] = array
    elif home == "mxnet":
        param.data()[()] = array
    else:
        param.assign(array)


def set_arrays(layer, **arrays):
    for name, array in arrays.items():
        assign(getattr(layer, name), array)

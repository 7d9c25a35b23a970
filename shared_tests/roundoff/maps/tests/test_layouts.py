"""PyTorch's built-in layers against those of Flax, Keras and Gluon, with
the layouts of the table: outputs, gradients, and every layer's output."""

import pytest
import torch
from torch import nn

from shared_tests.environments import python_of
from shared_tests.roundoff.check import check
from shared_tests.roundoff.maps.layouts import LAYERS, layout

ENVIRONMENTS = ("pytorch",)

RUNS = 8
KINDS = {
    "linear": "Linear",
    "conv1": "Conv1d",
    "conv2": "Conv2d",
    "conv3": "Conv3d",
    "words": "Embedding",
    "norm": "LayerNorm",
    "rms": "RMSNorm",
    "bn": "BatchNorm",
    "lstm": "LSTM",
    "gru": "GRU",
    "attention": "MultiheadAttention",
}
SIZES = {"attention": {"embed_dim": 6, "num_heads": 2}}
WITHOUT = {"nnx": {"gru"}, "gluon": {"attention", "rms"}}


class Builtins(nn.Module):
    def __init__(self, without):
        super().__init__()
        parts = {
            "linear": lambda: nn.Linear(6, 4),
            "conv1": lambda: nn.Conv1d(6, 4, 3),
            "conv2": lambda: nn.Conv2d(3, 4, (2, 3)),
            "conv3": lambda: nn.Conv3d(3, 2, (1, 2, 3)),
            "words": lambda: nn.Embedding(7, 5),
            "norm": lambda: nn.LayerNorm(6),
            "rms": lambda: nn.RMSNorm(6, eps=1e-5),
            "bn": lambda: nn.BatchNorm2d(3),
            "lstm": lambda: nn.LSTM(6, 4, batch_first=True),
            "gru": lambda: nn.GRU(6, 4, batch_first=True),
            "attention": lambda: nn.MultiheadAttention(
                6, 2, batch_first=True
            ),
        }
        for name, make in parts.items():
            if name not in without:
                self.add_module(name, make())

    def forward(self, x, image, ids):
        y = {
            "linear": self.linear(x),
            "conv1": self.conv1(x.transpose(1, 2)),
            "conv2": self.conv2(image),
            "conv3": self.conv3(image.unsqueeze(2)),
            "words": self.words(ids),
            "norm": self.norm(x),
            "bn": self.bn(image),
            "lstm": self.lstm(x)[0],
        }
        if hasattr(self, "rms"):
            y["rms"] = self.rms(x)
        if hasattr(self, "gru"):
            y["gru"] = self.gru(x)[0]
        if hasattr(self, "attention"):
            y["attention"] = self.attention(x, x, x)[0]
        return y


NNX = """
import jax.numpy as jnp
from flax import nnx

class Builtins(nnx.Module):
    def __init__(self, rngs):
        self.linear = nnx.Linear(6, 4, rngs=rngs)
        self.conv1 = nnx.Conv(6, 4, 3, padding="VALID", rngs=rngs)
        self.conv2 = nnx.Conv(3, 4, (2, 3), padding="VALID", rngs=rngs)
        self.conv3 = nnx.Conv(3, 2, (1, 2, 3), padding="VALID", rngs=rngs)
        self.words = nnx.Embed(7, 5, rngs=rngs)
        self.norm = nnx.LayerNorm(6, epsilon=1e-5, rngs=rngs)
        self.rms = nnx.RMSNorm(6, epsilon=1e-5, rngs=rngs)
        self.bn = nnx.BatchNorm(3, epsilon=1e-5, rngs=rngs)
        self.lstm = nnx.RNN(nnx.LSTMCell(6, 4, rngs=rngs))
        self.attention = nnx.MultiHeadAttention(
            2, 6, decode=False, rngs=rngs
        )

    def __call__(self, x, image, ids):
        image = jnp.moveaxis(image, 1, -1)
        return {
            "linear": self.linear(x),
            "conv1": jnp.moveaxis(self.conv1(x), -1, 1),
            "conv2": jnp.moveaxis(self.conv2(image), -1, 1),
            "conv3": jnp.moveaxis(self.conv3(image[:, None]), -1, 1),
            "words": self.words(ids),
            "norm": self.norm(x),
            "rms": self.rms(x),
            "bn": jnp.moveaxis(self.bn(image), -1, 1),
            "lstm": self.lstm(x),
            "attention": self.attention(x),
        }

def make():
    return Builtins(nnx.Rngs(0))
"""
LINEN = """
import flax.linen as nn
import jax
import jax.numpy as jnp

class Builtins(nn.Module):
    @nn.compact
    def __call__(self, x, image, ids):
        image = jnp.moveaxis(image, 1, -1)

        def conv(name, features, size, x):
            layer = nn.Conv(features, size, padding="VALID", name=name)
            return jnp.moveaxis(layer(x), -1, 1)

        bn = nn.BatchNorm(True, epsilon=1e-5, name="bn")
        attention = nn.MultiHeadDotProductAttention
        # without parent=None a cell is a part of this module, not of RNN
        lstm = nn.RNN(nn.LSTMCell(4, parent=None), name="lstm")
        gru = nn.RNN(nn.GRUCell(4, parent=None), name="gru")
        return {
            "linear": nn.Dense(4, name="linear")(x),
            "conv1": conv("conv1", 4, (3,), x),
            "conv2": conv("conv2", 4, (2, 3), image),
            "conv3": conv("conv3", 2, (1, 2, 3), image[:, None]),
            "words": nn.Embed(7, 5, name="words")(ids),
            "norm": nn.LayerNorm(1e-5, name="norm")(x),
            "rms": nn.RMSNorm(1e-5, name="rms")(x),
            "bn": jnp.moveaxis(bn(image), -1, 1),
            "lstm": lstm(x),
            "gru": gru(x),
            "attention": attention(2, name="attention")(x),
        }

def make():
    model = Builtins()
    inputs = (
        jnp.ones((2, 5, 6)), jnp.ones((2, 3, 4, 5)), jnp.ones((2, 3), int)
    )
    return model, model.init(jax.random.key(0), *inputs)
"""
KERAS = """
import keras
import numpy as np
import tensorflow as tf
from keras import layers

def first(x):
    axes = list(range(len(x.shape)))
    return tf.transpose(x, [0, axes[-1], *axes[1:-1]])

class Builtins(keras.Model):
    def __init__(self):
        super().__init__()
        self.linear = layers.Dense(4, name="linear")
        self.conv1 = layers.Conv1D(4, 3, name="conv1")
        self.conv2 = layers.Conv2D(4, (2, 3), name="conv2")
        self.conv3 = layers.Conv3D(2, (1, 2, 3), name="conv3")
        self.words = layers.Embedding(7, 5, name="words")
        self.norm = layers.LayerNormalization(epsilon=1e-5, name="norm")
        self.rms = layers.RMSNormalization(epsilon=1e-5, name="rms")
        self.bn = layers.BatchNormalization(epsilon=1e-5, name="bn")
        self.lstm = layers.LSTM(4, return_sequences=True, name="lstm")
        self.gru = layers.GRU(4, return_sequences=True, name="gru")
        self.attention = layers.MultiHeadAttention(2, 3, name="attention")

    def call(self, x, image, ids):
        image = tf.transpose(image, [0, 2, 3, 1])
        return {
            "linear": self.linear(x),
            "conv1": first(self.conv1(x)),
            "conv2": first(self.conv2(image)),
            "conv3": first(self.conv3(image[:, None])),
            "words": self.words(ids),
            "norm": self.norm(x),
            "rms": self.rms(x),
            "bn": first(self.bn(image)),
            "lstm": self.lstm(x),
            "gru": self.gru(x),
            "attention": self.attention(x, x),
        }

def make():
    model = Builtins()
    model(
        np.ones((2, 5, 6), "f4"),
        np.ones((2, 3, 4, 5), "f4"),
        np.ones((2, 3), int),
    )
    return model
"""
GLUON = """
from mxnet import np, npx
from mxnet.gluon import nn, rnn

npx.set_np()

class Builtins(nn.Block):
    def __init__(self):
        super().__init__()
        self.linear = nn.Dense(4, flatten=False)
        self.conv1 = nn.Conv1D(4, 3)
        self.conv2 = nn.Conv2D(4, (2, 3))
        self.conv3 = nn.Conv3D(2, (1, 2, 3))
        self.words = nn.Embedding(7, 5)
        self.norm = nn.LayerNorm()
        self.bn = nn.BatchNorm()
        self.lstm = rnn.LSTM(4, layout="NTC", input_size=6)
        self.gru = rnn.GRU(4, layout="NTC", input_size=6)

    def forward(self, x, image, ids):
        return {
            "linear": self.linear(x),
            "conv1": self.conv1(x.transpose(0, 2, 1)),
            "conv2": self.conv2(image),
            "conv3": self.conv3(np.expand_dims(image, 2)),
            "words": self.words(ids),
            "norm": self.norm(x),
            "bn": self.bn(image),
            "lstm": self.lstm(x),
            "gru": self.gru(x),
        }

def make():
    model = Builtins()
    model.initialize()
    model(np.ones((2, 5, 6)), np.ones((2, 3, 4, 5)), np.ones((2, 3)))
    return model
"""
PORTS = {
    "nnx": ("jax", NNX),
    "linen": ("jax", LINEN),
    "keras": ("tf", KERAS),
    "gluon": ("mxnet", GLUON),
}


def build(without):
    """(module whose parameters differ, inputs)."""
    torch.manual_seed(5)
    module = Builtins(without).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
        module.bn.running_mean.normal_()
        module.bn.running_var.uniform_(0.5, 2)
    inputs = {
        "x": torch.randn(2, 5, 6),
        "image": torch.randn(2, 3, 4, 5),
        "ids": torch.randint(7, (2, 3)),
    }
    return module, inputs


def whole_map(framework, without):
    mapping = {}
    for path, layer in KINDS.items():
        if path not in without:
            sizes = SIZES.get(path, {})
            mapping.update(
                layout(layer, framework, path, path, **sizes)
            )
    return mapping


@pytest.mark.parametrize("name", PORTS)
def test_built_in_layers_are_those_of_pytorch(name, tmp_path):
    framework, text = PORTS[name]
    without = WITHOUT.get(name, set())
    module, inputs = build(without)
    port = tmp_path / f"{framework}_port.py"
    port.write_text(text)
    report = check(
        module,
        port,
        inputs,
        weights=whole_map(name, without),
        layers=True,
        runs=RUNS,
        python=python_of(framework),
    )
    assert report.passed, str(report)
    names = {line.name for line in report.lines}
    params = {f"grad.{n}" for n, _ in module.named_parameters()}
    assert params <= names
    outputs = {part for part in KINDS if part not in without}
    assert {f"out.{part}" for part in outputs} <= names
    seen = {n.split(".")[1] for n in names if n.startswith("layer.")}
    # PyTorch's call of these returns their state too
    assert outputs - {"lstm", "gru", "attention"} <= seen


@pytest.mark.parametrize(
    "asked, words",
    [
        (
            ("Bilinear", "nnx"),
            "layer expected one of Linear, .*'Bilinear'",
        ),
        (
            ("GRU", "nnx"),
            "GRU is there for linen, keras, gluon, got 'nnx'",
        ),
    ],
)
def test_what_is_not_in_the_table_is_refused(asked, words):
    with pytest.raises(ValueError, match=words):
        layout(*asked)
    with pytest.raises(TypeError, match="Linear has no sizes"):
        layout("Linear", "nnx", num_heads=2)
    assert set(KINDS.values()) == set(LAYERS)

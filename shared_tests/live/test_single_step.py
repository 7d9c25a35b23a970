"""`python -m roundoff --single-step`: a fault of a port in JAX is in one
layer, and the layers after it are right."""

import json
import sys

import pytest

from shared_tests.environments import python_of
from shared_tests.roundoff import __main__ as command

ENVIRONMENTS = ("pytorch",)

TORCH = """
from torch import nn

INPUTS = {"x": (3, 5)}


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(5, 5), nn.Linear(5, 5)

    def forward(self, x):
        return self.last(self.first(x) * 0.5)


def make():
    return nn.Sequential(Scaled(), nn.LayerNorm(5), Scaled())
"""
PORT = """
from flax import nnx


class Scaled(nnx.Module):
    def __init__(self, rngs):
        self.first, self.last = (nnx.Linear(5, 5, rngs=rngs) for _ in "ab")

    def __call__(self, x):
        return self.last(self.first(x) * 0.5)


class Net(nnx.Module):
    def __init__(self, rngs):
        norm = nnx.LayerNorm(5, epsilon=1e-5, rngs=rngs)
        self.layers = nnx.List([Scaled(rngs), norm, Scaled(rngs)])
        self.unused = nnx.Linear(5, 5, use_bias=False, rngs=rngs)

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        self.unused(x)
        return x


def make():
    return Net(nnx.Rngs(0))
"""
WEIGHTS = {
    "layers.*.*.kernel": {"from": "*.*.weight", "transpose": [1, 0]},
    "layers.*.*.bias": "*.*.bias",
    "layers.1.scale": "1.weight",
    "layers.1.bias": "1.bias",
    "unused.kernel": "2.last.weight",
}
LAYERS = {"*": "layers.*", "*.*": "layers.*.*"}
NAMES = [
    *("layer.0.first", "layer.0.last", "layer.0", "layer.1"),
    *("layer.2.first", "layer.2.last", "layer.2"),
]
# of the norm, and between the layers of each Scaled
FAULTS = ("epsilon=1e-5", "(x) * 0.5")
WRONG = ["layer.0", "layer.1", "layer.2"]


@pytest.mark.parametrize("planted, wrong", [((), []), (FAULTS, WRONG)])
def test_a_port_in_jax(tmp_path, monkeypatch, capsys, planted, wrong):
    port = PORT
    for text in planted:
        assert port.count(text) == 1
        port = port.replace(text, text + "1")
    for name, text in (
        ("torch_net.py", TORCH),
        ("jax_net.py", port),
        ("weights.json", json.dumps(WEIGHTS)),
        ("layers.json", json.dumps(LAYERS)),
    ):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    status = command.main(
        [
            *("torch_net.py", "jax_net.py", "--single-step"),
            *("--weights", "weights.json", "--layers", "layers.json"),
            *("--python", str(python_of("jax")), "--runs", "8"),
            *("--json", "report.json"),
        ]
    )
    report = json.loads((tmp_path / "report.json").read_text())
    found = {line["name"]: line["word"] for line in report["lines"]}
    assert list(found) == NAMES
    bugs = [name for name in NAMES if found[name] != "rounding"]
    assert bugs == wrong
    assert status == bool(bugs)
    assert report["notes"] == ["not compared: unused of the port"]
    assert "unused of the port" in capsys.readouterr().out

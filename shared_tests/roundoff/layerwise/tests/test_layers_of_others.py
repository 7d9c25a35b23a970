"""A fault in a port that is an object of another framework, in its own
interpreter: the first wrong layer is named, over a map with patterns."""

import pytest
import torch
from torch import nn

from shared_tests.environments import python_of
from shared_tests.roundoff.check import check

ENVIRONMENTS = ("pytorch",)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.fc = nn.LayerNorm(6), nn.Linear(6, 6)
        self.act = nn.GELU()

    def forward(self, x):
        return x + self.act(self.fc(self.norm(x)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(2))

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


PORT = """
from flax import nnx

class Gelu(nnx.Module):
    def __init__(self, approximate):
        self.approximate = approximate

    def __call__(self, x):
        return nnx.gelu(x, approximate=self.approximate)

class Block(nnx.Module):
    def __init__(self, approximate, rngs):
        self.norm = nnx.LayerNorm(6, epsilon=1e-5, rngs=rngs)
        self.fc = nnx.Linear(6, 6, rngs=rngs)
        self.act = Gelu(approximate)

    def __call__(self, x):
        return x + self.act(self.fc(self.norm(x)))

class Net(nnx.Module):
    def __init__(self, rngs):
        self.blocks = nnx.List(Block(a, rngs) for a in (False, FAULT))

    def __call__(self, x):
        for block in self.blocks:
            x = block(x)
        return x

def make():
    return Net(nnx.Rngs(0))
"""
WEIGHTS = {
    "blocks.*.fc.kernel": {
        "from": "blocks.*.fc.weight",
        "transpose": [1, 0],
    },
    "blocks.*.fc.bias": "blocks.*.fc.bias",
    "blocks.*.norm.scale": "blocks.*.norm.weight",
    "blocks.*.norm.bias": "blocks.*.norm.bias",
}


@pytest.mark.parametrize(
    "fault, path", [("True", "blocks.1.act"), ("False", None)]
)
def test_the_first_wrong_layer_of_a_port_in_nnx(fault, path, tmp_path):
    torch.manual_seed(3)
    module = Net()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    port = tmp_path / "jax_port.py"
    port.write_text(PORT.replace("FAULT", fault))
    report = check(
        module,
        port,
        (torch.randn(4, 6),),
        weights=WEIGHTS,
        gradients=False,
        layers=True,
        runs=12,
        python=python_of("jax"),
    )
    assert report.first_wrong_layer == path
    assert report.passed == (path is None)
    layers = {
        x.name for x in report.lines if x.name.startswith("layer.")
    }
    assert {f"layer.blocks.{i}.norm@0" for i in (0, 1)} <= layers

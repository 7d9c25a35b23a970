"""Faults planted in whole models: the first wrong layer is named."""

import copy
import functools
import math

import pytest
import torch
from torch import nn

from shared_tests.roundoff.budget import estimate
from shared_tests.roundoff.layerwise.layers import (
    align,
    capture,
    first_wrong,
)
from shared_tests.roundoff.layerwise.single_step import single_step
from shared_tests.roundoff.layerwise.tree import plain
from shared_tests.roundoff.report import compare

ENVIRONMENTS = ("pytorch",)

B, N, C, H, V = 2, 7, 12, 3, 11
SEED = 7
RUNS = 12


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.out = (
            nn.Linear(C, C) for _ in range(4)
        )
        self.scale, self.keep = math.sqrt(C // H), True

    def forward(self, x, mask):
        q, k, v = (
            f(x).reshape(B, N, H, -1).transpose(1, 2)
            for f in (self.q, self.k, self.v)
        )
        scores = q @ k.transpose(2, 3) / self.scale
        seen = mask if self.keep else ~mask
        low = torch.full_like(scores, -math.inf)
        weights = torch.where(seen, scores, low).softmax(-1)
        y = (weights @ v).transpose(1, 2).reshape(B, N, C)
        return self.out(y)


class Dropped(nn.Module):
    """Dropout with a mask that is given, so that both sides have it."""

    def __init__(self, p=0.25):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        mask = torch.rand(B, N, C, generator=generator) > p
        self.register_buffer("mask", mask.float())
        self.scale = 1 / (1 - p)

    def forward(self, x):
        return x * self.mask * self.scale


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = Attention()
        self.drop = Dropped()
        self.norm1, self.norm2 = nn.LayerNorm(C), nn.LayerNorm(C)
        self.fc1, self.fc2 = nn.Linear(C, 4 * C), nn.Linear(4 * C, C)
        self.act = nn.GELU()

    def forward(self, x, mask):
        x = self.norm1(x + self.drop(self.attention(x, mask)))
        return self.norm2(x + self.fc2(self.act(self.fc1(x))))


class Bert(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(V, C)
        self.layers = nn.ModuleList(Block() for _ in range(2))
        self.head = nn.Linear(C, 5)
        self.factor = 1.0

    def forward(self, ids, mask):
        x = self.words(ids)
        for layer in self.layers:
            x = layer(x, mask) * self.factor
        return self.head(x)


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.act = nn.ReLU(inplace=True)
        self.body = nn.Sequential(
            nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6), nn.ReLU()
        )
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        x = self.body(self.act(self.norm(self.stem(x))))
        return self.head(x.mean((2, 3)))


def build(kind):
    """(module in float32, inputs); no parameter is constant."""
    torch.manual_seed(SEED)
    module = kind()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    if kind is ConvNet:
        return module, (torch.randn(B, 3, 8, 9),)
    mask = torch.ones(B, 1, 1, N, dtype=torch.bool)
    mask[1, ..., 4:] = False
    return module, (torch.randint(V, (B, N)), mask)


def tf32(x):
    """Rounded to a mantissa of ten bits, to nearest."""
    bits = x.view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)


class InTF32(nn.Module):
    def __init__(self, linear):
        super().__init__()
        self.linear = linear

    def forward(self, x):
        weight = tf32(self.linear.weight)
        return nn.functional.linear(tf32(x), weight, self.linear.bias)


def change(path, **values):
    """Sets attributes of the part at this path."""

    def plant(port):
        part = port.get_submodule(path)
        for name, value in values.items():
            setattr(part, name, value)

    return plant


def transpose(path):
    def plant(port):
        weight = port.get_submodule(path).weight
        weight.data = weight.data.T.contiguous()

    return plant


def in_tf32(parent, name):
    def plant(port):
        part = port.get_submodule(parent)
        setattr(part, name, InTF32(getattr(part, name)))

    return plant


# name: (model, the layer that is wrong, the fault)
FAULTS = {
    "tanh gelu": (
        Bert,
        "layers.0.act",
        change("layers.0.act", approximate="tanh"),
    ),
    "epsilon": (
        Bert,
        "layers.1.norm1",
        change("layers.1.norm1", eps=1e-6),
    ),
    "no 1/sqrt(d)": (
        Bert,
        "layers.1.attention",
        change("layers.1.attention", scale=1.0),
    ),
    "a transposed weight": (
        Bert,
        "layers.0.attention.k",
        transpose("layers.0.attention.k"),
    ),
    "TF32 operands": (
        Bert,
        "layers.1.fc1",
        in_tf32("layers.1", "fc1"),
    ),
    "mask of the other polarity": (
        Bert,
        "layers.0.attention",
        change("layers.0.attention", keep=False),
    ),
    "no scale of dropout": (
        Bert,
        "layers.0.drop",
        change("layers.0.drop", scale=1.0),
    ),
    "between the layers": (Bert, "", change("", factor=1.001)),
    "momentum": (ConvNet, "norm", change("norm", momentum=0.9)),
    "momentum, in a part": (
        ConvNet,
        "body.1",
        change("body.1", momentum=0.9),
    ),
    "epsilon of a batch norm": (
        ConvNet,
        "body.1",
        change("body.1", eps=1e-3),
    ),
    "TF32 operands after convolutions": (
        ConvNet,
        "head",
        in_tf32("", "head"),
    ),
}


def run(module, inputs):
    """Layers and the output, as arrays."""
    dtype = next(module.parameters()).dtype
    inputs = [
        x.to(dtype) if x.is_floating_point() else x for x in inputs
    ]
    with capture(module) as found, torch.no_grad():
        found["out.y"] = module(*inputs)
    buffers = {f"buffer.{n}": b for n, b in module.named_buffers()}
    return {
        name: tensor.numpy().copy()
        for name, tensor in (found | buffers).items()
    }


@functools.cache
def expected(kind):
    """(references, sigmas) of layers and of the output."""
    module, inputs = build(kind)
    module = module.double()
    start = copy.deepcopy(module.state_dict())

    def compute():
        module.load_state_dict(start)
        return run(module, inputs)

    return estimate(compute, SEED, RUNS)


def running(kind, port, inputs):
    """(lines of layers and of the output, each side with its own
    numbers, what is left over)."""
    references, sigmas = expected(kind)
    values = run(port, inputs)
    aligned = align(
        *(
            {n: a for n, a in arrays.items() if n.startswith("layer.")}
            for arrays in (references, values)
        )
    )
    arrays = aligned.arrays | {
        name: array
        for name, array in values.items()
        if name.startswith(("out.", "buffer."))
    }
    return [
        compare(name, array, references[name], sigmas[name])
        for name, array in arrays.items()
    ], aligned


@pytest.mark.parametrize("kind", [Bert, ConvNet])
def test_a_right_port_has_no_wrong_layer(kind):
    module, inputs = build(kind)
    lines, aligned = running(kind, module, inputs)
    assert first_wrong(lines) is None
    assert aligned.left_torch == [] == aligned.left_port
    assert {line.word for line in lines} == {"rounding"}
    worst = max(line.ratio for line in lines)
    assert 0 < worst < 1 and "first that is wrong" not in plain(lines)


@pytest.mark.parametrize("name", FAULTS)
def test_the_first_wrong_layer_is_named(name):
    kind, path, plant = FAULTS[name]
    port, inputs = build(kind)
    plant(port)
    lines, _ = running(kind, port, inputs)
    assert first_wrong(lines) == path
    marked = [x for x in plain(lines).splitlines() if "<-" in x]
    (line,) = marked
    want = path.rpartition(".")[2] or "the module itself"
    assert line.split()[0] == want.split()[0]


ALONE = "epsilon", "no 1/sqrt(d)", "between the layers"


@pytest.mark.parametrize("name", ALONE)
def test_a_single_step_finds_that_layer_alone(name):
    """And the wholes that it is part of, but nothing after it."""
    kind, path, plant = FAULTS[name]
    module, inputs = build(kind)
    port = copy.deepcopy(module)
    plant(port)
    lines, left, lost = single_step(module, port, inputs, runs=RUNS)
    wrong = [x.name[6:] for x in lines if x.word != "rounding"]
    assert left == []
    assert lost == [x for x in lost if x.endswith(".linear")]
    wholes = [path[:i] for i, c in enumerate(path) if c == "."]
    assert wrong == ([path] if path else []) + [
        whole for whole in reversed(wholes) if whole != "layers"
    ]

"""Each layer alone, for a port that is a function for each layer."""

import numpy as np
import pytest
import torch
from torch import nn

from shared_tests.roundoff.errors import CheckError
from shared_tests.roundoff.layerwise.layers import first_wrong
from shared_tests.roundoff.layerwise.single_step import (
    rounded,
    single_step,
)

ENVIRONMENTS = ("pytorch",)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.act = nn.Linear(5, 5), nn.Tanh()
        self.list = nn.ModuleList([nn.Identity()])

    def forward(self, x, scale):
        return self.act(self.fc(self.act(input=self.fc(x)))) * scale


def functions(module, **others):
    weight, bias = (p.detach().numpy() for p in module.fc.parameters())

    def act(*args, **kwargs):
        (x,) = [*args, *kwargs.values()]
        assert x.dtype == np.float32
        return np.tanh(x)

    return {"fc": lambda x: x @ weight.T + bias, "act": act, **others}


@pytest.fixture
def module():
    torch.manual_seed(1)
    return Net()


def judge(module, port, **options):
    inputs = torch.randn(3, 5), 2.0
    return single_step(module, port, inputs, runs=8, **options)


def words(lines):
    return {line.name: line.word for line in lines}


CALLS = ["layer.fc", "layer.act", "layer.fc#2", "layer.act#2"]


def test_every_call_is_judged_in_order(module):
    lines, *left = judge(module, functions(module))
    assert [line.name for line in lines] == CALLS
    assert set(words(lines).values()) == {"rounding"}
    assert all(0 < line.ratio < 1 for line in lines)
    assert left == [[], []]


def test_a_fault_is_where_it_is_and_nowhere_else(module):
    port = functions(module)
    right = port["fc"]
    port["fc"] = lambda x: right(x) * np.float32(1.0001)
    found = words(judge(module, port)[0])
    assert [found[name] for name in CALLS] == [
        *("bug", "rounding", "bug", "rounding")
    ]


def test_what_does_not_line_up_is_listed(module):
    port = functions(module)
    port["dense"] = port.pop("fc")
    lines, ours, theirs = judge(module, port)
    assert [line.name for line in lines] == ["layer.act", "layer.act#2"]
    assert (ours, theirs) == (["fc"], ["dense"])
    lines, *left = judge(module, port, layers={"fc": "dense"})
    assert len(lines) == 4 and left == [[], []]
    with pytest.raises(ValueError, match="layers map: fc takes 'dnse'"):
        judge(module, port, layers={"fc": "dnse"})


def test_a_layer_that_fails_is_a_bug_and_the_others_go_on(module):
    def fails(x):
        raise KeyError("no such weight")

    lines, *_ = judge(module, functions(module, fc=fails))
    assert words(lines)["layer.fc"] == "bug"
    assert lines[0].elements == ["KeyError: 'no such weight'"]
    assert words(lines)["layer.act"] == "rounding"
    nothing = functions(module, fc=lambda x: {"other": x})
    assert words(judge(module, nothing)[0])["layer.fc"] == "missing"


def test_the_least_float64_of_a_mask_stays_a_number():
    least = torch.finfo(torch.float64).min
    values = [0.1, least, -torch.inf, torch.nan]
    mask = torch.tensor(values, dtype=torch.float64)
    assert rounded(mask[:3], "float32").tolist() == [
        float(np.float32(0.1)),
        float(np.finfo(np.float32).min),
        -np.inf,
    ]
    assert rounded(mask, "float32").isnan().tolist()[-1]
    assert rounded(3, "float32") == 3


def test_a_port_of_another_kind_is_refused(module):
    with pytest.raises(CheckError, match=r"expected .* got int"):
        judge(module, 3)
    with pytest.raises(TypeError, match="expected functions"):
        judge(module, {"fc": 3})
    with pytest.raises(CheckError, match="object that has parts"):
        judge(module, lambda params, x, scale: x)


class Scaled(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.first, self.last = nn.Linear(5, 5), nn.Linear(5, 5)
        self.factor = factor

    def forward(self, x):
        return self.last(self.first(x) * self.factor)


def scaled(*factors):
    torch.manual_seed(1)
    return nn.Sequential(*map(Scaled, factors))


def test_a_module_is_right_only_if_the_code_between_its_layers_is():
    inputs = torch.randn(3, 5)
    lines, *left = single_step(
        scaled(0.5, 0.5), scaled(0.5, 0.75), inputs, runs=8
    )
    assert left == [[], []]
    found = words(lines)
    assert list(found) == [
        f"layer.{n}{part}"
        for n in "01"
        for part in (".first", ".last", "")
    ]
    assert [n for n, word in found.items() if word == "bug"] == [
        "layer.1"
    ]
    assert first_wrong(lines) == "1"

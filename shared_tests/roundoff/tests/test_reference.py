"""The reference: any inputs and outputs, and the module as it was."""

import collections
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from shared_tests.roundoff.errors import CheckError
from shared_tests.roundoff.inputs import named_inputs
from shared_tests.roundoff.reference import Reference

ENVIRONMENTS = ("pytorch",)

X = np.random.default_rng(0).standard_normal((5, 3)).astype("f4")


def reference(module, inputs, precision="float32"):
    return Reference(module, inputs, precision)


class Function(nn.Module):
    """A module that is its forward, with a parameter w."""

    def __init__(self, function):
        super().__init__()
        self.w = nn.Parameter(torch.full((3,), 0.5))
        self.function = function

    def forward(self, x):
        return self.function(self.w, x)


@dataclasses.dataclass
class Output:
    logits: object
    states: object = None


Pair = collections.namedtuple("Pair", "left right")


@pytest.mark.parametrize(
    "function, names",
    [
        (lambda w, x: x * w, ["y"]),
        (lambda w, x: (x, [x * w, None]), ["0", "1.0"]),
        (lambda w, x: {"a": x, "b": {"c": x}}, ["a", "b.c"]),
        (
            lambda w, x: Output(x, (x, x)),
            ["logits", "states.0", "states.1"],
        ),
        (lambda w, x: Pair(x, 2.5), ["left", "right"]),
        (lambda w, x: torch.max(x, dim=0), ["values", "indices"]),
    ],
)
def test_outputs_have_paths(function, names):
    module = Function(function)
    found = reference(module, X).run()
    got = [name.removeprefix("out.") for name in found]
    if names[0] == "values":  # PyTorch's own kind of tuple
        names = ["0", "1"]
    assert got == names
    assert all(a.dtype in ("f8", "i8") for a in found.values())


def test_gradients_of_inputs_and_parameters():
    module = Function(
        lambda w, x: {"y": x * w, "whole": torch.arange(3)}
    )
    dy = np.ones((5, 3), "f4")
    found = reference(module, {"x": X}).run({"y": dy})
    assert list(found) == ["out.y", "out.whole", "grad.x", "grad.w"]
    assert np.array_equal(found["grad.x"], np.full((5, 3), 0.5))
    assert np.array_equal(found["grad.w"], X.astype("f8").sum(0))


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 3)
        self.head = nn.Linear(3, 7, bias=False)
        self.head.weight = self.embedding.weight
        self.unused = nn.Linear(2, 2)
        self.frozen = nn.Linear(3, 3).requires_grad_(False)

    def forward(self, ids, scale=1.0):
        return scale * self.head(self.frozen(self.embedding(ids)))


def test_shared_unused_and_frozen_parameters():
    one = reference(Shared(), {"ids": np.arange(4), "scale": 2.0})
    assert one.aliases == {"head.weight": "embedding.weight"}
    found = one.run({"y": np.ones((4, 7), "f4")})
    grads = [n for n in found if n.startswith("grad.")]
    assert grads == [
        "grad.embedding.weight",
        "grad.unused.weight",
        "grad.unused.bias",
    ]
    assert not found["grad.unused.weight"].any()
    assert found["grad.embedding.weight"].any()


def test_the_module_stays_as_it_was():
    module = nn.BatchNorm1d(3).train()
    before = {n: t.clone() for n, t in module.state_dict().items()}
    one = reference(module, X)
    first, second = one.run(), one.run()
    assert list(first) == [
        "out.y",
        "buffer.running_mean",
        "buffer.running_var",
        "buffer.num_batches_tracked",
    ]
    for name, array in first.items():
        assert np.array_equal(array, second[name]), name
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert module.weight.dtype == torch.float32
    assert list(reference(module.eval(), X).run()) == ["out.y"]


def test_tensors_that_are_no_buffers():
    class Plain(nn.Linear):
        def forward(self, x):
            return super().forward(x) @ self.plain

    module = Plain(3, 2)
    module.plain = torch.ones(2, 2)
    assert reference(module, X).run()["out.y"].dtype == np.float64
    assert module.plain.dtype == torch.float32


def test_both_sides_start_from_the_same_numbers():
    module = nn.Linear(3, 2).double()
    nn.init.constant_(module.weight, 0.1)
    one = reference(module, X.astype("f8") / 3)
    assert one.params["weight"].dtype == np.float32
    wide = one.params["weight"].astype("f8")
    assert np.array_equal(one.module.weight.detach().numpy(), wide)
    assert one.inputs["input"].dtype == np.float32
    with pytest.raises(KeyError):
        one.inputs["x"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Dropout(0.5),
        lambda: Function(lambda w, x: nn.functional.dropout(x, 0.1)),
        lambda: Function(lambda w, x: x + torch.rand(3)),
        lambda: Function(
            lambda w, x: torch.bernoulli(x.abs().clamp(0, 1))
        ),
        lambda: nn.RReLU(),
    ],
)
def test_random_numbers_are_refused(make):
    with pytest.raises(CheckError, match=r"draws random numbers.*eval"):
        reference(make(), X).first_run()


def test_dropout_that_drops_nothing_is_none():
    for module in (nn.Dropout(0.5).eval(), nn.Dropout(0.0)):
        assert reference(module, X).first_run()
    attention = nn.MultiheadAttention(4, 2, dropout=0.0)
    x = torch.randn(5, 1, 4)
    inputs = {"query": x, "key": x, "value": x, "need_weights": False}
    assert reference(attention, inputs).first_run()
    with pytest.raises(CheckError, match="dropout"):
        attention.dropout = 0.5
        reference(attention, inputs).first_run()


@pytest.mark.parametrize(
    "inputs, message",
    [
        ({"x": X.astype("f2")}, "input 'x' expected .* got float16"),
        ({"x": torch.ones(3).bfloat16()}, "got bfloat16"),
        ({"x": X * 1j}, "got complex64"),
        ({"x": object()}, "input 'x' expected .* got object"),
    ],
)
def test_inputs_that_no_port_can_have(inputs, message):
    module = Function(lambda w, x: x)
    with pytest.raises(CheckError, match=message):
        reference(module, inputs)


def test_modules_that_are_no_reference():
    with pytest.raises(TypeError, match=r"nn\.Module, got function"):
        reference(lambda x: x, X)
    with pytest.raises(CheckError, match=r"weight expected .* float16"):
        reference(nn.Linear(3, 2).half(), X)
    with pytest.raises(CheckError, match=r"both \['w'\]"):
        reference(Function(lambda w, x: x), {"w": X})


def test_how_inputs_are_given():
    """By keywords, as long as forward takes them; else in order."""
    module = Function(lambda w, x: x)
    for inputs, names, by_name in (
        (X, ["x"], False),
        ((X,), ["x"], False),
        ({"x": X}, ["x"], True),
        ({"image": X}, ["image"], False),
    ):
        named, keywords = named_inputs(module, inputs)
        assert (list(named), keywords) == (names, by_name)
        assert reference(module, inputs).run()["out.y"].shape == X.shape

"""A fault planted in a model, and what is said of it.

The port is a float32 copy of the model with the fault; for faults of the
arithmetic, under a mode that computes it so (changes.py).
"""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from shared_tests.roundoff import budget
from shared_tests.roundoff.faults import changes, formulas
from shared_tests.roundoff.faults.changes import Altered, Cut, operands
from shared_tests.roundoff.faults.diagnosis import Context, diagnose
from shared_tests.roundoff.products import FACTORS

ENVIRONMENTS = ("pytorch",)

D, H, N = 12, 3, 5


class Block(nn.Module):
    """A transformer's block, causal, with a plain softmax."""

    def __init__(self, how=""):
        super().__init__()
        self.how, self.approximate = how, "none"
        self.norm1, self.norm2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.qkv, self.out = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.up, self.down = nn.Linear(D, 2 * D), nn.Linear(2 * D, D)

    def scores(self, q, k):
        scores = q @ k.transpose(-1, -2)
        if self.how != "no scale":
            scores = scores * (D // H) ** -0.5
        shift = {"one more": 1, "one less": -1}.get(self.how, 0)
        may = torch.tril(torch.ones(N, N, dtype=torch.bool), shift)
        if self.how == "polarity":
            may = ~may
        if self.how != "no mask":
            scores = scores.masked_fill(~may, -1e9)
        return torch.softmax(scores, -1)

    def forward(self, x):
        parts = self.qkv(self.norm1(x)).split(D, -1)
        q, k, v = (
            p.unflatten(-1, (H, -1)).transpose(1, 2) for p in parts
        )
        y = (self.scores(q, k) @ v).transpose(1, 2).flatten(2)
        x = x + self.out(y)
        hidden = functional.gelu(
            self.up(self.norm2(x)), approximate=self.approximate
        )
        return x + self.down(hidden)


def computing(module, x, dtype):
    """compute() of a copy, and the copy."""
    module = copy.deepcopy(module).to(dtype)
    dy = torch.randn(
        x.shape, generator=torch.Generator().manual_seed(5)
    )

    def compute():
        given = x.to(dtype).requires_grad_()
        y = module(given)
        wanted = {"x": given, **dict(module.named_parameters())}
        grads = torch.autograd.grad(
            y, list(wanted.values()), dy.to(dtype)
        )
        found = {
            f"grad.{k}": g.numpy().copy() for k, g in zip(wanted, grads)
        }
        return found | {"out.y": y.detach().numpy().copy()}

    return compute, module


@pytest.fixture(scope="module")
def model():
    """The module, its input, its reference and sigma, the context."""
    torch.manual_seed(0)
    module, x = Block(), torch.randn(2, N, D)
    for p in module.parameters():
        if p.ndim == 1:
            nn.init.normal_(p, std=0.3)
    compute, wide = computing(module, x, torch.float64)
    reference, sigma = budget.estimate(compute, 0, 24)
    return module, x, reference, sigma, Context(compute, wide)


def port(model, how="", edit=None, mode=None):
    module = Block(how)
    module.load_state_dict(model[0].state_dict())
    if edit:
        with torch.no_grad():
            edit(module)
    compute, _ = computing(module, model[1], torch.float32)
    if mode is None:
        return compute()
    with mode:
        return compute()


def said(model, value, name):
    _, _, reference, sigma, context = model
    return diagnose(
        name, value[name], reference[name], sigma[name], context
    )


def epsilon(module):
    module.norm1.eps = module.norm2.eps = 1e-3


def second_epsilon(module):
    module.norm2.eps = 1e-3


def tanh(module):
    module.approximate = "tanh"


def transposed(module):
    module.out.weight.copy_(module.out.weight.T.clone())


def no_bias(module):
    module.up.bias.zero_()


def bfloat16_weight(module):
    module.down.weight.copy_(module.down.weight.bfloat16().float())


def added_in_bfloat16(func, args, kwargs):
    """Every partial sum of a product is rounded."""
    where = FACTORS.get(func.overloadpacket)
    if where is None:
        return None

    def instead():
        a, b = (args[i] for i in where)
        total = torch.zeros(())
        for k in range(a.shape[-1]):
            term = a[..., k : k + 1] * b[..., k : k + 1, :]
            total = (total + term).bfloat16().float()
        return total + (args[0] if where[0] else 0)

    return instead


TF32, BFLOAT16 = changes.to_tf32, changes.to_bfloat16
FAULTS = {
    "epsilon": (
        *({"edit": epsilon}, "another epsilon: 0.001"),
        ("out.y", "grad.x", "grad.up.weight"),
    ),
    "one epsilon": (
        {"edit": second_epsilon},
        "another epsilon: 0.001 (call 2 of 2 only)",
        ("out.y", "grad.x"),
    ),
    "tanh": (
        {"edit": tanh},
        "the other gelu (tanh for exact, or exact for tanh)",
        ("out.y", "grad.x", "grad.up.weight"),
    ),
    "no scale": (
        {"how": "no scale"},
        "the constant factor 0.5 is left out",
        ("out.y", "grad.x"),
    ),
    "one more": (
        {"how": "one more"},
        "a mask: causal, one key more",
        ("out.y", "grad.x"),
    ),
    "one less": (
        {"how": "one less"},
        "a mask: causal, one key less",
        ("out.y", "grad.x"),
    ),
    "polarity": (
        {"how": "polarity"},
        "a mask: the other polarity",
        ("out.y", "grad.x"),
    ),
    "no mask": (
        {"how": "no mask"},
        "a mask: there is none",
        ("out.y", "grad.x"),
    ),
    "transposed": (
        {"edit": transposed},
        "out.weight is transposed",
        ("out.y", "grad.x"),
    ),
    "no bias": (
        {"edit": no_bias},
        "up.bias is left out",
        ("out.y", "grad.x"),
    ),
    "weight": (
        {"edit": bfloat16_weight},
        "down.weight is rounded to bfloat16",
        ("out.y", "grad.x"),
    ),
    "TF32": (
        {"mode": lambda: Altered(operands(TF32))},
        "the factors of products are rounded to TF32 or float16",
        ("out.y", "grad.x", "grad.up.weight"),
    ),
    "one product": (
        {"mode": lambda: Altered(operands(TF32), 2, 99)},
        "the factors of products are rounded to TF32 (call 3 of 6 only)"
        " or float16 (call 3 of 6 only)",
        ("out.y",),
    ),
    "bfloat16": (
        {"mode": lambda: Altered(operands(BFLOAT16))},
        "the factors of products are rounded to bfloat16",
        ("out.y", "grad.x", "grad.up.weight"),
    ),
    "sums": (
        {"mode": lambda: Altered(added_in_bfloat16)},
        "errors of the size of sums in bfloat16",
        ("out.y", "grad.x"),
    ),
    "cut": (
        {"mode": lambda: Cut("softmax")},
        "no gradient through softmax",
        ("grad.x",),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_has_its_words_and_no_others(model, name):
    how, words, arrays = FAULTS[name]
    how = dict(how)
    if "mode" in how:
        how["mode"] = how["mode"]()
    value = port(model, **how)
    for array in arrays:
        assert said(model, value, array) == words


def test_nothing_is_said_of_a_right_port(model):
    value = port(model)
    for name in value:
        assert said(model, value, name) == ""


def test_nothing_is_said_of_what_has_no_explanation(model):
    value = port(model)
    rng = np.random.default_rng(0)
    for name in ("out.y", "grad.x"):
        error = rng.standard_normal(value[name].shape)
        value[name] += (0.1 * error**3).astype("f4")
        assert said(model, value, name) == ""


def test_the_module_is_as_it_was(model):
    before = copy.deepcopy(model[4].module.state_dict())
    value = port(model, edit=transposed)
    said(model, value, "out.y")
    for name, p in model[4].module.state_dict().items():
        assert torch.equal(p, before[name])


def test_no_more_runs_than_allowed(model):
    runs = []

    def compute():
        runs.append(1)
        return model[4].compute()

    context = Context(compute, model[4].module, runs=7)
    value = port(model, edit=transposed)["out.y"] * np.float32(1.7)
    diagnose("out.y", value, *(m["out.y"] for m in model[2:4]), context)
    noisy = 3 * (12 + 2)  # three other sigmas, each with its self-check
    assert len(runs) <= 1 + 7 + noisy


# --- models of their own


def words_of(module, x, mode=None, edit=None, name="out.y", runs=24):
    compute, wide = computing(module, x, torch.float64)
    reference, sigma = budget.estimate(compute, 0, runs)
    there = copy.deepcopy(module)
    if edit:
        with torch.no_grad():
            edit(there)
    ported, _ = computing(there, x, torch.float32)
    if mode is None:
        value = ported()
    else:
        with mode:
            value = ported()
    context = Context(compute, wide)
    return diagnose(
        name, value[name], reference[name], sigma[name], context
    )


def test_a_less_accurate_formula():
    torch.manual_seed(1)
    x = torch.randn(6, 32) + 300
    norm = nn.LayerNorm(32)
    words = words_of(norm, x, Altered(formulas.fast_variance))
    formula = "the variance as E[x^2] - E[x]^2"
    assert f"a less accurate formula: {formula}" in words
    assert words_of(norm, x) == ""


class Small(nn.Module):
    """A product that leaves the normal numbers, and comes back."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(12, 12))

    def forward(self, x):
        return ((x @ self.weight) * 2.0**-128) * 2.0**120


def test_subnormal_numbers_are_flushed():
    torch.manual_seed(2)
    x = torch.randn(8, 12)
    words = words_of(Small(), x, Altered(changes.flushed))
    assert "subnormal numbers are flushed to 0" in words


class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(12, 7))

    def forward(self, x):
        return x + torch.tanh((x @ self.weight).mean(-1, keepdim=True))


def test_a_sum_for_a_mean():
    torch.manual_seed(3)
    x = torch.randn(8, 12)
    words = words_of(Mean(), x, Altered(changes.sum_for_mean))
    assert words.endswith("a sum for a mean")


def test_running_statistics_with_the_other_momentum():
    torch.manual_seed(4)
    x = torch.randn(9, 5)
    norm = nn.BatchNorm1d(5)

    def compute_of(module, dtype):
        module = copy.deepcopy(module).to(dtype)
        saved = module.running_mean.clone()

        def compute():
            module.running_mean.copy_(saved)
            module(x.to(dtype))
            mean = module.running_mean
            return {"buffer.running_mean": mean.numpy().copy()}

        return compute

    compute = compute_of(norm, torch.float64)
    reference, sigma = budget.estimate(compute, 0, 24)
    norm.momentum = 0.9
    value = compute_of(norm, torch.float32)()
    name = "buffer.running_mean"
    words = diagnose(
        *(name, value[name], reference[name], sigma[name]),
        Context(compute),
    )
    assert "running statistics with 1 - momentum" in words


def test_without_a_context_only_the_numbers_speak():
    reference = np.random.default_rng(0).standard_normal((3, 9))
    value = (2 * reference).astype("f4")
    words = diagnose("out.y", value, reference, np.abs(reference))
    assert words == "a constant factor of 2 (2, 1 / (1 - p), p = 0.5)"
    assert diagnose("out.y", value, value, np.abs(reference)) == ""
    other = np.zeros((3, 2), "f4")
    assert (
        diagnose("out.y", other, reference, reference) == "0 everywhere"
    )
    whole = np.arange(4)
    assert diagnose("out.y", whole, whole + 1, whole) == ""

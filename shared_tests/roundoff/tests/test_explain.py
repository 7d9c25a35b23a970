"""Where a rounding error comes from: planted, and found again."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.modules import module as hooks

from shared_tests.roundoff.explain import Located, explain
from shared_tests.roundoff.shares import summed

ENVIRONMENTS = ("pytorch",)


def draws(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator).double()


class Shift(nn.Module):
    """x, with the error of a number that is `by` times larger."""

    def __init__(self, by):
        super().__init__()
        self.by = by

    def forward(self, x):
        return (x + self.by) - self.by


class RoughGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, dy):
        return (dy + 4096.1) - 4096.1


class Rough(nn.Module):
    def forward(self, x):
        return RoughGradient.apply(x)


def computation(model, *shape):
    """Output and gradients; `model` in float64."""
    model = model.double()
    given = draws(1, *shape)
    up = draws(3, *model(given).shape)

    def compute():
        x = given.clone().requires_grad_()
        y = model(x)
        wanted = {"x": x} | dict(model.named_parameters())
        grads = torch.autograd.grad(y, wanted.values(), up)
        found = {"out.y": y.detach().numpy()}
        for name, grad in zip(wanted, grads):
            found[f"grad.{name}"] = grad.numpy()
        return found

    return compute


def network(*middle):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(19, 23), *middle, nn.Tanh(), nn.Linear(23, 11)
    )


@pytest.fixture(scope="module")
def plain():
    model = network()
    return explain(
        computation(model, 17, 19), seed=0, module=model, runs=6
    )


def test_every_array_is_explained(plain):
    assert set(plain) == {
        "out.y",
        "grad.x",
        *(f"grad.{i}.{n}" for i in "02" for n in ("weight", "bias")),
    }


def test_shares_add_up(plain):
    """To 1 each, and the parts to the whole: another set of runs."""
    for name, found in plain.items():
        total = sum(share.share for share in found.shares)
        assert total == pytest.approx(1)
        few = name.endswith("bias")  # elements, and so a wide spread
        near = pytest.approx(1, abs=0.5 if few else 0.3)
        assert found.together == near, name
        shares = [share.share for share in found.shares]
        assert shares == sorted(shares, reverse=True)


def test_forward_parts_are_those_that_made_the_output(plain):
    modules = summed(plain["out.y"], "module")
    assert set(modules) == {"0", "1", "2"}
    operations = summed(plain["out.y"], "operation")
    assert set(operations) == {"addmm", "tanh"}


def test_a_gradient_comes_from_the_backward_too(plain):
    """tanh' = 1 - y^2 is of module 1, the products are of 0 and 2."""
    found = {(s.module, s.operation) for s in plain["grad.x"].shares}
    assert {("0", "mm"), ("1", "mul"), ("2", "mm")} <= found
    # the bias of the last layer is a sum of what comes from outside
    (only,) = plain["grad.2.bias"].shares
    assert (only.module, only.operation) == ("2", "sum")


def test_a_planted_module_dominates():
    model = network(Shift(4096.1))
    found = explain(
        computation(model, 17, 19), seed=0, module=model, runs=2
    )
    first = found["out.y"].shares[0]
    assert (first.module, first.operation) == ("1", "add")
    assert summed(found["out.y"], "module")["1"] > 0.99


def test_a_planted_gradient_dominates():
    model = network(Rough())
    found = explain(
        computation(model, 17, 19), seed=0, module=model, runs=2
    )
    assert "1" not in summed(found["out.y"], "module")
    assert summed(found["grad.0.weight"], "module")["1"] > 0.99
    assert "1" not in summed(found["grad.3.weight"], "module")


def test_without_a_module_operations_are_told_apart():
    x = draws(1, 31, 37)

    def compute():
        return {"out.y": (torch.exp(x) / 3 + 4096.1).numpy()}

    found = explain(compute, seed=0)["out.y"]
    assert set(summed(found, "module")) == {""}
    first = found.shares[0]
    assert first.operation == "add" and first.share > 0.99


def test_what_does_not_round_has_no_shares():
    x = draws(1, 5)
    found = explain(lambda: {"out.y": (x * 2).numpy()}, seed=0)
    assert found["out.y"] == ([], 1.0)


def test_what_is_not_linear_is_seen():
    """0 times 0: no error unless both factors have one."""
    x = draws(1, 101)

    def compute():
        one = torch.exp(x) - torch.exp(x.clone())
        two = torch.tanh(x) - torch.tanh(x.clone())
        return {"out.y": (one * two).numpy()}

    found = explain(compute, seed=0)["out.y"]
    assert found.shares == [] and found.together == 0


def test_integers_are_left_out():
    x = draws(1, 5)

    def compute():
        return {
            "out.y": (x * 3).numpy(),
            "out.i": torch.where(x > 0, 1, 0).numpy(),
        }

    assert set(explain(compute, seed=0)) == {"out.y"}


def test_only_the_wanted_part_is_noisy():
    x = draws(1, 7)
    wanted = ("", "exp")
    with Located(torch.Generator(), wanted=wanted):
        y, z = torch.exp(x), x * 3
    assert (y != torch.exp(x)).all()
    assert np.array_equal(z, x * 3)


def test_the_hooks_are_gone_even_after_an_error():
    def crash():
        raise RuntimeError("no kernel")

    with pytest.raises(RuntimeError, match="no kernel"):
        explain(crash, seed=0)
    before = len(hooks._global_forward_pre_hooks)
    model = network(Rough())
    explain(computation(model, 3, 19), seed=0, module=model, runs=1)
    assert len(hooks._global_forward_pre_hooks) == before
    assert not hooks._global_forward_hooks


def test_no_runs_explain_nothing():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        explain(dict, seed=0, runs=0)

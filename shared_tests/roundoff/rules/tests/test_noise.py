"""What the noise leaves alone, takes apart, or refuses; and the check
that a decomposition is what it stands for."""

import math

import numpy as np
import pytest
import torch

from shared_tests.roundoff.budget import SelfCheckError, estimate
from shared_tests.roundoff.rules import rules
from shared_tests.roundoff.rules.noise import RoundingNoise
from shared_tests.roundoff.rules.tests.two_sided import (
    budgeted,
    in_pytorch,
    inputs,
    worst,
)
from shared_tests.roundoff.rules.widened import Widened

ENVIRONMENTS = ("pytorch",)

X = inputs("random", 1, 7, 13)
LOWEST = -3.4028234663852886e38  # torch.finfo(torch.float32).min


@pytest.mark.parametrize(
    "cast",
    [
        lambda x: x.float() * 3,
        lambda x: x.to(torch.float16) * 3,
        lambda x: x.bfloat16().to(torch.float32) * 3,
        lambda x: torch.mul(x, torch.full_like(x, 3, dtype=torch.half)),
        lambda x: x * torch.tensor(3.0, dtype=torch.float32),
        lambda x: x @ torch.tensor(np.eye(13) * 3, dtype=torch.float32),
    ],
)
def test_a_narrower_float_in_a_model_stays_float64(cast):
    reference, sigma = budgeted(cast, X)
    assert reference.dtype == np.float64
    assert np.allclose(reference, 3 * X.numpy(), 1e-15)
    assert (sigma > 0).any() and sigma.max() < 20


@pytest.mark.parametrize("lowest", [-math.inf, LOWEST, -1.7e308])
def test_a_mask_gets_no_noise(lowest):
    """softmax of x + mask, one row with nothing but masks."""

    def masked(x):
        mask = torch.zeros_like(x)
        mask[:, 5:] = lowest
        if lowest != -math.inf:
            mask[3] = lowest
        return torch.softmax(x + mask, -1)

    reference, sigma = budgeted(masked, X)
    assert np.isfinite(reference).all() and np.isfinite(sigma).all()
    assert not sigma[:3, 5:].any()
    if lowest != -1.7e308:  # which float32 does not have
        assert worst(in_pytorch(masked, X), reference, sigma) <= 1
    if lowest != -math.inf:
        assert np.allclose(reference[3], 1 / 13)
        assert sigma[3].max() < 1


def test_infinities_and_nan_are_as_they_are():
    x = torch.tensor([math.inf, -math.inf, math.nan, 1.0]).double()
    with RoundingNoise(torch.Generator()):
        y = torch.exp(x * 3)
    assert y[0] == math.inf and y[1] == 0 and y[2].isnan()
    assert y[3].isfinite()


def test_positions_counted_in_floats_stay_whole():
    def positions(x):
        mask = (x[0] == x[0]).to(x.dtype)
        return torch.cumsum(mask, 0).long() + mask.sum().long()

    with RoundingNoise(torch.Generator()):
        y = positions(X)
    assert torch.equal(y, positions(X))


def test_out_and_in_place_have_the_noise_of_the_plain_form():
    def plain(x):
        return torch.addcmul(x, x, x, value=0.3)

    def in_place(x):
        return x.clone().addcmul_(x, x, value=0.3)

    def out(x):
        return torch.addcmul(
            x, x, x, value=0.3, out=torch.empty_like(x)
        )

    sigma = budgeted(plain, X)[1]
    assert sigma.all()
    assert np.array_equal(sigma, budgeted(in_place, X)[1])
    assert np.array_equal(sigma, budgeted(out, X)[1])


def test_a_product_by_alpha_is_rounded_too():
    """Where it cancels, its rounding is all there is."""
    _, sigma = budgeted(lambda x: torch.add(x, -x / 0.7, alpha=0.7), X)
    assert (sigma > X.abs().numpy() / 2).all()


def test_complex_products_are_rounded():
    """Also by a number of size 1, which is no power of two."""
    turn = torch.polar(torch.ones(13), torch.arange(13.0)).cdouble()

    def rotate(x):
        return torch.view_as_real(torch.complex(x, x) * turn)

    assert (budgeted(rotate, X)[1] > 0).all()


def step_of(optimizer, **options):
    """Two steps of an optimizer, on a quadratic."""

    def run(x):
        p = torch.nn.Parameter(x.clone())
        opt = optimizer([p], **options)
        for _ in range(2):
            p.grad = p.detach() * p.detach() * 3
            opt.step()
        return p.detach()

    return run


@pytest.mark.parametrize("way", ["foreach", "fused"])
@pytest.mark.parametrize(
    "optimizer, options",
    [
        (torch.optim.SGD, dict(lr=0.1, momentum=0.9, nesterov=True)),
        (torch.optim.Adam, dict(lr=0.1, weight_decay=0.01)),
        (torch.optim.AdamW, dict(lr=0.1, amsgrad=True)),
        (torch.optim.Adagrad, dict(lr=0.1, lr_decay=0.01)),
    ],
)
def test_an_optimizer_steps_in_every_form(way, optimizer, options):
    one = step_of(optimizer, **options, **{way: True})
    reference, sigma = budgeted(one, X)
    assert (sigma > 0).any()
    assert worst(in_pytorch(one, X), reference, sigma) <= 1
    loop = step_of(optimizer, **options, foreach=False)
    assert worst(in_pytorch(loop, X), reference, sigma) <= 1


def test_a_refusal_says_why():
    with (
        pytest.raises(
            NotImplementedError, match=r"inv_ex.*factorisation"
        ),
        RoundingNoise(torch.Generator()),
    ):
        torch.linalg.inv(X[:, :7])


def test_a_wrong_decomposition_is_found(monkeypatch):
    """Planted: a SiLU with the exponent of another float."""
    wrong = rules.Way(
        "parts", None, lambda x: x * torch.sigmoid(1.0001 * x)
    )
    right = rules.treatment

    def treatment(func):
        silu = func.overloadpacket is torch.ops.aten.silu
        return wrong if silu else right(func)

    monkeypatch.setattr(rules, "treatment", treatment)
    with pytest.raises(
        SelfCheckError, match=r"^y at \[.*in parts.*aten\.silu"
    ):
        budgeted(torch.nn.functional.silu, X)


def test_a_computation_that_is_not_repeatable_is_said():
    draws = iter(range(1000))
    with pytest.raises(
        SelfCheckError, match="other numbers in every run"
    ):
        estimate(lambda: {"y": np.array(float(next(draws)))}, 0, 2)


def test_float64_hardsigmoid_has_a_float32_in_its_gradient():
    """PyTorch 2.13.0; the reference does without it."""
    ones = torch.ones(1, dtype=torch.float64)
    plain = torch.ops.aten.hardsigmoid_backward(ones, 0 * ones)
    assert 1e-9 < abs(plain.item() - 1 / 6) < 1e-8
    with Widened():
        ours = torch.ops.aten.hardsigmoid_backward(ones, 0 * ones)
    assert ours.item() == 1 / 6


def test_float64_bags_are_scaled_by_the_frequency_of_another_row():
    """PyTorch 2.13.0: bags (4, 4) and (1, 2, 1); 1 / count of each."""
    ids, starts = torch.tensor([4, 4, 1, 2, 1]), torch.tensor([0, 2])
    weight = torch.zeros(5, 1, dtype=torch.float64, requires_grad=True)

    def gradient():
        y = torch.nn.functional.embedding_bag(
            ids, weight, starts, mode="sum", scale_grad_by_freq=True
        )
        return (
            torch.autograd.grad(y.sum(), weight)[0].flatten().tolist()
        )

    assert gradient() == [0, 1, 0.5, 0, 2]
    with Widened():
        assert gradient() == [0, 1, 1, 0, 1]

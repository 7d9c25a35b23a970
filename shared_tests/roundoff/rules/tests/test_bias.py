"""A bias is part of the sum that it is added to."""

import numpy as np
import pytest
import torch

from shared_tests.roundoff.budget import estimate
from shared_tests.roundoff.rules.selfcheck import reason
from shared_tests.roundoff.verdict import UNIT_ROUNDOFF, ratio

ENVIRONMENTS = ("pytorch",)

U = UNIT_ROUNDOFF["float32"]


def assert_expected(error):
    """Serial sums, as kernels of old processors are, have rms 1, which n
    squares miss by sqrt(2 / n): four times that are for chance."""
    square = np.mean(error**2)
    assert 0.05**2 < square < 1 + 4 * np.sqrt(2 / error.size)


@pytest.mark.parametrize("form", ["addmm", "linear", "baddbmm"])
@pytest.mark.parametrize(
    "terms, size", [(32, 0.02), (64, 1.0), (512, 0.02), (2048, 1e-4)]
)
def test_a_bias_that_is_larger_than_the_products(form, terms, size):
    """float64 passes the self-check, float32 is near sigma."""
    generator = torch.Generator().manual_seed(terms)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    x, weight, bias = draw(22, terms), size * draw(terms, 96), draw(96)

    def compute(*arrays):
        x, weight, bias = arrays
        if form == "addmm":
            y = torch.addmm(bias, x, weight)
        elif form == "baddbmm":
            y = torch.baddbmm(bias, x[None], weight[None])
        else:
            layer = torch.nn.functional.linear
            y = layer(x[None], weight.T.contiguous(), bias)
        return {"y": y.numpy()}

    arrays = x, weight, bias
    wide = [a.double() for a in arrays]
    reference, sigma = estimate(lambda: compute(*wide), 0, 16)
    wanted, its = reference["y"], sigma["y"]
    value = compute(*arrays)["y"]
    assert ratio(value, wanted, its, "float32").max() < 0.5
    assert_expected((value - wanted) / (U * its))


def test_a_large_bias_of_a_convolution():
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    x, weight, bias = (
        draw(2, 16, 9, 9),
        0.02 * draw(8, 16, 3, 3),
        draw(8),
    )

    def compute(*arrays):
        return {"y": torch.conv2d(*arrays, padding=1).numpy()}

    wide = [a.double() for a in (x, weight, bias)]
    reference, sigma = estimate(lambda: compute(*wide), 0, 16)
    value = compute(x, weight, bias)["y"]
    wanted, its = reference["y"], sigma["y"]
    assert ratio(value, wanted, its, "float32").max() < 0.5
    assert_expected((value - wanted) / (U * its))


def test_whole_numbers_with_a_whole_bias_are_exact():
    x = torch.arange(6.0).reshape(2, 3).double()
    weight, bias = x.T.contiguous(), torch.tensor([1.0, 2.0]).double()
    _, sigma = estimate(
        lambda: {"y": torch.addmm(bias, x, weight).numpy()}, 0, 4
    )
    assert not sigma["y"].any()
    _, sigma = estimate(
        lambda: {"y": torch.addmm(bias / 3, x, weight).numpy()}, 0, 4
    )
    assert sigma["y"].all()


def test_a_reason_can_be_given_where_the_model_asks_for_a_bool():
    """A model that compares, as `(x != y).any()` does, has a reason."""
    x = torch.ones(3).double()

    def compute():
        assert bool((x == 1).all()) and x.sum().item() == 3
        return {"y": (x * 2).numpy()}

    assert reason(compute) == "every operation alone is right"

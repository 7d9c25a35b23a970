"""The noise rules against real rounding, and what they must refuse."""

import math

import numpy as np
import pytest
import torch

from shared_tests.roundoff.budget import RoundingNoise, estimate
from shared_tests.roundoff.rules import fourier, sums
from shared_tests.roundoff.verdict import FACTOR, UNIT_ROUNDOFF, judge

ENVIRONMENTS = ("pytorch",)

U = UNIT_ROUNDOFF["float32"]


def draws(seed, *shape):
    """float64 numbers that are exact in float32."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator).double()


def positive(seed, *shape):
    return (draws(seed, *shape).float().abs() + 0.5).double()


X = draws(1, 61, 67)
Y = positive(2, 61, 67)
LONG = draws(3, 7, 1009)
WEIGHT = draws(4, 1009, 11)

IMAGE, FILTERS = draws(8, 3, 5, 11, 13), draws(9, 7, 5, 3, 3)
UPSTREAM = draws(10, 3, 7, 6, 7)


def convolve(x, weight):
    """Strided and padded: the edges have fewer terms."""
    return torch.nn.functional.conv2d(x, weight, None, 2, 1)


def convolution_gradients(x, weight):
    x, weight = x.clone(), weight.clone()
    y = convolve(x.requires_grad_(), weight.requires_grad_())
    upstream = UPSTREAM.to(y.dtype)
    grads = torch.autograd.grad(y, (x, weight), upstream)
    return torch.cat([g.flatten() for g in grads])


OPERATIONS = {
    "add": (torch.add, X, Y),
    "sub": (torch.sub, X, Y),
    "mul": (torch.mul, X, Y),
    "div": (torch.div, X, Y),
    "reciprocal": (torch.reciprocal, Y),
    "powers of two times a constant": (
        lambda x: x * (1 / 255),
        2.0 ** torch.arange(-9, 9).double(),
    ),
    "sqrt": (torch.sqrt, Y),
    "exp": (torch.exp, X),
    "log": (torch.log, Y),
    "sin": (torch.sin, X),
    "cos": (torch.cos, X),
    "tanh": (torch.tanh, X),
    "sigmoid": (torch.sigmoid, X),
    "erf": (torch.erf, X),
    "sum": (torch.sum, LONG),
    "sum over rows": (lambda x: torch.sum(x, dim=0), LONG),
    "sum over columns": (lambda x: torch.sum(x, dim=1), LONG),
    "mean": (torch.mean, LONG),
    "mean over columns": (lambda x: torch.mean(x, dim=1), LONG),
    "mm": (torch.mm, LONG, WEIGHT),
    "bmm": (torch.bmm, LONG[None], WEIGHT[None]),
    "linear": (
        torch.nn.functional.linear,
        LONG,
        WEIGHT.T.contiguous(),
        Y[0, :11].contiguous(),
    ),
    "gelu": (torch.nn.functional.gelu, X),
    "softmax": (lambda x: torch.softmax(x, dim=1), X),
    "silu": (torch.nn.functional.silu, X),
    "conv2d": (convolve, IMAGE, FILTERS),
    "conv2d backward": (convolution_gradients, IMAGE, FILTERS),
    "rfft": (lambda x: torch.view_as_real(torch.fft.rfft(x)), LONG),
    "fft": (lambda x: torch.view_as_real(torch.fft.fft(x)), LONG),
}


def wide_and_narrow(operation, *args):
    narrow = operation(*(a.float() for a in args)).double().numpy()
    return operation(*args).numpy(), narrow


def sampled(operation, *args, seed=0, **options):
    _, sigma = estimate(
        lambda: {"y": operation(*args).numpy()}, seed, **options
    )
    return sigma["y"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_float32_keeps_the_budget_and_uses_it(name):
    """Real float32 errors stay within it, and are not lost in it."""
    operation, *args = OPERATIONS[name]
    wide, narrow = wide_and_narrow(operation, *args)
    sigma = sampled(operation, *args)
    assert judge(narrow.astype("f4"), wide, sigma, "float32").passed
    error = np.abs(narrow - wide)
    assert np.max(error / (FACTOR * U * sigma + 1e-300)) > 1 / 500


def serial_sum(terms):
    total = np.float32(0)
    for term in terms:
        total += term
    return float(total)


@pytest.mark.parametrize("offset", [0.0, 1.0, 100.0])
def test_the_sum_rule_is_that_of_adding_one_by_one(offset):
    """rms error of a plain loop over 500 random orders, against the rule."""
    rng = np.random.default_rng(5)
    terms = (offset + rng.standard_normal(300)).astype("f4")
    exact = math.fsum(terms.tolist())
    errors = [
        serial_sum(rng.permutation(terms)) - exact for _ in range(500)
    ]
    measured = math.sqrt(np.mean(np.square(errors))) / U
    wide = torch.tensor(terms).double()
    rule = float(
        sums.sum_noise(len(terms), wide.sum(), (wide * wide).sum())
    )
    assert 1 / 2 < measured / rule < 2


@pytest.mark.parametrize("n", [2, 12, 50, 64, 202, 331, 1000, 1024])
@pytest.mark.parametrize("mean", [0.0, 11.0, 1e4])
def test_the_transform_rule_knows_where_errors_are(n, mean):
    """Also beside a coefficient that is larger than all the others."""
    rng = np.random.default_rng(n)
    x = (mean + rng.standard_normal((200, n))).astype("f4")
    wide = torch.fft.fft(torch.tensor(x).double())
    error = torch.fft.rfft(torch.tensor(x)) - wide[:, : n // 2 + 1]
    rule = fourier.fft_noise(wide.abs() ** 2)[:, : n // 2 + 1]
    worst = torch.view_as_real(error).abs().amax(-1) / (U * rule)
    assert 1 < float(worst[rule > 0].max()) < 16


EXACT = {
    "neg": (torch.neg, X),
    "double": (lambda x: 2 * x, X),
    "times a tensor of powers of two": (
        torch.mul,
        X,
        torch.full_like(X, 0.25),
    ),
    "divided by four": (lambda x: x / 4, X),
    "relu": (torch.relu, X),
    "where": (lambda x: torch.where(x > 0, x, torch.zeros_like(x)), X),
    "transpose": (lambda x: x.T.reshape(-1), X),
    "one less a whole number": (lambda x: 1 - torch.round(x), X),
    "products of whole numbers": (
        lambda x: torch.round(9 * x) @ torch.round(9 * x).T,
        X,
    ),
    "sorted": (lambda x: torch.sort(x)[0], X),
    "finite": (torch.isfinite, X),
    "maximum of a row": (lambda x: torch.amax(x, dim=1), X),
    "lower triangle": (torch.tril, X),
    "concatenation": (lambda x: torch.cat([x, x]), X),
    "sum of one term": (lambda x: torch.sum(x[None], dim=0), X),
    "transform of one point": (
        lambda x: torch.view_as_real(torch.fft.rfft(x[..., None])),
        X,
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_exact_operations_have_no_budget(name):
    operation, *args = EXACT[name]
    assert not sampled(operation, *args).any()


def test_a_convolution_is_a_sum_of_products():
    """Away from the edges its noise is that of the matrix product."""
    y = convolve(IMAGE, FILTERS)
    patches = torch.nn.functional.unfold(IMAGE, 3, 1, 1, 2)
    rows = patches.transpose(1, 2).reshape(-1, 45)
    columns = FILTERS.flatten(1).T
    product = rows @ columns
    like = product.reshape(3, -1, 7).transpose(1, 2).reshape(y.shape)
    assert torch.allclose(like, y)
    one = sums.matmul_noise(product, rows, columns)
    one = one.reshape(3, -1, 7).transpose(1, 2).reshape(y.shape)
    two = sums.convolution_noise(
        y,
        IMAGE,
        FILTERS,
        None,
        [2, 2],
        [1, 1],
        [1, 1],
        False,
        [0, 0],
        1,
    )
    inner = (..., slice(1, -1), slice(1, -1))
    assert torch.allclose(one[inner], two[inner])
    assert (two[..., 0, :] < one[..., 0, :]).all()


def test_sums_of_whole_numbers_are_exact_up_to_2_24():
    """float32 holds every integer up to there, and not the next one."""
    ones = torch.ones(1, 1, dtype=torch.float64)
    assert np.float32(2**24 - 1) + np.float32(1) == 2**24
    assert np.float32(2**24) + np.float32(1) == 2**24
    for whole, exact in ((2**24, True), (2**24 + 1, False)):
        noise = sums.matmul_noise(whole * ones, whole * ones, ones)
        assert bool((noise == 0).all()) == exact
    half = sums.matmul_noise(ones, 2 * ones, ones / 2)
    assert (half > 0).all()


def test_an_operation_without_a_rule_is_refused():
    with (
        pytest.raises(
            NotImplementedError, match=r"no rounding rule.*bessel_j0"
        ),
        RoundingNoise(torch.Generator()),
    ):
        torch.special.bessel_j0(X)


def test_a_compound_operation_is_decomposed():
    sigma = sampled(lambda x: torch.nn.functional.silu(x), X)
    assert (sigma > 0).all()


def test_in_place_and_functional_have_the_same_noise():
    def in_place(x, y):
        return x.clone().mul_(y)

    one = sampled(torch.mul, X, Y)
    two = sampled(in_place, X, Y)
    assert np.array_equal(one, two)


def test_the_backward_pass_is_sampled_too():
    def gradient(x, y):
        x = x.clone().requires_grad_()
        return torch.autograd.grad(x * y, x, X)[0]

    assert np.array_equal(
        sampled(gradient, X, Y) > 0, (X * Y).numpy() != 0
    )


def centre(x):
    return x - torch.mean(x)


def test_sigma_scales_with_the_input():
    assert np.array_equal(
        sampled(centre, X * 1024), sampled(centre, X) * 1024
    )


def test_sigma_does_not_depend_on_the_step_of_the_sampling():
    one, two = sampled(centre, X), sampled(centre, X, step=2.0**-30)
    assert np.abs(np.log(two / one)).max() < 0.01


def test_cancellation_grows_the_budget():
    plain, offset = sampled(centre, X), sampled(centre, X + 4096)
    assert np.median(offset) > 500 * np.median(plain)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_rounds_sums_once(precision):
    """A float32 accumulator's own error is small beside the result's."""
    ratio = U / UNIT_ROUNDOFF[precision]
    args = positive(6, 5, 31), positive(7, 31, 3)
    sigma = sampled(torch.mm, *args, accumulator=ratio)
    once = torch.mm(*args).numpy() / math.sqrt(3)
    assert 1 / 2 < (sigma / once).min() <= (sigma / once).max() < 2


def test_the_same_seed_gives_the_same_sigma():
    one = sampled(torch.mul, X, Y, seed=1)
    assert np.array_equal(one, sampled(torch.mul, X, Y, seed=1))
    assert not np.array_equal(one, sampled(torch.mul, X, Y, seed=2))

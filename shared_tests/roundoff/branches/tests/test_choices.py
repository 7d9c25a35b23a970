"""Decisions are recorded as they are taken, held, and turned."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from shared_tests.roundoff.branches.choices import Choices

ENVIRONMENTS = ("pytorch",)


def draws(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator).double()


X = draws(1, 3, 5, 8)
UPSTREAM = draws(9, 4096)
IMAGE = draws(2, 2, 3, 9, 11)


def decided(x):
    """A few comparisons of x, as numbers."""
    signs = [x < 0.1, x <= 0.1, x > 0.1, x >= 0.1, x == 0.1, x != 0.1]
    return torch.stack(signs).double() * x


def sorted_both(x):
    y, index = torch.sort(x, 1, descending=True)
    return y * index.double()


def top_both(x):
    y, index = torch.topk(x, 3, -1)
    least, where = torch.topk(x, 2, 1, largest=False)
    return torch.cat(
        [
            (y * index.double()).flatten(),
            (least * where.double()).flatten(),
        ]
    )


def largest_both(x):
    y, index = torch.max(x, 1)
    least, where = torch.min(x, 2, keepdim=True)
    return torch.cat(
        [
            (y * index.double()).flatten(),
            (least * where.double()).flatten(),
        ]
    )


def arguments(x):
    return (
        torch.stack([torch.argmax(x), torch.argmin(x)]).double()
        * x.mean()
    )


def pooled(x, **how):
    return functional.max_pool2d(x, **how)


def rectified_in_place(x):
    return torch.relu_(x * 1.0)


OPERATIONS = {
    "comparisons": (decided, X),
    "relu": (torch.relu, X),
    "relu_": (rectified_in_place, X),
    "abs": (torch.abs, X),
    "sign": (lambda x: torch.sign(x) * x, X),
    "leaky_relu": (functional.leaky_relu, X),
    "maximum": (lambda x: torch.maximum(x, x.flip(0)), X),
    "round": (lambda x: torch.round(3 * x) * x, X),
    "floor": (lambda x: torch.floor(3 * x) * x, X),
    "ceil": (lambda x: torch.ceil(3 * x) * x, X),
    "trunc": (lambda x: torch.trunc(3 * x) * x, X),
    "to an integer": (lambda x: (3 * x).long().double() * x, X),
    "argmax": (arguments, X),
    "max": (largest_both, X),
    "topk": (top_both, X),
    "sort": (sorted_both, X),
    "max_pool2d": (lambda x: pooled(x, kernel_size=3), IMAGE),
    "max_pool2d, padded": (
        lambda x: pooled(x, kernel_size=3, stride=2, padding=1),
        IMAGE,
    ),
    "max_pool2d, ceil": (
        lambda x: pooled(x, kernel_size=2, stride=2, ceil_mode=True),
        IMAGE,
    ),
    "max_pool2d, dilated": (
        lambda x: pooled(x, kernel_size=(2, 3), dilation=2, stride=1),
        IMAGE[0],
    ),
}
SILENT = ("abs", "maximum")  # forward, a kink is no decision


def both_passes(function, x):
    x = x.clone().requires_grad_()
    y = function(x)
    upstream = UPSTREAM[: y.numel()].reshape(y.shape)
    (gradient,) = torch.autograd.grad(y, x, upstream)
    return y.detach().clone(), gradient


@pytest.mark.parametrize("name", OPERATIONS)
def test_recording_changes_nothing(name):
    function, x = OPERATIONS[name]
    y, gradient = both_passes(function, x)
    with Choices() as mode:
        y_there, gradient_there = both_passes(function, x)
    assert torch.equal(y, y_there)
    assert torch.equal(gradient, gradient_there)
    assert mode.sites


@pytest.mark.parametrize("name", OPERATIONS)
def test_held_decisions_do_not_jump(name):
    """Even when all numbers are others: the decisions of -x for x."""
    function, x = OPERATIONS[name]
    with Choices() as past:
        both_passes(function, x)
    with Choices(held=past.sites) as mode:
        both_passes(function, -x)
    for site, there in zip(past.sites, mode.sites, strict=True):
        assert torch.equal(site.outcome, there.outcome)
        assert site.position.shape == there.position.shape


def test_positions_are_distances_from_the_anchor():
    with Choices() as mode:
        torch.round(torch.tensor([0.2, 1.75, -0.5]).double())
        torch.gt(torch.tensor([1.0, 4.0]).double(), 3.0)
        torch.argmax(torch.tensor([[1.0, 5.0, 3.0]]).double(), 1)
        torch.sort(torch.tensor([2.0, 9.0, 4.0]).double())
    rounding, sign, pick, order = mode.sites
    assert rounding.anchor.tolist() == [0.5, 1.5, -0.5]
    assert rounding.other.tolist() == [1.0, 1.0, -1.0]
    assert sign.position.tolist() == [-2.0, 1.0]
    assert pick.position.tolist() == [[2.0, 4.0]]
    assert pick.outcome.item() == 1
    assert pick.other.tolist() == [[2, 0]]
    assert order.position.tolist() == [-2.0, -5.0]


@pytest.mark.parametrize(
    "packet, x, other",
    [
        (torch.floor, [1.2, 1.8, 3.0, -0.1], [0, 2, 2, 0]),
        (torch.ceil, [1.2, 1.8, 3.0, -0.1], [1, 3, 4, 1]),
        (torch.trunc, [1.2, 1.8, 3.0, -0.9], [0, 2, 2, -1]),
        (torch.trunc, [0.2, -0.2], [0, 0]),
        (torch.round, [1.2, 1.8, 3.5, 2.5], [2, 1, 3, 3]),
    ],
)
def test_what_lies_beyond_the_nearest_boundary(packet, x, other):
    with Choices() as mode:
        packet(torch.tensor(x, dtype=torch.float64))
    assert mode.sites[0].other.tolist() == other


def windows_of(x, size):
    """Plain loops: (largest, second) flat index of each window."""
    rows, columns = x.shape[0] - size + 1, x.shape[1] - size + 1
    found = np.zeros((2, rows, columns), int)
    for i in range(rows):
        for j in range(columns):
            every = [
                (x[i + a, j + b], (i + a) * x.shape[1] + j + b)
                for a in range(size)
                for b in range(size)
            ]
            every.sort(reverse=True)
            found[:, i, j] = [index for _, index in every[:2]]
    return found


def test_the_second_of_each_window_of_a_pooling():
    x = IMAGE[0, 0]
    with Choices() as mode:
        pooled(x[None, None], kernel_size=3, stride=1)
    largest, second = windows_of(x.numpy(), 3)
    assert np.array_equal(mode.sites[0].outcome[0, 0], largest)
    assert np.array_equal(mode.sites[0].other[0, 0, :, :, 0], second)


@pytest.mark.parametrize("relu", [torch.relu, rectified_in_place])
def test_the_gradient_of_a_rectifier_knows_what_it_was_given(relu):
    x = torch.tensor([1.0, -2.0]).double()
    with Choices() as mode:
        both_passes(relu, x)
    assert [site.position.tolist() for site in mode.sites] == [[1, -2]]
    with Choices(turned={0: {0: -1.0, 1: 1.0}}):
        y, gradient = both_passes(relu, x)
    assert y.tolist() == [1.0, 0.0]
    assert gradient.tolist() == [0.0, UPSTREAM[1]]


def test_ranks_are_swapped():
    x = torch.tensor([[1.0, 4.0, 2.0], [7.0, 9.0, 8.0]]).double()
    with Choices(turned={0: {(1, 0, 1): 0}}):
        _, index = torch.topk(x, 2)
    assert index.tolist() == [[1, 2], [2, 1]]
    with Choices(
        turned={0: {(1, 1, 2): 0}}
    ):  # the second with what is left
        _, index = torch.topk(x, 2)
    assert index.tolist() == [[1, 2], [1, 0]]


def test_a_pick_that_is_turned_can_be_turned_back():
    x = torch.tensor([1.0, 4.0, 2.0]).double()
    with Choices(turned={0: {0: 2}}) as mode:
        assert torch.argmax(x).item() == 2
    assert mode.sites[0].other.tolist() == [1, 0]


def test_infinities_and_nan_are_compared_as_ever():
    x = torch.tensor([math.inf, -math.inf, math.nan, 0.0]).double()
    for name in "lt le gt ge eq ne".split():
        compare = getattr(torch, name)
        for value in (0.0, math.inf, -math.inf, math.nan):
            with Choices():
                there = compare(x, value)
            assert torch.equal(there, compare(x, value)), (name, value)
    with Choices():
        there = torch.relu(x)
    assert torch.isnan(there[2]) and there[[0, 1, 3]].tolist() == [
        *(math.inf, 0.0, 0.0)
    ]


def test_integers_decide_nothing():
    with Choices() as mode:
        assert (torch.tensor([1, 2]) > 1).tolist() == [False, True]
    assert not mode.sites


def test_another_sequence_of_decisions_is_an_error():
    with Choices() as past:
        torch.round(X)
    mode = Choices(held=past.sites)
    with pytest.raises(ValueError, match="decision 0 expected"), mode:
        torch.round(X[0])
    mode = Choices(held=past.sites)
    with pytest.raises(ValueError, match="decision 1 was not"), mode:
        torch.round(X), torch.round(X)

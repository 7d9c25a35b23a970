"""Beside a tie: rounding, another side, or a mistake?"""

import numpy as np
import pytest
import torch

from shared_tests.roundoff import budget
from shared_tests.roundoff.branches.settled import settled
from shared_tests.roundoff.branches.sides import judge_sides, study
from shared_tests.roundoff.verdict import judge

ENVIRONMENTS = ("pytorch",)


def computing(function, *inputs, cotangent=None):
    """compute(dtype) -> what function returns, and its gradient of x."""

    def in_dtype(dtype):
        def compute():
            x, *rest = (
                a
                if a.dtype.kind in "iu"
                else torch.tensor(a, dtype=dtype)
                for a in map(np.asarray, inputs)
            )
            x.requires_grad_()
            y = function(x, *rest)
            found = {"out.y": y.detach().numpy()}
            if cotangent is not None:
                dy = torch.tensor(cotangent, dtype=dtype)
                (dx,) = torch.autograd.grad(y, x, dy)
                found["grad.x"] = dx.numpy()
            return found

        return compute

    return in_dtype


def words_of(function, port, *inputs, cotangent=None, edit=None):
    reference = computing(function, *inputs, cotangent=cotangent)
    ported = computing(port, *inputs, cotangent=cotangent)
    value = ported(torch.float32)()
    if edit:
        edit(value)
    found = study(reference(torch.float64), seed=0, runs=12)
    return {k: v.word for k, v in judge_sides(found, value).items()}


# a quantizer with three of four numbers at a tie
TIES = [0.25, 0.75, 1.25, 0.5, 1.125]
DY = [0.0625, -0.4375, 0.375, -1.875, 2.0]


def quantized(x, rounding=torch.round):
    step = torch.tensor(1.5, dtype=x.dtype) * (1 / 3)
    return torch.relu(x) * rounding(torch.relu(x) * (1 / step)) * step


def upwards(x):
    return quantized(x, lambda u: torch.floor(u + 0.5))


def test_sigma_is_the_budget_where_nothing_is_open():
    compute = computing(quantized, [0.3, 0.8], cotangent=[1.0, 2.0])
    compute = compute(torch.float64)
    found = study(compute, seed=3, runs=5)
    reference, sigma = budget.estimate(compute, 3, 5)
    assert not found.open
    for name in reference:
        assert np.array_equal(found.reference[name], reference[name])
        assert np.array_equal(found.sigma[name], sigma[name])


def test_no_jump_is_in_sigma():
    compute = computing(quantized, TIES, cotangent=DY)(torch.float64)
    smooth = study(compute, seed=0).sigma
    _, sigma = budget.estimate(compute, seed=0)
    for name in sigma:
        assert (sigma[name][:3] > 1e5).all()
        assert (smooth[name] < 4).all()


def test_the_reference_s_side_is_rounding():
    found = words_of(quantized, quantized, TIES, cotangent=DY)
    assert found == {"out.y": "rounding", "grad.x": "rounding"}


def test_the_other_side_is_undecided():
    found = words_of(quantized, upwards, TIES, cotangent=DY)
    assert found == {"out.y": "undecided", "grad.x": "undecided"}


def test_which_decisions_the_port_turned_is_said():
    reference = computing(quantized, TIES, cotangent=DY)
    port = computing(upwards, TIES, cotangent=DY)
    found = study(reference(torch.float64), seed=0, runs=12)
    words = [choice.words for choice in found.open]
    assert words == [
        "round at [0] takes 0 or 1",
        "round at [1] takes 2 or 1",
        "round at [2] takes 2 or 3",
    ]
    judged = judge_sides(found, port(torch.float32)())["out.y"]
    assert judged.ratio < 0.5
    assert judged.detail == (
        f"rounding alone decides: {words[0]}; {words[2]}"
    )


@pytest.mark.parametrize("element", range(5))
def test_a_small_fault_is_a_bug_beside_ties_too(element):
    """It was inside of a budget as large as a step before."""

    def edit(value):
        value["out.y"][element] += 1e-5

    found = words_of(
        quantized, quantized, TIES, cotangent=DY, edit=edit
    )
    assert found == {"out.y": "bug", "grad.x": "rounding"}


def test_all_arrays_stand_on_one_side():
    """The value of one side and the gradient of the other: a bug."""

    def edit(value):
        value["grad.x"][0] = DY[0] * 0.5  # as if the code were 1

    found = words_of(
        quantized, quantized, TIES, cotangent=DY, edit=edit
    )
    assert found == {"out.y": "rounding", "grad.x": "bug"}


def test_a_sum_of_quantized_numbers():
    def total(function):
        return lambda x: torch.sum(function(x)).reshape(1)

    def edit(value):
        value["out.y"] += 0.03

    args = total(quantized), total(upwards), TIES
    assert words_of(*args) == {"out.y": "undecided"}
    assert words_of(*args, edit=edit) == {"out.y": "bug"}


def test_a_decision_can_turn_those_behind_it():
    """The second quantizer sees what the first has made."""

    def twice(first):
        def function(x):
            y = torch.relu(x) * (2 / 3)
            return torch.round(first(y * 1.5) * 5.1) * 0.1

        return function

    def upwards(x):
        return torch.floor(x + 0.5)

    x = [0.5, 2.5, 1.2]
    found = words_of(twice(torch.round), twice(upwards), x)
    assert found == {"out.y": "undecided"}


def cancelled(x):
    """0 in float32 where x is 2^-25; its gradient is that of x."""
    one = torch.ones_like(x)
    return (one + x) - one


def test_a_rectifier_beside_its_kink():
    def late(x):
        return torch.relu(cancelled(x)) * 3.0

    x, dy = [2.0**-26, 0.5, -0.5], [1.0, 2.0, 3.0]
    found = words_of(late, late, x, cotangent=dy)
    assert found == {"out.y": "rounding", "grad.x": "undecided"}

    def edit(value):
        value["grad.x"][0] = 2.0

    found = words_of(late, late, x, cotangent=dy, edit=edit)
    assert found == {"out.y": "rounding", "grad.x": "bug"}


def test_a_difference_that_rounding_makes_zero():
    """The gradient of |d| is a sign, and 0 where d is 0 in float32."""

    def size(x):
        return torch.abs(cancelled(x)) * 3.0

    x, dy = [2.0**-26, 0.5, -0.5], [1.0, 2.0, 3.0]
    found = words_of(size, size, x, cotangent=dy)
    assert found == {"out.y": "rounding", "grad.x": "undecided"}


THIRDS = np.array([[1.0, 3.0, 3.0 - 2.0**-21, 2.0]])


def scaled(x):
    return x * (1 / 3) + 1000.0


def test_an_argmax_that_rounding_decides():
    def first(x):
        return torch.argmax(scaled(x), 1)

    def last(x):
        return 3 - torch.argmax(scaled(x).flip(1), 1)

    assert words_of(first, first, THIRDS) == {"out.y": "rounding"}
    assert words_of(first, last, THIRDS) == {"out.y": "undecided"}
    assert words_of(first, last, [[1.0, 3.0, 3.0, 2.0]]) == {
        "out.y": "undecided"
    }


def test_an_argmax_that_rounding_does_not_decide():
    def first(x):
        return torch.argmax(scaled(x), 1)

    def second(x):
        return torch.topk(scaled(x), 2)[1][:, 1]

    found = words_of(first, second, [[1.0, 3.0, 2.9, 2.0]])
    assert found == {"out.y": "bug"}


def test_the_largest_of_a_window_passes_its_gradient_on():
    def pooled(x):
        y = scaled(x).reshape(1, 1, 1, -1)
        return torch.nn.functional.max_pool2d(y, (1, 3), 1).flatten()

    def other(x):
        return pooled(x.flip(1)).flip(0)

    found = words_of(pooled, pooled, THIRDS, cotangent=[1.0, 2.0])
    assert found == {"out.y": "rounding", "grad.x": "rounding"}
    found = words_of(pooled, other, THIRDS, cotangent=[1.0, 2.0])
    assert found == {"out.y": "rounding", "grad.x": "undecided"}


def test_the_last_of_the_top_k():
    def top(x):
        return torch.topk(scaled(x), 1)[1]

    def other(x):
        return 3 - torch.topk(scaled(x).flip(1), 1)[1]

    assert words_of(top, other, THIRDS) == {"out.y": "undecided"}
    far = [[1.0, 3.0, 2.0, 2.5]]
    assert words_of(top, top, far) == {"out.y": "rounding"}


def test_more_ties_than_are_tried_are_left_open():
    x = np.full(100, 0.25)
    found = words_of(quantized, upwards, x)
    assert found == {"out.y": "undecided"}


def test_many_ties_hide_no_fault_elsewhere():
    def edit(value):
        value["out.y"][100] += 1e-5

    x = np.array([0.25] * 100 + [1.125])
    found = words_of(quantized, quantized, x, edit=edit)
    assert found == {"out.y": "bug"}


# --- what the working precision settles


def judged_settled(function, port, edit=None):
    compute = computing(function, TIES, cotangent=DY)
    reference, sigma = settled(
        compute(torch.float64), compute(torch.float32), 0, runs=12
    )
    value = computing(port, TIES, cotangent=DY)(torch.float32)()
    return {
        name: budget_word(value[name], reference[name], sigma[name])
        for name in value
    }


def budget_word(value, reference, sigma):
    return judge(value, reference, sigma, "float32").passed


def test_prescribed_operations_leave_no_choice():
    right = judged_settled(quantized, quantized)
    assert right == {"out.y": True, "grad.x": True}
    wrong = judged_settled(quantized, upwards)
    assert wrong == {"out.y": False, "grad.x": False}


def test_a_sum_prescribes_nothing():
    """Its order is free, so either side of a tie behind it is right."""

    def summed(rounding):
        def function(x):
            total = torch.sum(torch.stack([x, x * 0.3, -x * 0.3]), 0)
            return rounding(torch.relu(total) * 2.0) * torch.relu(x)

        return function

    wrong = judged_settled(
        summed(torch.round), summed(lambda u: torch.floor(u + 0.5))
    )
    assert wrong == {"out.y": True, "grad.x": True}


def test_the_working_precision_s_own_side_is_taken():
    """3 x is rounded to a tie in float32, and lies beside it."""

    def function(x):
        return torch.round(x * 3) * torch.relu(x)

    x = [float(np.float32(0.5 / 3)), float(np.float32(2.5 / 3))]
    compute = computing(function, x)
    reference, sigma = settled(
        compute(torch.float64), compute(torch.float32), 0, runs=3
    )
    there = compute(torch.float32)()["out.y"]
    its = sigma["out.y"]
    assert judge(there, reference["out.y"], its, "float32").passed
    plain = compute(torch.float64)()["out.y"]
    assert not judge(there, plain, its, "float32").passed

"""The criteria of whole arrays pass and fail by their own definitions."""

import numpy as np
import pytest
import torch
from torch._dynamo.utils import same

from shared_tests.trials import array_criteria

ENVIRONMENTS = ("pytorch",)


def ratio(name, value, reference, second, precision="float32"):
    value, reference, second = (
        np.asarray(part, float) for part in (value, reference, second)
    )
    found = array_criteria.ratios(
        value, reference, second, precision, value.shape
    )
    return found[name]


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize(
    "shape", [(7,), (400,), (999,), (1000,), (50, 20, 1, 1)]
)
def test_as_torch_decides(shape, small):
    """Errors of 1 to 20 times those of the second run."""
    rng = np.random.default_rng(len(shape) + small)
    name = "same small" if small else "same"
    seen = set()
    for _ in range(60):
        reference = rng.standard_normal(shape)
        errors = 3e-4 * rng.standard_normal((2, *shape))
        errors[0] *= 20 ** rng.uniform()
        value, second = (reference + errors).astype("f4")
        passed = same(
            *map(torch.tensor, (second, value, reference)),
            equal_nan=True,
            log_error=lambda *_, **__: None,
            use_larger_multiplier_for_smaller_tensor=small,
        )
        seen.add(passed)
        found = ratio(name, value, reference, second)
        assert (found <= 1) == passed
    assert seen == {False, True}


@pytest.mark.parametrize(
    "size, plain, small",
    [(10, 3, 10), (11, 3, 8), (500, 3, 8), (501, 3, 3), (1000, 2, 2)],
)
def test_how_many_times(size, plain, small):
    factor = array_criteria.multiplier
    assert factor("float32", (size,), False) == plain
    assert factor("float32", (size,), True) == small
    assert factor("float16", (size,), False) == 3


def test_torch_has_a_floor():
    """An exact second run: RMSE up to 1e-5 pass, and 1e-4 each."""
    reference = np.ones(2000)
    for error, passed in ((1.9e-4, True), (2.1e-4, False)):
        found = ratio("same", reference + error, reference, reference)
        assert (found <= 1) == passed
    one = np.zeros(2000)
    one[7] = 4e-4
    assert ratio("same", 3 + one, 3 + 0 * one, 3 + 0 * one) < 1
    assert ratio("same", 3 + 2 * one, 3 + 0 * one, 3 + 0 * one) > 1


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_flash_attention(precision):
    """In the words of its test, by torch itself."""
    dtype = getattr(torch, precision)
    generator = torch.Generator().manual_seed(1)
    scale = 2.0 ** (-22 if precision == "float32" else -7)
    seen = set()
    for factor in np.linspace(0.5, 12, 40):
        wide = torch.randn(50, generator=generator).double()
        noise = torch.randn(2, 50, generator=generator).double()
        ref = wide.to(dtype)
        pt = (wide + scale * noise[0]).to(dtype)
        out = (wide + factor * scale * noise[1]).to(dtype)
        # as on a GPU, which does not round the 0.3 itself to 16 bits
        moved = (ref.float() + 0.3).to(dtype)
        moved = (moved.float() - 0.3).to(dtype) - ref
        atol = 2 * moved.abs().max().item()
        largest = (pt.double() - ref.double()).abs().max().item()
        error = (out.double() - ref.double()).abs().max().item()
        passed = error <= 2 * largest + atol
        seen.add(passed)
        value, second = out.double().numpy(), pt.double().numpy()
        found = ratio("flash", value, wide.numpy(), second, precision)
        assert (found <= 1) == passed
    assert seen == {False, True}


def test_neuron():
    """The largest error, and the distribution of all. With one input
    the norm's factor, 3, is never what decides."""
    rng = np.random.default_rng(3)
    reference = rng.standard_normal(4000)
    noise = rng.standard_normal((2, 4000))
    second = reference + 1e-6 * noise[0]

    def of(error):
        return ratio("neuron", reference + error, reference, second)

    assert of(1e-6 * noise[1]) < 1
    assert of(0.3e-6 * noise[1]) < 1  # better than the second run
    assert of(1.1e-6 * noise[1]) < 1  # nearly the same distribution
    assert of(1.5e-6 * noise[1]) > 1  # neither
    spike = 1e-6 * noise[1]
    spike[5] = 5.1 * np.max(np.abs(1e-6 * noise[0]))
    assert of(spike) == pytest.approx(5.1 / 5)
    spike[5] *= 4.9 / 5.1
    assert of(spike) < 1


def test_ascend():
    """Root mean square 2, largest relative error 10, mean of these 2."""
    reference = np.full(100, 2.0)
    second = reference + 1e-6

    def of(error):
        return ratio("ascend", reference + error, reference, second)

    assert of(np.full(100, 1.9e-6)) < 1
    assert of(np.full(100, 2.1e-6)) > 1
    one = np.zeros(100)
    one[3] = 9e-6
    assert of(one) < 1
    one[3] = 11e-6
    assert of(one) == pytest.approx(1.1)
    some = np.arange(100) < 6  # the root mean square alone
    assert of(9e-6 * some) == pytest.approx(9 * 0.06**0.5 / 2)
    second = reference + 1e-5 * (np.arange(100) < 1)
    # the mean alone
    assert of(np.full(100, 2.2e-7)) == pytest.approx(1.1)


def test_ascend_has_small_values_apart():
    """Of those the share that is off counts, by how much does not."""
    reference = np.full(10, 1e-5)
    second = reference + 1e-8 * (np.arange(10) < 1)
    many = np.arange(10) < 2
    found = ratio("ascend", reference + many, reference, second)
    assert found == pytest.approx(1)
    many = np.arange(10) < 3
    assert ratio("ascend", reference + many, reference, second) > 1
    assert ratio("ascend", reference + many, reference, reference) > 1
    tiny = reference + 2.0**-31
    assert ratio("ascend", tiny, reference, second) == 0


def pcc(value, reference):
    return ratio("pcc", value, reference, reference)


def test_correlation():
    rng = np.random.default_rng(5)
    reference, noise = rng.standard_normal((2, 500))
    for size in (0.1, 0.14, 0.15, 0.3):
        value = reference + size * noise
        correlation = np.corrcoef(value, reference)[0, 1]
        assert (pcc(value, reference) <= 1) == (correlation >= 0.99)
    assert pcc(reference + 0.1 * noise, reference) < 1
    assert pcc(reference + 0.3 * noise, reference) > 1
    assert pcc(-reference, reference) > 1


def test_what_the_correlation_does_not_see():
    """tt-metal issue 22994: twice as large, and one more."""
    reference = np.random.default_rng(6).standard_normal(50)
    assert pcc(2 * reference + 1, reference) < 1e-9
    assert pcc(reference * 1e-200, reference) < 1e-9
    assert pcc(np.full(4, 7.0), np.arange(4.0)) == 0  # a constant array
    assert pcc([7.0], [1.0]) == 0  # a single element


def test_where_there_is_no_correlation():
    nothing, some = np.zeros(3), np.arange(3.0)
    assert pcc(nothing, some) == pcc(some, nothing) == np.inf
    unknown = np.full(3, np.nan)
    assert pcc(unknown, some) == np.inf and pcc(unknown, unknown) == 0


def test_float64_has_no_second_run():
    """There the original is the reference."""
    one = np.ones(3)
    found = array_criteria.ratios(one, one, one, "float64", (3,))
    assert found == {"pcc": 0.0}
    found = array_criteria.ratios(one, one, None, "float32", (3,))
    assert found == {"pcc": 0.0}

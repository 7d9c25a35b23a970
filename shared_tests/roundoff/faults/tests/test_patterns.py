"""A fault in the numbers has its own words, and no others."""

import numpy as np
import pytest

from shared_tests.roundoff.faults import patterns
from shared_tests.roundoff.faults.patterns import Case

ENVIRONMENTS = ("tools", "pytorch")

RNG = np.random.default_rng(3)
U = 2.0**-24
Y = RNG.standard_normal((5, 7)) + 0.3
SQUARE = RNG.standard_normal((6, 6)) + 0.3
CUBE = RNG.standard_normal((4, 5, 6))


def rounded(array, seed=1):
    """As correct float32 code may have it."""
    noise = np.random.default_rng(seed).standard_normal(array.shape)
    return (array * (1 + U * noise)).astype(np.float32)


def case_of(value, reference=Y, name="out.y", **how):
    return Case(name, value, reference, np.abs(reference) + 0.1, **how)


def said(case):
    texts = [text for find in patterns.WHOLE for text in find(case)]
    return texts or patterns.places(case)


def rows_masked(array, at):
    array = array.copy()
    array[at] += 1.0 + RNG.random(array[at].shape)
    return array


def bfloat16(array):
    bits = np.asarray(array, np.float32).view(np.uint32)
    return ((bits + 0x8000) & 0xFFFF0000).view(np.float32)


UPPER = np.triu(np.ones((6, 6), bool), 1)
DIAGONAL = np.eye(6, dtype=bool)
FAULTS = {
    "right": (Y, rounded(Y), []),
    "zero": (Y, 0 * rounded(Y), ["0 everywhere"]),
    "one element": (
        *(Y, rows_masked(rounded(Y), (2, 3))),
        ["one element of 35 is wrong, [2, 3]"],
    ),
    "times 2": (
        Y,
        rounded(2 * Y),
        ["a constant factor of 2 (2, 1 / (1 - p), p = 0.5)"],
    ),
    "sign": (Y, rounded(-Y), ["a constant factor of -1 (-1)"]),
    "1 + 1e-5": (
        *(Y, rounded((1 + 1e-5) * Y)),
        ["a constant factor of 1.00001"],
    ),
    "sum for mean": (
        *(Y, rounded(7 * Y)),
        ["a constant factor of 7 (n = 7)"],
    ),
    "sqrt d": (
        *(Y, rounded(Y / np.sqrt(7))),
        ["a constant factor of 0.377964 (1 / sqrt(d), d = 7)"],
    ),
    "sample variance": (
        *(Y, rounded(Y * 35 / 34)),
        ["a constant factor of 1.02941 (n / (n - 1), n = 35)"],
    ),
    "dropout": (
        *(Y, rounded(Y / 0.9)),
        ["a constant factor of 1.11111 (1 / (1 - p), p = 0.1)"],
    ),
    "offset": (Y, rounded(Y + 1), ["a constant offset of 1"]),
    "both": (Y, rounded(2 * Y + 1), ["times 2, plus 1"]),
    "bias": (
        *(Y, rounded(Y + np.arange(1.0, 8.0))),
        [
            "an offset that depends on axis 1 only: a bias left out, or"
            " another one"
        ],
    ),
    "scales": (
        *(Y, rounded(Y * np.arange(2.0, 7.0)[:, None])),
        ["a factor that depends on axis 0 only"],
    ),
    "transposed": (
        *(SQUARE, rounded(SQUARE.T)),
        ["the axes are permuted, to (1, 0)"],
    ),
    "another shape": (
        *(Y, rounded(Y.T)),
        ["the axes are permuted, to (1, 0)"],
    ),
    "layout": (
        *(Y, rounded(Y.T.reshape(Y.shape))),
        [
            "numbers laid out with the axes permuted to (1, 0), and"
            " read as (5, 7)"
        ],
    ),
    "permuted": (
        *(CUBE, rounded(CUBE.transpose(2, 0, 1))),
        ["the axes are permuted, to (2, 0, 1)"],
    ),
    "swapped": (
        *(Y, rounded(Y[[0, 3, 2, 1, 4]])),
        ["along axis 0, 1 and 3 have changed places"],
    ),
    "reversed": (
        *(Y, rounded(Y[:, ::-1])),
        ["along axis 1, the order is reversed"],
    ),
    "moved": (
        *(Y, rounded(np.roll(Y, 2, 1))),
        ["along axis 1, everything is moved by 2 of 7"],
    ),
    "reordered": (
        *(Y, rounded(Y[[1, 2, 0, 4, 3]])),
        ["along axis 0, the order is 1, 2, 0, 4, 3"],
    ),
    "bfloat16": (
        *(Y, bfloat16(Y)),
        ["every number has 8 significant bits: bfloat16"],
    ),
    "late positions": (
        *(Y, rows_masked(rounded(Y), np.s_[:, 4:])),
        [
            "only positions from 4 on of axis 1 differ: a mask, or its"
            " corner?"
        ],
    ),
    "early positions": (
        *(Y, rows_masked(rounded(Y), np.s_[:2])),
        [
            "only positions up to 1 of axis 0 differ: a mask, or its"
            " corner?"
        ],
    ),
    "one position": (
        *(Y, rows_masked(rounded(Y), np.s_[:, 6])),
        ["only position 6 of axis 1 differ: a mask, or its corner?"],
    ),
    "above": (
        *(SQUARE, rows_masked(rounded(SQUARE), UPPER)),
        [
            "only elements above the diagonal of the last two axes"
            " differ: a mask, or its corner?"
        ],
    ),
    "diagonal": (
        *(SQUARE, rows_masked(rounded(SQUARE), DIAGONAL)),
        [
            "only elements on the diagonal of the last two axes differ:"
            " a mask, or its corner?"
        ],
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_has_its_words_and_no_others(name):
    reference, value, words = FAULTS[name]
    assert said(case_of(value, reference)) == words


def test_a_gradient_that_is_not_there():
    case = case_of(0 * rounded(Y), name="grad.weight")
    assert said(case) == [
        "the gradient is 0 everywhere: cut off, or never computed"
    ]


def test_sizes_of_the_module_are_known():
    case = case_of(rounded(Y / np.sqrt(64)), sizes=(64,))
    assert "1 / sqrt(d), d = 64" in said(case)[0]
    assert said(case_of(rounded(Y / np.sqrt(64)))) == [
        "a constant factor of 0.125"
    ]


@pytest.mark.parametrize("seed", range(100, 120))
def test_random_errors_have_no_words(seed):
    rng = np.random.default_rng(seed)
    error = 1e-3 * rng.standard_normal(Y.shape)
    assert said(case_of((Y + error).astype(np.float32))) == []


@pytest.mark.parametrize("seed", range(100, 120))
def test_a_few_scattered_errors_have_no_words(seed):
    rng = np.random.default_rng(seed)
    value = rounded(CUBE)
    at = rng.choice(CUBE.size, 6, replace=False)
    value.flat[at] += 0.1 + rng.random(6).astype(np.float32)
    assert said(case_of(value, CUBE)) == []


def test_a_scalar_has_only_known_factors():
    one = np.array(0.7)
    assert said(case_of(rounded(one * 1.7), one)) == []
    assert said(case_of(rounded(one * 2), one)) == [
        "a constant factor of 2 (2, 1 / (1 - p), p = 0.5)"
    ]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nothing_is_said_of_what_is_no_number(bad):
    assert said(case_of(np.full_like(Y, bad, np.float32))) == []


def test_empty_arrays_are_right():
    assert said(case_of(np.zeros((0, 3), "f4"), np.zeros((0, 3)))) == []


def test_narrow_numbers_of_a_narrow_reference_are_no_news():
    reference = bfloat16(Y).astype(float)
    value = bfloat16(Y[[0, 3, 2, 1, 4]])
    assert said(case_of(value, reference)) == [
        "along axis 0, 1 and 3 have changed places"
    ]


def test_one_of_two_positions_is_no_mask():
    value = rows_masked(rounded(Y[:2]), np.s_[:1])
    assert said(case_of(value, Y[:2])) == []

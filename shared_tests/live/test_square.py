"""Portable checkpoints: 4 x 4 frameworks, each layer; here in float32.
square_table.py has all precisions, and larger models."""

import pytest

from shared_tests.environments import FRAMEWORKS
from shared_tests.live.square_table import square, table

ENVIRONMENTS = ("tools",)

SAMPLE = ("float32",)


@pytest.fixture(scope="module")
def rows():
    return square(SAMPLE)


def test_every_file_is_loaded_by_all(rows):
    """20 layers, QATMultiHeadAttention, and two models, each frozen and
    converted."""
    pairs = [(row["author"], row["loader"]) for row in rows]
    for author in FRAMEWORKS:
        for loader in FRAMEWORKS:
            assert pairs.count((author, loader)) == 21 + 2 * 2
    assert not [row for row in rows if row["refused"]]


def test_the_same_bits(rows):
    """A loaded layer, saved again, gives the same file."""
    assert not [row for row in rows if not row["same"]]


@pytest.mark.parametrize("judged", ["budget", "equal"])
def test_the_same_numbers(rows, judged):
    judged = [row for row in rows if row["judged"] == judged]
    assert judged and max(row["ratio"] for row in judged) <= 1


def test_the_table_has_a_line_for_each_pair(rows):
    assert len(list(table(rows))) == 2 + len(FRAMEWORKS) ** 2

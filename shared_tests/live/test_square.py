"""Portable checkpoints: 4 x 4 frameworks, each layer; here in two of the
precisions, in all of them by square_table.py."""

import pytest

from shared_tests.environments import FRAMEWORKS
from shared_tests.live.square_table import square, table

ENVIRONMENTS = ("tools",)

SAMPLE = ("float32", "bfloat16")


@pytest.fixture(scope="module")
def rows():
    return square(SAMPLE)


def test_every_file_is_loaded_by_all(rows):
    """18 layers and QATMultiHeadAttention in float32, 12 also in
    bfloat16; four models frozen and converted, two also in bfloat16."""
    pairs = [(row["author"], row["loader"]) for row in rows]
    for author in FRAMEWORKS:
        number = {"mxnet": 19 + 8}.get(author, 19 + 12 + 8 + 4)
        for loader in FRAMEWORKS:
            assert pairs.count((author, loader)) == number


def test_what_is_refused(rows):
    """bfloat16 in MXNet, and nothing else."""
    refused = [row for row in rows if row["refused"]]
    assert refused
    for row in refused:
        assert row["loader"] == "mxnet"
        assert row["precision"] == "bfloat16"
        assert "that MXNet 1.9.1 has, got 'bfloat16'" in row["refused"]


def test_the_same_bits(rows):
    """A loaded layer, saved again, gives the same file."""
    wrong = [r for r in rows if not (r["same"] or r["refused"])]
    assert not wrong


@pytest.mark.parametrize("judged", ["budget", "equal"])
def test_the_same_numbers(rows, judged):
    judged = [row for row in rows if row["judged"] == judged]
    assert judged and max(row["ratio"] for row in judged) <= 1


def test_the_table_has_a_line_for_each_pair(rows):
    assert len(list(table(rows))) == 2 + len(FRAMEWORKS) ** 2

"""Portable checkpoints: 4 x 4 frameworks, each layer, each precision."""

import json

import pytest

from shared_tests.environments import FRAMEWORKS
from shared_tests.processes import Child, module

ENVIRONMENTS = ("tools",)

SECONDS = 600  # on a busy machine
# files of each author, and how each loader judges one: by the budget of
# the case, by equal bits, or as a file alone
FILES = dict(pytorch=84, jax=84, tf=84, mxnet=67)


@pytest.fixture(scope="module")
def square(tmp_path_factory):
    """[row] of square.py, each with the framework that loaded."""
    folder = str(tmp_path_factory.mktemp("square"))
    name, rows = "shared_tests.live.square", []
    children = {
        f: Child(module(f, name, f, folder)) for f in FRAMEWORKS
    }
    try:
        for child in children.values():
            assert "saved" in json.loads(child.line(SECONDS))
        for child in children.values():
            child.send(b"load\n", SECONDS)
        for framework, child in children.items():
            row = json.loads(child.line(SECONDS))
            while "author" in row:
                rows.append(row | dict(loader=framework))
                row = json.loads(child.line(SECONDS))
    finally:
        for child in children.values():
            child.stop()
    return rows


def test_every_file_is_loaded_by_all(square):
    pairs = [(row["author"], row["loader"]) for row in square]
    for author, number in FILES.items():
        for loader in FRAMEWORKS:
            assert pairs.count((author, loader)) == number


def test_what_is_refused(square):
    """bfloat16 in MXNet, and nothing else."""
    refused = [row for row in square if row["refused"]]
    assert refused
    for row in refused:
        assert row["loader"] == "mxnet"
        assert row["precision"] == "bfloat16"
        assert (
            "one that MXNet 1.9.1 has, got 'bfloat16'" in row["refused"]
        )


def test_the_same_bits(square):
    """A loaded layer, saved again, gives the same file."""
    wrong = [r for r in square if not (r["same"] or r["refused"])]
    assert not wrong


@pytest.mark.parametrize("judged", ["budget", "equal"])
def test_the_same_numbers(square, judged):
    rows = [row for row in square if row["judged"] == judged]
    assert rows and max(row["ratio"] for row in rows) <= 1

"""Spoiled files: a sentence, or what the good one holds; nothing else.

`make broken-files` tries 10,000 of each reader; here are a few.
"""

import os

import pytest

from shared_tests.hostile import kills
from shared_tests.hostile.readers import Trial, saver

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

FILES = dict(own=150, portable=300)
FEW = dict(own=50, portable=300)  # Keras is slow at saving and loading


@pytest.mark.parametrize("reader", ["own", "portable"])
def test_spoiled_files(framework, reader, tmp_path, monkeypatch):
    # nothing here has to survive the machine
    monkeypatch.setattr(os, "fsync", lambda file: None)
    trial = Trial(framework, reader, tmp_path)
    number = (FEW if framework == "tf" else FILES)[reader]
    found = [trial.examine(n) for n in range(number)]
    assert not [row for row in found if row.what == "finding"]
    if (framework, reader) == ("pytorch", "own"):  # it has a CRC-32
        assert not [row for row in found if row.what == "other numbers"]
    refused = [row for row in found if row.what == "refused"]
    assert len(refused) > number / 2
    # some mutations do not count, so that good files are loaded here
    assert [row for row in found if row.what == "as it was"]
    assert len({row.how for row in found}) >= 12


@pytest.mark.parametrize("reader", ["own", "portable"])
def test_kills(framework, reader, tmp_path):
    save, path = saver(framework, reader, tmp_path)
    found = kills.killed(save, path, 6)
    assert found["kills"] == found["first"] + found["second"] == 6

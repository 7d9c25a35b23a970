"""Nests: paths, the same nest with other leaves, JSON and back."""

import collections
import dataclasses
import json

import numpy as np
import pytest

from shared_tests.roundoff import nest
from shared_tests.roundoff.foreign import crossing

ENVIRONMENTS = ("tools",)

Pair = collections.namedtuple("Pair", "left right")


@dataclasses.dataclass
class Output:
    logits: object
    hidden: object = None


@pytest.mark.parametrize(
    "tree, paths",
    [
        (3, ["y"]),
        (None, []),
        ((1, [2, None]), ["0", "1.0"]),
        ({"a": {"b": 1}, 7: 2}, ["a.b", "7"]),
        (Pair(1, (2,)), ["left", "right.0"]),
        (Output(1, (2, 3)), ["logits", "hidden.0", "hidden.1"]),
        (collections.OrderedDict(z=1, a=2), ["z", "a"]),
    ],
)
def test_paths(tree, paths):
    assert list(nest.flatten(tree)) == paths


def test_two_leaves_of_one_path_are_an_error():
    with pytest.raises(ValueError, match=r"two arrays .* 'a\.b'"):
        nest.flatten({"a": {"b": 1}, "a.b": 2})


def test_the_same_nest_with_other_leaves():
    tree = {"a": [1, None], "b": Pair(2, (3,)), "c": Output(4)}
    paths = []

    def double(path, leaf):
        paths.append(path)
        return 2 * leaf

    assert nest.map_leaves(double, tree) == {
        "a": [2, None],
        "b": Pair(4, (6,)),
        "c": Output(8),
    }
    assert paths == ["a.0", "b.left", "b.right.0", "c.logits"]


def test_a_message_crosses(tmp_path):
    sent = {
        "x": (np.arange(3), [np.float32(1.5), None]),
        "flag": True,
        "none": None,
        "": {"deep": np.zeros((0, 2), bool)},
    }
    crossing.write(tmp_path, "request", sent)
    came = crossing.read(tmp_path, "request")
    assert list(came) == list(sent) and came["flag"] is True
    assert isinstance(came["x"], tuple) and came["x"][1][1] is None
    assert came["x"][0].dtype == sent["x"][0].dtype
    assert came[""]["deep"].shape == (0, 2)
    assert came["x"][1][0].shape == ()


def test_nothing_is_pickled(tmp_path):
    with pytest.raises(ValueError):
        crossing.write(tmp_path, "request", {"x": object()})
        crossing.read(tmp_path, "request")
    assert not json.dumps(nest.to_json([1], None)).count("array")

"""Which layer of one side is which of the other, and the first wrong."""

import io
from types import SimpleNamespace

import numpy as np
import pytest

from shared_tests.roundoff.layerwise.layers import align, first_wrong
from shared_tests.roundoff.layerwise.tree import plain, tree

ENVIRONMENTS = ("tools",)


def arrays(*names, shape=(2, 3)):
    return {
        f"layer.{n}": np.full(shape, i) for i, n in enumerate(names)
    }


def pairs(ours, theirs, mapping=None):
    """{name: which of theirs it is}, and what is left over."""
    found = align(ours, theirs, mapping)
    names = {int(array.flat[0]): name for name, array in theirs.items()}
    return (
        {n: names[int(a.flat[0])] for n, a in found.arrays.items()},
        found.left_torch,
        found.left_port,
    )


def test_the_same_words_are_the_same_layer():
    ours = arrays(
        "enc.layers.0.fc1", "enc.layers.0.fc1@0", "Head#2", "x.1"
    )
    theirs = arrays(
        "head#2", "enc/layers_0/fc1@0", "enc/layers_0/fc1", "x"
    )
    assert pairs(ours, theirs) == (
        {
            "layer.enc.layers.0.fc1": "layer.enc/layers_0/fc1",
            "layer.enc.layers.0.fc1@0": "layer.enc/layers_0/fc1@0",
            "layer.Head#2": "layer.head#2",
        },
        ["layer.x.1"],
        ["layer.x"],
    )


def test_two_of_the_same_words_are_none():
    ours, theirs = arrays("a.b", "c"), arrays("a_b", "a/b", "c")
    assert pairs(ours, theirs)[0] == {"layer.c": "layer.c"}


def test_a_map_wins_and_names_do_the_rest():
    ours = arrays("q", "k", "k@0", "lstm.1.0", "lstm.0")
    theirs = arrays(
        "k", "Dense_0", "Dense_0@0", "rnn.0", "rnn.1.0", "q"
    )
    assert pairs(ours, theirs, {"k": "Dense_0", "lstm": "rnn"}) == (
        {
            "layer.q": "layer.q",
            "layer.k": "layer.Dense_0",
            "layer.k@0": "layer.Dense_0@0",
            "layer.lstm.0": "layer.rnn.0",
            "layer.lstm.1.0": "layer.rnn.1.0",
        },
        [],
        ["layer.k"],
    )


def test_a_map_may_have_patterns():
    ours = arrays("layers.0.q", "layers.1.q", "layers.1.q@x")
    theirs = arrays("block_0/query", "block_1/query", "block_1/query@x")
    found, *left = pairs(ours, theirs, {"layers.*.q": "block_*/query"})
    assert left == [[], []]
    assert found["layer.layers.1.q@x"] == "layer.block_1/query@x"


@pytest.mark.parametrize(
    "mapping, words",
    [
        (
            {"q": "querry"},
            "layers map: q takes 'querry', which the port",
        ),
        (
            {"qq": "query"},
            "layers map: the PyTorch module has no 'qq'; it",
        ),
        ({"*.q": "query"}, "has 1 stars"),
    ],
)
def test_a_map_of_what_is_not_there_is_refused(mapping, words):
    with pytest.raises(ValueError, match=words):
        align(arrays("q"), arrays("query"), mapping)


def test_channels_that_are_last_come_second():
    image = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    last = {"layer.conv": np.moveaxis(image, 1, -1)}
    found = align({"layer.conv": image}, last)
    assert found.turned == ["layer.conv"]
    assert np.array_equal(found.arrays["layer.conv"], image)
    as_is = align({"layer.conv": image}, {"layer.conv": image + 1})
    assert as_is.turned == []
    other = {"layer.conv": image.transpose(3, 2, 1, 0)}
    found = align({"layer.conv": image}, other)
    assert found.arrays["layer.conv"].shape == (5, 4, 3, 2)


def test_a_map_may_turn_axes():
    ours = {"layer.a": np.arange(4).reshape(2, 2)}
    theirs = {"layer.b": ours["layer.a"].T}
    entry = {"from": "b", "transpose": [1, 0]}
    found = align(ours, theirs, {"a": entry})
    assert np.array_equal(found.arrays["layer.a"], ours["layer.a"])
    both = {"concat": ["b", "c"], "axis": 1}
    theirs["layer.c"] = theirs["layer.b"]
    found = align({"layer.a": np.zeros((2, 4))}, theirs, {"a": both})
    assert found.arrays["layer.a"].shape == (2, 4)


def line(name, word):
    ratio = 2.0 if word == "bug" else 0.25
    return SimpleNamespace(name=name, word=word, ratio=ratio, rms=0.5)


def lines(text):
    """'a+ b- ...': layers that are rounding, or a bug."""
    words = {"+": "rounding", "-": "bug", "?": "undecided"}
    return [
        line(
            part[:-1] if "out." in part else f"layer.{part[:-1]}",
            words[part[-1]],
        )
        for part in text.split()
    ]


@pytest.mark.parametrize(
    "text, path",
    [
        ("a+ b+ out.y+", None),
        ("a+ b? out.y?", None),
        ("a+ b- c- out.y-", "b"),
        ("a@0+ a+ b@0+ b- c@0- c- out.y-", "b"),
        # c is wrong since its input is: the code before it is
        ("m@0+ m.a@0+ m.a+ m.c@0- m.c- m- out.y-", "m"),
        ("a@0+ a+ c@0- c- out.y-", ""),
        ("a+ out.y-", ""),
        ("a@0+ a#2@0+ a+ a#2- out.y-", "a"),
        # an output in a nest belongs to the call that returned it
        ("l@0- l.1.0- m@0+ m.1.0- out.y-", "m"),
        ("l@0+ l.1.0- l.0-", "l"),
        # the part is named, not the whole that it belongs to
        ("m@0+ m.a@0+ m.a- m- out.y-", "m.a"),
    ],
)
def test_the_first_wrong_layer(text, path):
    assert first_wrong(lines(text)) == path


def test_a_gradient_is_of_no_layer():
    (line,) = lines("w-")
    line.name = "grad.w"
    assert first_wrong([line]) is None and plain([line]) == ""


def test_the_tree():
    some = lines("m@0+ m.a@0+ m.a- m.b@0- m.b+ m- n? out.y-")
    left = ["layer.m.c", "layer.m.c@0", "layer.z"]
    budget = "of the budget, rms/sigma 0.5:"
    want = [
        "m  2 " + budget + " bug",
        "  a  2 " + budget + " bug <- the first that is wrong",
        "  b  0.25 " + budget + " rounding",
        "  c  not compared",
        "n  0.25 " + budget + " undecided",
        "z  not compared",
    ]
    assert plain(some, left).splitlines() == want
    from rich.console import Console

    console = Console(width=80, file=io.StringIO())
    console.print(tree(some, left))
    text = console.file.getvalue()
    for line in want:
        assert line.strip() in text


def test_a_buffer_is_of_its_layer():
    some = lines("a+ n#2@0+ n+ n#2+ z+")
    some += [line("buffer.n.running_mean", "bug")]
    assert first_wrong(some) == "n"
    want = (
        "rounding, but its buffers are not <- the first that is wrong"
    )
    assert plain(some).splitlines()[1].endswith(want)
    fed_wrong = lines("a@0+ a+ n@0- n- out.y-")
    assert first_wrong([*fed_wrong, some[-1]]) == ""
    assert first_wrong([line("buffer.mean", "bug")]) == ""
    assert first_wrong([line("out.y", "bug")]) is None


def test_code_between_layers_has_a_line():
    text = plain(lines("a@0+ a+ c@0- c- out.y-"))
    assert text.startswith("the module itself  <- the first")

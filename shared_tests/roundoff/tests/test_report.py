"""Lines and reports: the words, the numbers, what is told of each."""

import builtins
import json

import numpy as np
import pytest

from shared_tests.roundoff.report import (
    Line,
    Report,
    compare,
    missing,
    smallest_fault,
)

ENVIRONMENTS = ("tools",)


def line(word, name="out.y"):
    return Line(name, 2.0, 1.0, word, ["[0]: got 1, expected 2"])


@pytest.mark.parametrize(
    "words, status",
    [
        ("rounding", 0),
        ("rounding,bug", 1),
        ("missing,undecided", 1),
        ("rounding,no verdict", 2),
        ("rounding,undecided", 2),
        ("", 2),
    ],
)
def test_the_status(words, status):
    lines = [line(word) for word in words.split(",") if word]
    report = Report(lines, [])
    assert report.status == status
    assert report.passed == (status == 0)


def test_the_first_wrong_line_is_a_bug_if_there_is_one():
    lines = [line("rounding"), line("undecided", "a"), line("bug", "b")]
    assert Report(lines, []).first_wrong.name == "b"
    assert Report(lines[:2], []).first_wrong.name == "a"
    assert Report(lines[:1], []).first_wrong is None


def test_the_first_wrong_layer():
    names = ("layer.a", "layer.b", "out.y")
    words = ("rounding", "bug", "bug")
    lines = [line(w, n) for w, n in zip(words, names)]
    assert Report(lines, []).first_wrong_layer == "b"
    assert Report(lines[::2], []).first_wrong_layer == ""
    assert Report(lines[:1], []).first_wrong_layer is None
    assert Report(lines[2:], []).first_wrong_layer is None


def test_integers_are_equal_whatever_their_width():
    wanted = np.array([1, 2, 300])
    assert (
        compare("out.y", wanted.astype("i4"), wanted, None).word
        == "rounding"
    )
    wrong = compare("out.y", np.int32([1, 2, 301]), wanted, None)
    assert wrong.word == "bug" and "[2]: got 301" in wrong.elements[0]
    # a boolean is no integer, and 3 elements are not 2
    assert compare("out.y", wanted > 0, wanted, None).word == "bug"
    assert compare("out.y", wanted[:2], wanted, None).word == "bug"
    floats = wanted.astype("f4")
    assert compare("out.y", floats, wanted, None).word == "bug"


def test_what_an_array_can_see():
    """A factor a little larger than that is a bug, and one a little
    smaller is none."""
    reference = np.full(8, 3.0)
    sigma = np.full(8, 2.0)
    sees = smallest_fault(reference, sigma, "float32")
    for factor, word in ((0.9, "rounding"), (1.1, "bug")):
        value = (reference * (1 + factor * sees)).astype("f4")
        assert compare("out.y", value, reference, sigma).word == word
    assert np.isnan(smallest_fault(np.zeros(3), np.ones(3), "float32"))


def test_an_array_of_nothing_but_rounding_sees_no_factor():
    rounding = line("rounding", "grad.bias")
    rounding.sees = 1e10
    assert " none " in str(Report([rounding], []))


def test_json_has_no_infinity():
    lines = [missing("out.y", "the port"), line("bug", "layer.a.b")]
    data = Report(lines, ["a note"], runs=48, seed=7).to_json()
    text = json.dumps(data, allow_nan=False)
    assert json.loads(text) == data
    assert data["schema"] == 1 and data["factor"] == 16
    assert data["first_wrong_layer"] == "a.b"
    assert data["lines"][0]["ratio"] is None
    assert data["lines"][0]["word"] == "missing"


def report():
    lines = [line("rounding", "out.right"), line("bug", "out.wrong")]
    lines[1].diagnosis = "[a factor of 2]"
    return Report(lines, ["scale is 1 throughout"])


def test_a_report_is_a_text():
    text = str(report())
    for part in (
        "rms / sigma",
        "out.right",
        "out.wrong [0]: got 1",
        "out.wrong: [a factor of 2]",
        "note: scale is 1",
    ):
        assert part in text
    assert "out.right [0]" not in text


def test_and_without_rich_too(monkeypatch):
    real = builtins.__import__

    def without_rich(name, *args, **kwargs):
        if name.startswith("rich"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_rich)
    lines = str(report()).splitlines()
    assert lines[0].split("  ")[0] == "array"
    assert lines[2].startswith("out.wrong") and lines[2].endswith("bug")
    assert "out.wrong: [a factor of 2]" in lines

"""Shares of a rounding error for people: a table and a plot."""

import sys

import pytest

from shared_tests.roundoff.shares import (
    Explanation,
    Share,
    plot,
    summed,
    table,
)

ENVIRONMENTS = ("tools",)

FOUND = Explanation(
    [
        Share("layer1", "mm", 0.5),
        Share("layer1", "add", 0.25),
        Share("", "mm", 0.15),
        Share("layer2.norm", "mean", 0.1),
    ],
    1.03,
)


def test_shares_are_summed_by_either():
    modules = summed(FOUND, "module")
    assert modules == pytest.approx(
        {"layer1": 0.75, "": 0.15, "layer2.norm": 0.1}
    )
    operations = summed(FOUND, "operation")
    assert list(operations) == ["mm", "add", "mean"]
    assert operations["mm"] == pytest.approx(0.65)


def test_the_table_names_every_part():
    text = table("out.y", FOUND)
    assert "layer1: mm         " in text
    assert "50.0%  ############\n" in text
    assert "(outermost): mm" in text
    assert "1.03 of the variance" in text


def test_what_is_left_is_one_row():
    text = table("out.y", FOUND, limit=2)
    assert "3 others" in text and "layer2" not in text
    assert text.count("%") == 2


@pytest.mark.parametrize(
    "together, words",
    [(1.0, "no operation rounds"), (0.0, "only several together")],
)
def test_nothing_to_show_is_said(together, words):
    assert words in table("out.y", Explanation([], together))


def test_the_plot_is_an_svg(tmp_path):
    plot("out.y", FOUND, tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    assert text.startswith("<?xml") and "</svg>" in text
    plot("out.y", FOUND, tmp_path / "b.svg")
    assert text == (tmp_path / "b.svg").read_text()


def test_without_matplotlib_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="needs matplotlib"):
        plot("out.y", FOUND, tmp_path / "a.svg")

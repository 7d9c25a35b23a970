"""The page of the error budgets says what was measured."""

import json

import pytest

from shared_tests.trials import error_budgets
from shared_tests.trials.criteria import NAMES
from shared_tests.trials.named_faults import FAULTS

ENVIRONMENTS = ("tools",)


def line(number, alarms=(), peak=0.5):
    peaks = {name: [2.0, 0.0] for name in NAMES} | {
        "budget": [peak, 0.25]
    }
    found = dict(
        elements=100,
        arrays=2,
        worst=peak,
        at="out.y",
        alarms=list(alarms),
        bins=[90, 9, 1] + [0] * 62,
        peaks=peaks,
    )
    modes = {"float32 eager": {"jax": found, "tf": found}}
    return dict(case=number, layer="Linear", modes=modes)


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """Two cases of the trial; a fault that three criteria miss."""
    alarms, folder = tmp_path / "alarms", tmp_path / "criteria"
    alarms.mkdir()
    folder.mkdir()
    lines = [line(0), line(1, ["out.y at [0]"], 1.5)]
    text = "".join(json.dumps(row) + "\n" for row in lines)
    (alarms / "one.jsonl").write_text(text + '{"case": 2, "cut')
    monkeypatch.setattr(error_budgets, "ALARMS", alarms)
    monkeypatch.setattr(error_budgets, "FOLDER", folder)
    monkeypatch.setattr(error_budgets, "FRAMEWORKS", ["jax"])

    def orders(framework):
        yield error_budgets.STRAIGHT, "pages", "", "", []
        yield FAULTS[0].name, "fault", "", "", []

    monkeypatch.setattr(error_budgets, "orders", orders)
    good = dict.fromkeys(NAMES, 0.5) | {"jax": 3.0}
    bad = dict.fromkeys(NAMES, 0.5) | {"budget": 9.0, "jax": 4.0}
    bad |= {"allclose": 1.5, "webnn": float("inf")}
    rows = [
        dict(key="pages", fault="", found={"A": {"out.y": good}}),
        dict(key="fault", fault="", found={"A": {"out.y": bad}}),
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "jax.jsonl").write_text(text)
    page = tmp_path / "page.md"
    names = ("trial", "modes", "layers", "criteria", "missed")
    page.write_text(
        "".join(f"<!-- {n} -->\nold\n<!-- /{n} -->\n" for n in names)
    )
    return page


def test_the_page(measured):
    error_budgets.write_page(measured)
    text = measured.read_text()
    assert "old" not in text
    assert "400 comparisons in 8 arrays of 2 fresh cases" in text
    assert "2 alarms" in text and "Worst ratio 1.50" in text
    assert "| Linear | 400 | 1.50 |" in text
    for name in ("page.svg", "false-alarms.svg"):
        assert (measured.parent / name).read_text().startswith("<?xml")
    error_budgets.write_page(measured)  # the marks are still there
    assert measured.read_text() == text


def test_who_misses_what(measured):
    """Missed by four of the others, and not by the budget."""
    found = error_budgets.faults()
    lines, suite = error_budgets.alarm_lines(), error_budgets.straight()
    rows = error_budgets.criteria_table(found, suite, lines).split("\n")
    cells = dict(
        zip(NAMES, [row.strip("| ").split(" | ") for row in rows[2:]])
    )
    missed = {name for name in NAMES if cells[name][1] == "1 of 1"}
    # jax rejects the array without the fault, too: that finds nothing
    assert missed == {"abs 1e-5", "assert_close", "onnx", "jax"}
    assert cells["budget"][1:3] == ["0 of 1", "100.0 % of 1"]
    assert cells["budget"][3:5] == ["0", "25 % (2)"]
    assert cells["onnx"][2] == "0.0 % of 1"
    assert cells["jax"][3] == "100 % (1)"
    assert cells["onnx"][4] == "50 % (4)"
    table = error_budgets.missed_table(found)
    assert FAULTS[0].name in table

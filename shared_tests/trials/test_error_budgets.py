"""The page of the error budgets says what was measured."""

import json

import numpy as np
import pytest

from shared_tests.cases import CASES
from shared_tests.trials import budget_tables, error_budgets
from shared_tests.trials.array_criteria import TWO_RUNS
from shared_tests.trials.criteria import NAMES
from shared_tests.trials.named_faults import FAULTS

ENVIRONMENTS = ("tools",)

CASE = "Linear-basic"
MARKS = "trial modes layers criteria fresh kinds missed".split()


def line(number, alarms=(), peak=0.5):
    peaks = {name: [2.0] for name in NAMES} | {"budget": [peak]}
    peaks = {
        "output": peaks,
        "param_grad": {name: [0.25] for name in NAMES},
    }
    found = dict(
        elements=100,
        arrays=2,
        worst=peak,
        at="out.y",
        alarms=list(alarms),
        failures=[],
        bins=[90, 9, 1] + [0] * 62,
        peaks=peaks,
    )
    modes = {"float32 eager": {"jax": found, "tf": found}}
    return dict(case=number, layer="Linear", modes=modes)


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """Two cases of the trial; a fault that some criteria miss."""
    alarms, folder = tmp_path / "alarms", tmp_path / "criteria"
    alarms.mkdir()
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
    grad = bad | {"pcc": 7.0, "budget": 0.5}
    right, wrong = (
        {CASE: {"out.y": out, "grad.weight": weight}}
        for out, weight in ((good, good), (bad, grad))
    )
    rows = [
        dict(key="pages", fault="", found=right),
        dict(key="fault", fault="", found=wrong),
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    here = folder / error_budgets.digest()
    here.mkdir(parents=True)
    (here / "jax.jsonl").write_text(text)
    page = tmp_path / "page.md"
    page.write_text(
        "".join(f"<!-- {n} -->\nold\n<!-- /{n} -->\n" for n in MARKS)
    )
    return page


def cells_of(table):
    """{criterion: its cells}"""
    rows = table.split("\n")[2:]
    split = [row.strip("| ").split(" | ") for row in rows]
    return dict(zip(NAMES, split))


def test_the_page(measured):
    error_budgets.write_page(measured)
    text = measured.read_text()
    assert "old" not in text
    assert "400 comparisons in 8 arrays of 2 fresh cases" in text
    assert "Fresh: 8 arrays, computed eagerly, of 2 cases" in text
    assert "2 alarms" in text and "Worst ratio 1.50" in text
    assert "| Linear | 400 | - | 1.50 | 1.50 | - |" in text
    for name in ("page.svg", "false-alarms.svg"):
        assert (measured.parent / name).read_text().startswith("<?xml")
    error_budgets.write_page(measured)  # the marks are still there
    assert measured.read_text() == text


def test_the_criteria_alone(measured):
    """The trial's own tables may come from a longer run."""
    error_budgets.write_page(measured, criteria_only=True)
    text = measured.read_text()
    assert text.count("old") == len({"trial", "modes", "layers"})
    assert not (measured.parent / "false-alarms.svg").exists()


def test_who_misses_what(measured):
    found = error_budgets.faults()
    lines, suite = error_budgets.alarm_lines(), error_budgets.straight()
    cells = cells_of(budget_tables.criteria_table(found, suite, lines))
    missed = {name for name in NAMES if cells[name][1] == "1 of 1"}
    # jax rejects the array without the fault, too: that finds nothing
    seen = {"allclose", "webnn", "pcc", "budget"}
    assert missed == set(NAMES) - seen
    assert cells["budget"][1:3] == ["0 of 1", "50.0 % of 2"]
    assert cells["budget"][3:5] == ["0", "25 % (2)"]
    assert cells["onnx"][2] == "0.0 % of 2"
    assert cells["jax"][3] == "100 % (2)"
    assert cells["onnx"][4] == "50 % (4)"
    assert cells["onnx"][5] == "-"
    table = budget_tables.missed_table(found)
    assert FAULTS[0].name in table


def test_outputs_and_gradients_apart(measured):
    found, lines = error_budgets.faults(), error_budgets.alarm_lines()
    cells = cells_of(budget_tables.kind_table(found, lines))
    assert cells["budget"][1:4] == ["100.0 % of 1", "-", "0.0 % of 1"]
    assert cells["pcc"][1:4] == ["0.0 % of 1", "-", "100.0 % of 1"]
    assert cells["budget"][4:] == ["50 % (2)", "-", "0"]


def test_pytorch_is_no_second_run_of_itself():
    ratios = dict.fromkeys(NAMES, 5.0)
    suite = [("pytorch", ratios), ("jax", ratios)]
    for name in NAMES:
        found = budget_tables.of_suite(suite, name)
        assert found == [5.0] * (1 if name in TWO_RUNS else 2)


def test_a_tolerance_times_a_factor():
    """Seen where the factor lets the right array pass, and no more."""
    arrays = [("output", {"onnx": 2.0}, {"onnx": 50.0})]
    factors = np.array([1.0, 1.9, 2.0, 49.0, 50.0, 100.0])
    missed = budget_tables.missed(arrays, "onnx", factors)
    assert missed.tolist() == [True, True, False, False, True, True]
    assert budget_tables.missed(arrays, "same")[0]  # it said nothing


def test_a_fault_is_shown_a_case_of_each_kind():
    """The nearest come first, but not sixteen that are all alike."""
    by_flags = {}
    for case in CASES:
        by_flags.setdefault(tuple(case.flags), []).append(case.id)
    alike = max(by_flags.values(), key=len)
    other = next(c.id for c in CASES if "tie" in c.flags)
    names = [*alike, *(n for n in [other] if n not in alike)]
    found = error_budgets.shown(names)
    assert found[0] == names[0] and other in found[:2]
    many = [case.id for case in CASES]
    assert len(error_budgets.shown(many)) == error_budgets.NEAR
    assert error_budgets.shown([]) == []


def test_another_judge_asks_anew(tmp_path, monkeypatch):
    before = error_budgets.digest()
    (tmp_path / "manifest.json").write_text("{}")
    monkeypatch.setattr(error_budgets, "FIXTURES", tmp_path)
    assert error_budgets.digest() != before

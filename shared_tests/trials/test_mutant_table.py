"""The table of faults, and the bookkeeping of the mutation trial."""

import ast
import json

import pytest

from shared_tests.environments import FRAMEWORKS
from shared_tests.trials import (
    mutant_trial,
    mutants,
    mutate,
    named_faults,
)
from shared_tests.trials.equivalent_mutants import EQUIVALENT

ENVIRONMENTS = ("tools",)

PAGE = """
# region function
def f(x, axis=None, eps: float = 1e-5):
    check_input("f", x, 1 + 1)
    if x.shape[0] < 2:
        raise ValueError(f"at least {1 + 1}")
    axis: int | None = whole("axis", axis, 0)
    y = np.sum(x * x, axis=1, keepdims=True) - eps
    return np.where(y <= 0, np.sqrt(y), y.detach())


def check_it(x):
    return x + 1


# endregion


# region try
print(1 + 1)
# endregion
"""


@pytest.fixture
def page(monkeypatch):
    monkeypatch.setattr(mutate.pages, "source", lambda *_: PAGE)
    return mutate.mutants("jax", "f.py")


def test_what_is_changed(page):
    """One change each, only in the regions, and no checks."""
    made = {(m.kind, mutate.source(m)) for m in page}
    assert len(made) == len(page)
    for old, new, kind in (
        ("x * x", "(x)", "term"),
        ("x * x", "(x / x)", "operator"),
        ("1e-5", "(0.0001)", "constant"),
        ("y <= 0", "(y < 0)", "comparison"),
        ("y <= 0", "(y >= 0)", "comparison"),
        ("np.sqrt(y)", "(y)", "call"),
        ("y.detach()", "(y)", "stop"),
    ):
        assert (kind, PAGE.replace(old, new)) in made
    texts = {m.change.replace(" ", "") for m in page}
    whole = "np.sum(x*x,axis=1,keepdims=True)"
    for kind, new in (
        ("axis", whole.replace("axis=1", "axis=0")),
        ("keepdims", whole.replace("True", "False")),
        ("reduce", whole.replace("sum", "mean")),
    ):
        assert f"{whole}->{new}" in texts, kind
    lines = {m.line for m in page}
    assert lines == {3, 8, 9}
    for mutant in page:
        ast.parse(mutate.source(mutant))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_named_faults_can_be_planted(framework):
    found = named_faults.mutants(framework)
    names = [mutant.change for mutant in found]
    assert len(names) == len(set(names)) >= 40
    for mutant in found:
        old = mutate.pages.source(framework, mutant.page)
        assert mutate.source(mutant) != old


def test_a_named_fault_that_fits_nothing():
    fault = named_faults.FAULTS[0]._replace(old="F.nothing", new="")
    with pytest.raises(ValueError, match="expected once, got 0 times"):
        named_faults.planted(fault, "jax")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_keys_differ(framework):
    every = mutant_trial.every(framework)
    assert len({mutant.key for mutant in every}) == len(every) > 1000


def test_equivalent_faults_are_there():
    """Each row of the table fits a fault of some framework."""
    places = {
        mutant_trial.place(mutant)
        for framework in FRAMEWORKS
        for mutant in mutant_trial.every(framework)
    }
    assert set(EQUIVALENT) <= places


def row(mutant, outcome, cases="now", tests=None, by=""):
    stages = dict(cases=cases) | (dict(tests=tests) if tests else {})
    return (
        dict(key=mutant.key, outcome=outcome, by=by, seconds=1) | stages
    )


NOW = dict(cases="now", tests="now")


def test_what_is_tried_again(page):
    names = "killed", "old", "older", "survived", "unseen", "new"
    known = dict(zip(names, page))
    stages = {
        "killed": ("killed", "before", "before"),
        "old": ("survived", "now", "before"),
        "older": ("survived", "before", "before"),
        "survived": ("survived", "now", "now"),
        "unseen": ("unseen", "now", None),
    }
    rows = {
        known[name].key: row(known[name], *stage)
        for name, stage in stages.items()
    }

    def again(stage):
        todo = mutant_trial.wanted(known.values(), rows, NOW, stage)
        return [name for name in names if known[name] in todo]

    assert again("cases") == ["older", "new"]
    assert again("tests") == ["old", "older", "unseen", "new"]
    untried = mutant_trial.wanted(known.values(), rows, NOW, "tests")[0]
    assert untried is known["new"]  # before survivors of another suite


def test_what_is_equivalent_is_not_tested(page, monkeypatch):
    rows = {page[0].key: row(page[0], "unseen")}
    known = {mutant_trial.place(page[0]): "alike"}
    monkeypatch.setattr(mutant_trial, "EQUIVALENT", known)
    for stage in ("cases", "tests"):
        assert mutant_trial.wanted(page[:1], rows, NOW, stage) == []


def test_what_killed_its_like_comes_first(page, monkeypatch):
    """A fault of the same function, in any framework."""
    monkeypatch.setattr(mutant_trial, "every", lambda _: page)
    monkeypatch.setattr(mutants, "FRAMEWORKS", ["jax"])
    by = ["case B float64 eager"] * 2 + ["test_x.py::test_y"]
    rows = {
        mutant.key: row(mutant, "killed", by=one)
        for mutant, one in zip(page, by)
    }
    monkeypatch.setattr(mutant_trial, "read_rows", lambda _: rows)
    hints = mutant_trial.killers()
    assert hints == {("f.py", "f"): ["B", "test_x.py::test_y"]}
    asked = mutant_trial.order(
        page[-1], {"f.py": ["A", "B", "C"]}, hints
    )
    assert asked["cases"] == ["B", "A", "C"]
    assert asked["first"] == ["test_x.py::test_y"]


def test_our_own_error_kills_nothing():
    ours = mutant_trial.WorkerError("exit 1 in case A")
    with pytest.raises(mutant_trial.WorkerError, match="exit 1"):
        mutant_trial.killed_by(ours)
    for text, by in (
        ("exit -11 in case A", "crash"),
        ("timeout in case A", "timeout"),
    ):
        found = mutant_trial.killed_by(mutant_trial.WorkerError(text))
        assert (found["outcome"], found["by"]) == ("killed", by)


SURVIVED = dict(outcome="survived", by="", detail="")


@pytest.mark.parametrize(
    "ends, by",
    [
        (["exit -9 in case A"], ""),
        (["exit -9 in case A", "exit -9 in case A"], "crash"),
        (["exit -9 in case A", "timeout in case A"], "timeout"),
        (["exit -11 in case A"], "crash"),
    ],
)
def test_a_worker_that_was_killed_is_asked_again(
    page, monkeypatch, ends, by
):
    """Or whoever kills a worker would kill a fault."""
    left, restored = list(ends), []

    class Worker:
        def __init__(self, framework, folder):
            pass

        def ask(self, **_):
            if left:
                raise mutant_trial.WorkerError(left.pop(0))
            return SURVIVED

    monkeypatch.setattr(mutant_trial, "Worker", Worker)
    monkeypatch.setattr(
        mutant_trial, "restore", lambda *words: restored.append(words)
    )
    found, worker = mutant_trial.ask(None, page[0], "folder", {})
    assert found["by"] == by and not left
    assert (worker is None) == bool(by)
    assert len(restored) == len(ends)


def test_a_changed_page_has_other_keys(page, monkeypatch):
    old = {mutant.key for mutant in page}
    longer = PAGE.replace("print(1 + 1)", "print(2)")
    monkeypatch.setattr(mutate.pages, "source", lambda *_: longer)
    assert not old & {m.key for m in mutate.mutants("jax", "f.py")}


def test_a_row_that_was_cut_off(tmp_path, page):
    whole = json.dumps(row(page[0], "killed"))
    text = f'{whole}\n{{"key": "half'
    (tmp_path / "jax.jsonl").write_text(text)
    assert list(mutant_trial.read_rows("jax", tmp_path)) == [
        page[0].key
    ]


def test_errors_of_the_table(page, monkeypatch):
    one, two = mutant_trial.place(page[0]), mutant_trial.place(page[1])
    gone = "jax", "f.py", "y = 2", "2 -> 3"
    table = {one: "alike", two: "alike", gone: "alike"}
    for module in (mutant_trial, mutants):
        monkeypatch.setattr(module, "EQUIVALENT", table)
    found = {
        "jax": [
            (page[0], "killed", "case X"),
            (page[1], "equivalent", ""),
        ]
    }
    first, second = mutants.errors(found)
    assert "equivalent, yet killed by case X" in first
    assert second == f"fits no fault: {gone}"


def test_a_column_tells_two_faults_apart(page, monkeypatch):
    """y in np.sqrt(y), and in y.detach()."""
    line = "return np.where(y <= 0, np.sqrt(y), y.detach())"
    (cut,) = [m for m in page if m.change == "y.detach() -> y"]
    column = line.index("y.detach()")
    assert mutate.column(cut) == column
    for at, found in ((column, True), (column - 1, False)):
        known = {("jax", "f.py", line, f"{cut.change} at {at}"): ""}
        monkeypatch.setattr(mutant_trial, "EQUIVALENT", known)
        assert (mutant_trial.place(cut) in known) == found


def test_the_document(page):
    killed = [(m, "killed", "case A float64 eager") for m in page[:-2]]
    last = page[-2]
    alive = [(last, "survived", ""), (page[-1], "not tried", "")]
    found = {"jax": killed + alive}
    text = mutants.document(found, {"jax": 60.0})
    judged = len(page) - 1
    share = (
        f"{100 * (judged - 1) / judged:.1f} % ({judged - 1}/{judged})"
    )
    assert share in text
    assert f"- jax `f.py:{last.line}` {last.kind}" in text
    below, left = mutants.missed(found)
    assert "of systematic faults killed, expected 98.0 %" in below
    assert left == "jax: 1 systematic faults not tried to the end"


def test_a_fresh_clone_has_no_folder_for_the_results(
    tmp_path, monkeypatch
):
    folder = tmp_path / "build" / "mutants"
    monkeypatch.setattr(mutant_trial, "FOLDER", folder)
    monkeypatch.setattr(mutant_trial, "every", lambda _: [])
    mutant_trial.try_all("jax", "cases", lambda **_: None)
    assert folder.is_dir()

"""What `make ports` runs, keeps and writes; without any framework."""

import json
import sys

import pytest

from shared_tests import files, kept
from shared_tests.ports import (
    deviations,
    families,
    make_ports,
    report,
    reproductions,
)

ENVIRONMENTS = ("tools",)

# answers as worker.py does, but for items that crash or hang
WORKER = """
import json, os, sys, time
for name in sys.argv[1:][1::2]:
    if name == "crash":
        os._exit(3)
    if name == "hang":
        time.sleep(60)
    print(json.dumps(dict(rows=[name], seconds=0)), flush=True)
"""


def test_names_and_parts_are_asked_for_by_the_same_word():
    every = make_ports.chosen([])
    assert {part for part, _ in every} == set(make_ports.PARTS)
    assert ("families", "bert") in make_ports.chosen(["bert"])
    assert ("faults", "bert") in make_ports.chosen(["bert"])
    named = make_ports.chosen(["faults"])
    assert [name for _, name in named] == ["bert", "roberta", "vit"]


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"expected parts .*got brt"):
        make_ports.chosen(["bert", "brt"])


@pytest.mark.parametrize("part", make_ports.PARTS)
def test_rows_depend_on_what_makes_them(part):
    module = make_ports.PARTS[part].module
    paths = kept.closure(make_ports.HERE / f"{module}.py")
    names = {path.name for path in paths}
    assert {"measuring.py", "budget.py", "verdict.py"} <= names
    assert not {"report.py", "make_ports.py"} & names


@pytest.mark.parametrize("bad", ["crash", "hang"])
def test_a_worker_that_ends_loses_one_item(bad, monkeypatch, tmp_path):
    monkeypatch.setattr(make_ports, "FOLDER", tmp_path)
    monkeypatch.setattr(make_ports, "SECONDS", 3)
    monkeypatch.setattr(
        make_ports,
        "module",
        lambda _, name, *words: (sys.executable, "-c", WORKER, *words),
    )
    found = dict(make_ports.answers_of("faults", ["a", bad, "b"]))
    assert found["a"]["rows"] == ["a"] and found["b"]["rows"] == ["b"]
    want = "exit status 3" if bad == "crash" else "no answer in 3 s"
    assert want in found[bad]["error"] and found[bad]["rows"] == []


def test_only_what_is_not_kept_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(make_ports, "FOLDER", tmp_path)
    asked = []

    def answers(part, names):
        asked.append(names)
        return [(name, dict(rows=[], seconds=0)) for name in names]

    monkeypatch.setattr(make_ports, "answers_of", answers)
    names = ["bert", "vit"]
    for fresh in (False, False, True):
        make_ports.run_part("faults", names, fresh, lambda n: None)
    path = make_ports.path_of("faults", "vit")
    files.write(path, json.dumps({"digest": "of other code"}))
    make_ports.run_part("faults", names, False, lambda n: None)
    code = make_ports.digest("faults")
    files.write(path, json.dumps(dict(digest=code, error="SIGKILL")))
    make_ports.run_part("faults", names, False, lambda n: None)
    assert asked == [names, [], names, ["vit"], ["vit"]]


def test_the_table_of_families():
    for name, family in families.FAMILIES.items():
        assert family.config.endswith("Config"), name
        assert family.frameworks in ("f", "t", "ft"), name
        assert callable(family.inputs), name


def test_each_deviation_has_its_lines():
    found = reproductions.blocks(reproductions.PAGE.read_text())
    *named, others = list(found)[1:]
    assert named == list(deviations.NAMES)
    empty = {others, "deberta_v2_tf"}  # the same as deberta's
    for name, code in found.items():
        compile(code, name, "exec")
        assert bool(code) == (name not in empty), name
    for family, _ in map(deviations.pair_of, deviations.NAMES):
        assert family in families.FAMILIES


def test_reproductions_print_into_a_table():
    text = "```python\nx = 2\n```\n## a\n```python\nprint(x, 3)\n```\n"
    assert reproductions.printed("a", text) == "2 3"


def test_the_blocks_of_the_pages_can_be_filled():
    for page in report.PAGES:
        text = page.read_text()
        assert "<!-- " in text
        for name in report.opened(text):
            assert name in report.BLOCKS, page
            assert text.count(f"<!-- /{name} -->") == 1, page

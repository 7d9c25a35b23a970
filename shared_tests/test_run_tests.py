"""The table of `make test-all`, for all tests and for a part of them."""

import json
import pathlib
import sys
import types

import pytest
from rich.console import Console

from shared_tests import run_tests

ENVIRONMENTS = ("tools",)

NONE = {"ran": 0, "failed": 0, "skipped": 0}
SOME = NONE | {"ran": 3}


def test_a_part_is_called_one(capsys):
    answers = {"jax": (SOME, ""), "tools": (NONE, "")}
    console = Console(width=120, file=sys.stdout)
    assert run_tests.report(console, answers, "LAYER=MLP") == 0
    output = capsys.readouterr().out
    assert "tests: only a part, LAYER=MLP" in output
    assert "only a part, LAYER=MLP: 3 passed, 0 failed" in output


def test_a_part_without_any_test_is_an_error(capsys):
    answers = {"jax": (NONE, ""), "tools": (NONE, "")}
    assert run_tests.report(Console(), answers, "LAYER=MLP") == 1
    assert (
        "no test was run: expected at least" in capsys.readouterr().out
    )


def test_the_whole_is_not_called_a_part(capsys):
    assert run_tests.report(Console(), {"jax": (SOME, "")}) == 0
    assert "part" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, said",
    [
        (("--layer", "attenion"), "did you mean attention"),
        (("--frameworks", "toolz"), "did you mean tools"),
    ],
)
def test_an_unknown_word_runs_nothing(monkeypatch, capsys, words, said):
    monkeypatch.setattr(sys, "argv", ["run_tests", *words])
    monkeypatch.setattr(run_tests, "run_all", None)
    assert run_tests.main() == 2
    assert said in capsys.readouterr().err


def test_kept_runs_are_named_but_in_ci(tmp_path, monkeypatch):
    """What make parity keeps is not computed again, except in CI."""
    rows = {"Linear-basic.float32.eager": []}
    found = types.SimpleNamespace(kept=rows)
    monkeypatch.setattr(run_tests, "Framework", lambda *_, **__: found)
    monkeypatch.delenv("CI", raising=False)
    option, path = run_tests.held("jax", tmp_path)
    assert option == "--kept"
    assert json.loads(pathlib.Path(path).read_text()) == list(rows)
    assert run_tests.held("tools", tmp_path) == ()
    monkeypatch.setenv("CI", "true")
    assert run_tests.held("jax", tmp_path) == ()

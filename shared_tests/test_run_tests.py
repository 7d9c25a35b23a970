"""The table of `make test-all`, for all tests and for a part of them."""

import asyncio
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


# what pytest's process does, and what the table has of it
ENDS = {
    "out of memory": (
        "os.kill(os.getpid(), signal.SIGKILL)",
        "pytest ended with signal SIGKILL (as when memory runs out)",
    ),
    "full disk": (
        "open(report, 'w').write('<testsuites><test')\n"
        "sys.exit('OSError: No space left on device')",
        "tools.xml is damaged (unclosed token: line 1, column 12); pytest"
        " ended with exit status 1: OSError: No space left on device",
    ),
    "no word": ("", "pytest ended with exit status 0: no output"),
    "no test": (
        "open(report, 'w').write('<testsuites></testsuites>')",
        "ran no test in",
    ),
}


@pytest.mark.parametrize("how", ENDS)
def test_what_becomes_of_pytest(tmp_path, monkeypatch, capsys, how):
    code, words = ENDS[how]
    code = f"import os, signal, sys\nreport = sys.argv[1]\n{code}"

    def command(framework, name, report, *rest):
        path = report.removeprefix("--junitxml=")
        return sys.executable, "-c", code, path

    monkeypatch.setattr(run_tests, "pytest_command", command)
    monkeypatch.setattr(run_tests, "environment_error", lambda _: None)
    monkeypatch.setattr(run_tests, "ROOT", tmp_path)
    console = Console(width=200, file=sys.stdout)
    answers = asyncio.run(run_tests.run_all(console, ["tools"]))
    assert run_tests.report(console, answers) == 1
    (_, wrong) = answers["tools"]
    assert words in wrong
    assert "1 failed" in capsys.readouterr().out


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


def test_only_one_at_a_time(monkeypatch, tmp_path, capsys):
    """The second says so, and runs nothing; the lock is not for ever."""

    async def run_all(*_):
        ran.append(True)
        return {"jax": (SOME, "")}

    ran = []
    monkeypatch.setattr(run_tests, "ROOT", tmp_path)
    monkeypatch.setattr(run_tests, "run_all", run_all)
    monkeypatch.setattr(sys, "argv", ["run_tests"])
    with run_tests.alone():
        assert run_tests.main() == 1
    assert ran == []
    assert (
        "another one runs in this checkout" in capsys.readouterr().err
    )
    assert run_tests.main() == 0 and ran == [True]

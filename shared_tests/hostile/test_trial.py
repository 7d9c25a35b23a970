"""`make broken-files`: a crash or a hang is a finding, and it goes on."""

import json
import sys
import time

import pytest
from rich.console import Console

from shared_tests.hostile import kills, trial

ENVIRONMENTS = ("tools",)

# says a number, then its outcome, as worker.py does; not for all
WORKER = """
import json, os, signal, sys, time
first, last = map(int, sys.argv[1:])
for number in range(first, last):
    print(number, flush=True)
    if number == 2: os.kill(os.getpid(), signal.SIGSEGV)
    if number == 4: os.kill(os.getpid(), signal.SIGXCPU)
    if number == 6: time.sleep(100)
    what = "finding" if number == 7 else "refused"
    row = dict(number=number, how="cut", what=what, words="", peak=1)
    print(json.dumps(row), flush=True)
"""


@pytest.fixture
def workers(monkeypatch):
    """How many were started."""
    started = []

    def module(framework, name, *arguments):
        started.append(arguments[2:])
        return sys.executable, "-c", WORKER, *arguments[2:]

    monkeypatch.setattr(trial, "module", module)
    monkeypatch.setattr(trial, "WAIT", 3)
    return started


def test_a_crash_and_a_hang(workers):
    late = time.monotonic() + 100
    rows = [*trial.spoiled("jax", "own", 1, 9, late)]
    assert [row["number"] for row in rows] == [*range(1, 9)]
    found = {
        r["number"]: r["words"] for r in rows if r["what"] != "refused"
    }
    assert found.keys() == {2, 4, 6, 7}
    assert "SIGSEGV" in found[2] and "SIGXCPU" in found[4]
    assert found[6].startswith("Silent")
    assert [int(first) for first, _ in workers] == [1, 3, 5, 7]


def test_it_goes_on_where_it_stopped(workers, tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "FRAMEWORKS", ("jax",))
    monkeypatch.setattr(trial, "READERS", ("own",))
    console = Console(quiet=True)
    for files in (1, 2, 2):
        args = type("Args", (), dict(files=files, minutes=1))
        rows = trial.run(args, console, tmp_path)["jax", "own"]
        assert [row["number"] for row in rows] == [*range(files)]
    assert workers == [("0", "1"), ("1", "2")]
    (path,) = tmp_path.iterdir()
    assert [
        json.loads(x) for x in path.read_text().splitlines()
    ] == rows


def test_nothing_starts_when_the_time_is_up(workers):
    assert not [*trial.spoiled("jax", "own", 0, 9, time.monotonic())]
    assert not workers


@pytest.mark.parametrize(
    "what, status", [("refused", 0), ("finding", 1)]
)
def test_the_exit_status(monkeypatch, what, status, capsys):
    row = dict(number=0, how="cut", what=what, words="", peak=2**21)
    monkeypatch.setattr(
        trial, "run", lambda *_: {("jax", "own"): [row]}
    )
    monkeypatch.setattr(kills, "asked", lambda *_: ("1 kill", False))
    monkeypatch.setattr(sys, "argv", ["broken-files"])
    assert trial.main() == status
    assert "JAX, own" in capsys.readouterr().out
    monkeypatch.setattr(kills, "asked", lambda *_: ("a half", True))
    assert trial.main() == 1

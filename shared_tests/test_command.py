"""A tool that cannot go on says so in one line, and leaves nothing."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from shared_tests import command, files, processes
from shared_tests.files import ROOT, NotWritten

ENVIRONMENTS = ("tools",)

SECONDS = 120  # much more than any of this takes on a busy machine
# stands in for every child of a tool: it says that it runs, and waits
SLEEPER = """
import os, pathlib, time
pathlib.Path(os.environ["PIDS"], str(os.getpid())).touch()
time.sleep(600)
"""
# what make runs, but for the children and the folders that it writes to
DRIVER = """
import pathlib, signal, sys
from shared_tests import command, environments, processes
signal.signal(signal.SIGINT, signal.default_int_handler)
name, home, *arguments = sys.argv[1:]
home, module = pathlib.Path(home), processes.module
processes.python_of = lambda _: sys.executable
processes.module = lambda framework, *_: module(framework, "sleeper")
environments.environment_error = lambda _: None
if name == "parity":
    from shared_tests import parity
    parity.ROOT, parity.CACHE = home, home / "cache"
if name == "test-all":
    from shared_tests import run_tests
    run_tests.ROOT = home
if name == "ledger":
    from shared_tests.builtins import make_ledger
    make_ledger.FOLDER = home
if name == "mutants":
    from shared_tests.trials import mutant_trial
    mutant_trial.FOLDER, mutant_trial.read_rows = home, lambda *_: {}
    mutant_trial.killers = dict  # it looks at all faults, for seconds
sys.exit(command.command(name, *arguments))
"""
PARTS = {"parity": ("--layer", "Linear-basic", "--fresh")}
PARTS["mutants"] = ("mxnet",)
CORES = len(os.sched_getaffinity(0))
CHILDREN = {
    "parity": min(CORES, 4),
    "test-all": min(os.cpu_count(), 6),
    "ledger": 1,
    "digits": 2,
    "mutants": 1,
}


@pytest.fixture
def tool(tmp_path):
    """tool(name): one that runs, once its children do, and their ids."""
    started = []

    def tool(name):
        pids, home = tmp_path / "pids", tmp_path / "home"
        for folder in (pids, home, tmp_path / "temporary"):
            folder.mkdir()
        (tmp_path / "sleeper.py").write_text(SLEEPER)
        own = {
            "PIDS": str(pids),
            "PYTHONPATH": str(tmp_path),
            "CI": "1",
        }
        own["TMPDIR"] = str(tmp_path / "temporary")
        words = name, str(home), *PARTS.get(name, ())
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, *words],
            cwd=ROOT,
            env=os.environ | own,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        deadline = time.monotonic() + SECONDS
        while len(found := list(pids.iterdir())) < CHILDREN[name]:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline, f"{found} have started"
            time.sleep(0.05)
        return process, [int(path.name) for path in found]

    yield tool
    for process in started:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.mark.parametrize(
    "name, number",
    [(name, signal.SIGINT) for name in CHILDREN]
    + [("parity", signal.SIGTERM)],
)
def test_an_interrupted_tool(tool, gone, tmp_path, name, number):
    process, children = tool(name)
    # Ctrl-C reaches the group, in which its children are not
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + number, said
    how = "interrupted"
    if number == signal.SIGTERM:
        how = "ended by SIGTERM"
    assert said == f"make {name}: {how}; {command.TOOLS[name][1]}\n"
    assert all(gone(pid) for pid in children)
    left = [*(tmp_path / "home").rglob("*")]
    left += (tmp_path / "temporary").rglob("*")
    # logs, and the folder of a table that was begun
    assert not [p for p in left if p.is_file() and p.suffix != ".log"]
    assert not [p for p in left if p.name.startswith("tmp")]


@pytest.mark.parametrize("name", ["parity", "test-all", "digits"])
def test_a_tool_that_is_killed_takes_its_children_along(
    tool, gone, name
):
    process, children = tool(name)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert all(gone(pid) for pid in children)


def test_no_child_is_started_once_the_end_has_come(monkeypatch):
    monkeypatch.setattr(processes, "END", [signal.SIGINT])
    with pytest.raises(processes.Interrupted):
        processes.Child([sys.executable, "-c", ""])


@pytest.fixture
def broken(monkeypatch, capsys):
    """broken(error): (exit status, what was said), main raises it."""

    def broken(error):
        def main():
            raise error

        monkeypatch.setattr(signal, "signal", lambda *_: None)
        module = type(sys)("shared_tests.broken")
        module.main = main
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(command.TOOLS, "it", ("broken", ""))
        monkeypatch.setattr(sys, "argv", sys.argv)
        return command.command("it"), capsys.readouterr().err

    return broken


def test_a_file_that_cannot_be_written(broken):
    error = OSError(errno.ENOSPC, "No space left on device")
    path = ROOT / "build" / "parity" / "results.json"
    status, said = broken(NotWritten(path, error))
    want = (
        "build/parity/results.json could not be written: No space left"
    )
    assert status == 1
    assert said == f"make it: {want} on device\n"


def test_a_folder_that_is_not_ours(broken):
    path = str(ROOT / "build" / "logs")
    error = PermissionError(errno.EACCES, "Permission denied", path)
    text = "make it: build/logs: Permission denied\n"
    assert broken(error) == (1, text)


def test_an_output_that_is_full(broken):
    error = OSError(errno.ENOSPC, "No space left on device")
    text = "make it: its output: No space left on device\n"
    assert broken(error) == (1, text)


@pytest.mark.parametrize("error", [KeyError("x"), FileNotFoundError()])
def test_a_fault_of_ours_is_shown_whole(broken, error):
    with pytest.raises(type(error)):
        broken(error)


def test_every_tool_is_there():
    """By its name in the Makefile."""
    text = (ROOT / "Makefile").read_text()
    for name, (module, _) in command.TOOLS.items():
        path = ROOT / "shared_tests" / f"{module.replace('.', '/')}.py"
        assert path.is_file()
        assert f"\n{name}:" in text
        assert (
            f"$(TOOL) {name}" in text or f"$(IN_PYTORCH) {name}" in text
        )
    assert files.ROOT == ROOT

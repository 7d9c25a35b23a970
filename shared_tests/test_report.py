"""The parity run's own behaviour: crashes, missing columns, the report."""

import asyncio
import errno
import json
import os
import sys

import pytest
from rich.console import Console

from shared_tests import environments, parity
from shared_tests.environments import FRAMEWORKS
from shared_tests.files import NotWritten, write
from shared_tests.fixture_files import FIXTURES
from shared_tests.parity import Column, follow, merge
from shared_tests.report import (
    closing_line,
    html,
    print_report,
    succeeded,
)
from shared_tests.run import runs

ENVIRONMENTS = ("tools",)


def row(**changes):
    return {
        "framework": "pytorch",
        "layer": "Linear",
        "case": "basic",
        "mode": "eager",
        "precision": "float32",
        "array": "grad.weight",
        "kind": "param_grad",
        "elements": 21,
        "ratio": 0.25,
        "verdict": "pass",
        "detail": "",
    } | changes


MACHINE = {
    "architecture": "x86_64",
    "processor": "Some Processor 9",
    "cores": 2,
    "instructions": ["avx2"],
    "settings": {"OMP_NUM_THREADS": "1"},
}


def results(rows, **states):
    ran = {
        "status": "ran",
        "reason": "",
        "versions": {"torch": "2.13.0"},
        "wrong": [],
    }
    frameworks = dict.fromkeys(FRAMEWORKS, ran) | states
    return {
        "schema": 1,
        "machine": MACHINE,
        "frameworks": frameworks,
        "sources": {},
        "rows": rows,
    }


GOOD = [row(framework=fw) for fw in FRAMEWORKS]
BAD = row(
    framework="jax",
    ratio=3.5,
    verdict="fail",
    detail="at [2, 5]: got 1, expected 2, allowed error 0.1",
)
GONE = {
    "status": "missing",
    "reason": "stopped by SIGKILL",
    "versions": {},
    "wrong": [],
}


def terminal(answer):
    console = Console(width=200, record=True, quiet=True)
    console.quiet = False
    with console.capture() as capture:
        print_report(answer, console)
    return capture.get()


def test_all_within_budget():
    answer = results(GOOD)
    assert succeeded(answer)
    assert "0 failures" in terminal(answer)
    assert "all within budget" in html(answer)


def test_one_failure_is_named_everywhere():
    answer = results([*GOOD, BAD])
    assert not succeeded(answer)
    for text in (terminal(answer), html(answer)):
        assert "jax Linear-basic grad.weight (eager, float32" in text
        assert "at [2, 5]: got 1, expected 2, allowed error 0.1" in text
        assert "✗ 3.50" in text


def test_a_missing_framework_is_a_failure():
    answer = results(GOOD[:3], mxnet=GONE)
    assert not succeeded(answer)
    assert "MXNet is missing: stopped by SIGKILL" in terminal(answer)
    assert "MXNet is missing: stopped by SIGKILL" in html(answer)


def test_a_framework_that_was_never_started_is_a_failure():
    answer = results(GOOD)
    del answer["frameworks"]["tf"]
    assert not succeeded(answer)


def test_nothing_judged_is_a_failure():
    assert not succeeded(results([]))


def test_unsupported_is_shown_with_its_reason():
    only = row(verdict="unsupported", ratio=None, detail="no bfloat16")
    answer = results([only])
    assert succeeded(answer)
    assert "n/a: no bfloat16" in terminal(answer)
    assert "no bfloat16" in html(answer)


def test_a_failure_without_a_number_is_not_hidden_by_one_with():
    nan = row(verdict="fail", ratio=None, detail="at [0]: got nan")
    assert "✗" in terminal(results([row(), nan]))


def test_it_says_on_which_machine():
    words = (
        "Some Processor 9 (x86_64), 2 cores: avx2; OMP_NUM_THREADS=1"
    )
    assert f"on {words}" in terminal(results(GOOD))
    assert f"On {words}." in html(results(GOOD))


def test_the_page_loads_nothing():
    page = html(results([*GOOD, BAD]))
    assert "http" not in page and "src=" not in page
    assert page.count("<td") and "<script" not in page


def test_the_page_escapes_what_frameworks_say():
    page = html(
        results([row(verdict="fail", detail="<script>x</script>")])
    )
    assert "<script>" not in page


def test_the_closing_line_counts():
    line = closing_line(results([*GOOD, BAD]))
    assert line.startswith(
        "105 element comparisons in 5 arrays, 4 of 4"
    )
    assert "worst ratio 3.50 (JAX Linear-basic grad.weight)" in line


PART = {"asked": "LAYER=MLP FRAMEWORKS=jax", "frameworks": ["jax"]}


def part(*rows):
    answer = results(rows) | {"part": PART}
    answer["frameworks"] = {"jax": answer["frameworks"]["jax"]}
    return answer


def test_a_part_says_everywhere_that_it_is_one():
    answer = part(row(framework="jax"))
    assert succeeded(answer)
    assert closing_line(answer).startswith(
        "only a part, LAYER=MLP FRAMEWORKS=jax: 21 element"
    )
    assert "1 of 1 frameworks asked for" in closing_line(answer)
    assert "<title>Parity: only a part (LAYER=MLP" in html(answer)
    shown = terminal(answer)
    assert shown.count("LAYER=MLP") == 2
    assert "PyTorch" not in shown


def test_a_part_has_to_run_whole():
    assert not succeeded(part())
    assert not succeeded(part(BAD))
    answer = part(row(framework="jax"))
    answer["frameworks"]["jax"] = GONE
    assert not succeeded(answer)
    answer["frameworks"] = {}
    assert not succeeded(answer)


def test_what_an_earlier_run_computed_is_counted():
    answer = results(GOOD)
    assert "cached" not in closing_line(answer) + html(answer)
    state = answer["frameworks"]["jax"] | {"kept": 1}
    answer["frameworks"] = answer["frameworks"] | {"jax": state}
    assert "1 rows cached, of an earlier run" in closing_line(answer)
    assert "1 rows cached" in html(answer)


def test_what_was_reported_wrongly_is_a_failure():
    state = results(GOOD)["frameworks"]["tf"]
    text = "no JSON: Loading <model> ..."
    answer = results(GOOD, tf=state | {"wrong": [text]})
    assert not succeeded(answer)
    assert f"TensorFlow reported wrongly: {text}" in terminal(answer)
    assert "no JSON: Loading &lt;model&gt; ..." in html(answer)
    assert "1 failures" in closing_line(answer)
    assert "TensorFlow ✗" in terminal(answer)


def test_an_unknown_verdict_is_no_success():
    assert not succeeded(results([*GOOD, row(verdict="FAIL")]))


HELLO = {"event": "hello", "versions": {}, "sources": {}}
HELLO |= {"total": len(runs())}
START = {
    "event": "start",
    "case": "Linear-basic",
    "mode": "eager",
    "precision": "float32",
}
ROW = {"event": "row", **row(framework="mxnet")}
QUESTION = {
    "Linear-basic.float32.eager": {"grad.weight": ("param_grad", 21)}
}
DONE = {"event": "done"}


def play(tmp_path, *events, end="", stall=20):
    """A process that reports these events and then does `end`."""
    lines = "".join(
        f"print({json.dumps(e)!r}, flush=True)\n" for e in events
    )
    command = (
        sys.executable,
        "-c",
        f"import os, sys, time\n{lines}{end}",
    )
    column = Column("mxnet", QUESTION, ())
    log = tmp_path / "mxnet.log"
    asyncio.run(follow(column, command, log, lambda _: None, stall))
    return column


def test_a_run_ends_while_another_thread_looks(tmp_path):
    question = dict.fromkeys(
        f"Linear-basic.{p}.eager" for p in ("float64", "float32")
    )
    column = Column("mxnet", question, ())
    column.take(dict(HELLO))
    for run in question:
        column.take(START | {"precision": run.split(".")[1]})
    first, second = question
    column.take({"event": "end", "run": first, "seconds": 1.0})
    looking = iter(column.ended.items())
    column.take({"event": "end", "run": second, "seconds": 2.0})
    assert [*looking] == [(first, 1.0)]
    assert set(column.ended) == set(question)


def test_a_run_to_the_end(tmp_path):
    column = play(tmp_path, HELLO, START, ROW, DONE)
    assert column.status()["status"] == "ran"
    assert len(column.rows) == 1


@pytest.mark.parametrize(
    "end, words",
    [
        ("os.kill(os.getpid(), 9)", "stopped by signal SIGKILL (as"),
        ("os.kill(os.getpid(), 8)", "stopped by signal SIGFPE while"),
        ("sys.exit('out of memory')", "exit status 1: out of memory"),
        ("", "exit status 0"),
        ('sys.stdout.write(\'{"event": "do\')', "exit status 0"),
    ],
)
def test_a_run_that_ends_early_says_where(tmp_path, end, words):
    column = play(tmp_path, HELLO, START, ROW, end=end)
    state = column.status()
    assert state["status"] == "missing"
    assert words in state["reason"]
    where = "while running Linear-basic (eager, float32)"
    assert where in state["reason"]
    assert len(column.rows) == 1, "what it had reported is kept"
    whole = parity.Framework("mxnet", [], FIXTURES, True)
    whole.columns.append(column)
    assert whole.status()["status"] == "missing"
    assert where in whole.status()["reason"]
    assert not succeeded(merge([whole]))


def test_a_crash_after_the_last_row_is_not_a_success(tmp_path):
    column = play(tmp_path, HELLO, DONE, end="os.kill(os.getpid(), 11)")
    assert column.status()["status"] == "missing"
    assert "SIGSEGV" in column.status()["reason"]


def test_a_hung_run_is_ended(tmp_path):
    column = play(tmp_path, HELLO, START, end="time.sleep(60)", stall=1)
    assert "no sign of life" in column.status()["reason"]
    assert "Linear-basic" in column.status()["reason"]


def test_an_interrupted_run_ends_its_processes(tmp_path):
    """They have sessions of their own, which Ctrl-C does not reach."""
    code = "import os, time; print(os.getpid(), flush=True)"
    command = sys.executable, "-c", f"{code}; time.sleep(60)"
    column, said = Column("mxnet", {}, ()), []
    column.read = said.append

    async def interrupted():
        run = asyncio.create_task(
            follow(column, command, tmp_path / "log", lambda _: None)
        )
        while not said:
            await asyncio.sleep(0.05)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    asyncio.run(interrupted())
    with pytest.raises(ProcessLookupError):
        os.kill(int(said[0]), 0)


def test_a_full_disk_ends_what_runs(tmp_path, monkeypatch, gone):
    """The rows of a run that has ended are kept at once, or cannot be."""
    code = "import os, time; print(os.getpid(), flush=True)"
    command = sys.executable, "-c", f"{code}; time.sleep(600)"
    column, said = Column("mxnet", {}, ()), []
    column.read = said.append

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def show(_):
        write(tmp_path / "row.json", "a row")

    monkeypatch.setattr(parity.os, "replace", full)
    with pytest.raises(NotWritten, match=r"row\.json could not"):
        asyncio.run(follow(column, command, tmp_path / "log", show))
    assert gone(int(said[0]))
    assert os.listdir(tmp_path) == ["log"]


def test_what_a_framework_says_itself_comes_first(tmp_path):
    error = {
        "event": "error",
        "message": "FixtureError: run `make fixtures`",
    }
    column = play(tmp_path, error, end="sys.exit(1)")
    assert (
        column.status()["reason"] == "FixtureError: run `make fixtures`"
    )


def test_an_environment_that_could_not_be_built(tmp_path, monkeypatch):
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    logs = tmp_path / "build" / "logs"
    logs.mkdir(parents=True)
    (logs / "env-tf.log").write_text("a\nno matching distribution\n")
    assert "no matching distribution" in environments.environment_error(
        "tf"
    )
    assert "env-jax.log" in parity.environment_error("jax")


def test_reports_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "parity" / "results.json"
    write(path, "old")

    def crash(*args):
        raise OSError("disk full")

    monkeypatch.setattr(parity.os, "replace", crash)
    with pytest.raises(OSError, match="disk full"):
        write(path, "new")
    assert path.read_text() == "old"

"""A child answers, crashes, exits, hangs: each has its own words."""

import os
import sys

import pytest

from shared_tests import processes
from shared_tests.environments import python_of
from shared_tests.processes import LENGTH, Child, Ended, Silent

ENVIRONMENTS = ("tools",)

SECONDS = 20
LARGE = 30 * 2**20  # bytes, far more than a pipe holds
ECHO = """
from shared_tests.processes import answers, read_block, LENGTH
print("before")
with answers() as out:
    print("a library's word")
    while data := read_block(sys.stdin.buffer):
        out.write(LENGTH.pack(len(data)) + data)
        out.flush()
"""


def start(code, **more):
    text = f"import os, signal, subprocess, sys, time\n{code}"
    return Child([sys.executable, "-uc", text], **more)


def ended(code):
    with start(code) as child, pytest.raises(Ended) as found:
        child.line(SECONDS)
    return found.value


def test_lines_come_one_by_one():
    with start("print('one\\n\\ntwo')") as child:
        lines = [child.line(SECONDS) for _ in range(3)]
    assert lines == [b"one\n", b"\n", b"two\n"]


def test_blocks_come_back_and_prints_do_not():
    with start(ECHO) as child:
        assert child.line(SECONDS) == b"before\n"
        for data in (b"x", b"\n" * 9, os.urandom(2**20)):
            child.send(LENGTH.pack(len(data)) + data, SECONDS)
            assert child.block(SECONDS) == data
        child.process.stdin.close()  # and so it ends
        with pytest.raises(Ended) as found:
            child.block(SECONDS)
    assert str(found.value) == "exit status 0, a library's word"


def test_both_sides_write_at_once():
    """It reads nothing before it has said all: neither may wait."""
    code = f"""
out = sys.stdout.buffer
out.write(({LARGE}).to_bytes(8, "little") + bytes({LARGE}))
out.flush()
print(len(sys.stdin.buffer.read({LARGE})))
"""
    with start(code) as child:
        child.send(bytes(LARGE), SECONDS)
        assert child.block(SECONDS) == bytes(LARGE)
        assert child.line(SECONDS) == b"%d\n" % LARGE


@pytest.mark.parametrize(
    "name, why",
    [("SIGSEGV", ""), ("SIGKILL", " (as when memory runs out)")],
)
def test_a_crash_is_named(name, why):
    error = ended(
        "print('last', file=sys.stderr)\n"
        f"os.kill(os.getpid(), signal.{name})"
    )
    assert error.signal == name
    assert str(error) == f"signal {name}{why}, last"


def test_an_exit_has_its_status_and_last_line():
    error = ended("print('first', file=sys.stderr)\nsys.exit('last ')")
    assert (error.code, error.signal) == (1, None)
    assert str(error) == "exit status 1, last"
    assert error.said == "first\nlast"


def test_an_exit_without_a_word():
    assert str(ended("sys.exit(3)")) == "exit status 3"


def test_half_a_line_is_none():
    assert ended("print('half', end='')").code == 0


def test_one_that_ended_reads_nothing():
    with start("sys.exit('gone')") as child:
        child.process.wait()
        with pytest.raises(Ended, match="exit status 1, gone"):
            child.send(b"x", SECONDS)


@pytest.mark.parametrize("read", [Child.line, Child.block])
@pytest.mark.parametrize("half", ["", "12345678", "x"])
def test_a_hang_is_seen(read, half):
    """Also in the middle of a message."""
    code = f"sys.stdout.write('ready\\n{half}')\ntime.sleep(60)"
    with start(code) as child:
        child.line(SECONDS)
        with pytest.raises(Silent, match=r"no answer in 0\.5 s"):
            read(child, 0.5)
        assert child.came == half.encode()


def test_a_hang_before_the_first_word():
    with (
        start("time.sleep(60)") as child,
        pytest.raises(Silent, match=r"no answer in 0\.5 s"),
    ):
        child.line(0.5)


def test_one_that_reads_nothing_is_seen():
    with (
        start("time.sleep(60)") as child,
        pytest.raises(Silent, match="no request read in 1 s"),
    ):
        child.send(bytes(LARGE), 1)


def test_one_that_closes_its_output_and_runs_on(monkeypatch):
    monkeypatch.setattr(processes, "GRACE", 0.5)
    with (
        start("os.close(1)\ntime.sleep(60)") as child,
        pytest.raises(Silent, match="runs on"),
    ):
        child.line(SECONDS)


GRANDCHILD = """
other = subprocess.Popen(["sleep", "60"])
print(other.pid)
"""


def test_what_it_started_ends_with_it(gone):
    with start(f"{GRANDCHILD}\ntime.sleep(60)") as child:
        other = int(child.line(SECONDS))
        assert not gone(other, 1)
    assert gone(other) and gone(child.process.pid)


def test_an_end_shows_though_a_grandchild_holds_the_output(gone):
    with start(f"{GRANDCHILD}\nos._exit(7)") as child:
        other = int(child.line(SECONDS))
        child.process.wait()
        with pytest.raises(Ended, match="exit status 7"):
            child.line(0.5)
        assert gone(other)


def test_another_can_follow():
    """Stopping twice is harmless, and leaves no pipe behind."""
    before = os.listdir("/proc/self/fd")
    for _ in range(2):
        with start(ECHO) as child:
            child.line(SECONDS)
            child.send(LENGTH.pack(1) + b"x", SECONDS)
            assert child.block(SECONDS) == b"x"
            child.stop()
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_the_log_is_the_file_asked_for(tmp_path):
    log = tmp_path / "a.log"
    log.write_text("of an earlier run, and longer")
    with (
        start("sys.exit('why')", log=log) as child,
        pytest.raises(Ended),
    ):
        child.line(SECONDS)
    assert log.read_text() == "why\n"


def test_two_runs_at_once_have_logs_of_their_own(tmp_path):
    """As parity and test-all: each quotes what its own process said."""
    log = tmp_path / "a.log"
    wait = "print('one', file=sys.stderr)\nsys.stdin.read()"
    with (
        start(wait, log=log) as one,
        start("sys.exit('two')", log=log) as two,
    ):
        with pytest.raises(Ended) as found:
            two.line(SECONDS)
        assert found.value.said == "two"
        one.process.stdin.close()
        with pytest.raises(Ended) as found:
            one.line(SECONDS)
        assert found.value.said == "one"
    assert log.read_text() == "two\n"


def test_its_environment(monkeypatch, tmp_path):
    """One thread, unless the user says otherwise."""
    code = "print(os.environ['OMP_NUM_THREADS'], os.environ['OF'])"
    code += "\nprint(os.getcwd())"
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    env = {"OF": "mine"}
    with start(code, folder=tmp_path, env=env) as child:
        assert child.line(SECONDS) == b"1 mine\n"
        assert child.line(SECONDS) == f"{tmp_path}\n".encode()
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    with start(code, env=env) as child:
        assert child.line(SECONDS) == b"5 mine\n"


def test_a_module_runs_in_its_environment():
    command = processes.module("jax", "a.b", "c")
    door = "-m", "shared_tests.processes", str(os.getpid())
    assert command == (python_of("jax"), *door, "a.b", "c")

"""Processes: a command in another environment, watched until it ends.

    with Child(module("jax", "shared_tests.live.server", "jax")) as child:
        child.send(data, seconds)      whole, or Ended, or Silent
        child.line(seconds)            the next line of its answers
        child.block(seconds)           or bytes with their length in front

While one side writes the other may write too: what comes during a send
is kept. A child has a session of its own, so that what it has started
ends with it. Where this process is interrupted (command.py) its children
end; where it is killed, so do those that run a module. Standard library
only: all environments import this.

python -m shared_tests.processes PARENT MODULE ...    as module() asks
"""

import contextlib
import ctypes
import math
import os
import pathlib
import runpy
import select
import signal
import struct
import subprocess
import sys
import time
from tempfile import TemporaryFile

from shared_tests.environments import ONE_THREAD, python_of
from shared_tests.files import ROOT

LENGTH = struct.Struct("<Q")  # in front of a block
PART = 2**16  # bytes that a pipe holds
LINE = 2**24  # bytes of a line; no answer is longer
TAIL = 2000  # characters of its errors that are kept
GRACE = 60  # seconds to end, once a pipe is closed
RUNNING = set()  # what was started, until its end was seen
END = []  # the signal that ends this process, once it has come
PARENT_DIED = 1  # PR_SET_PDEATHSIG of Linux's prctl


class Interrupted(BaseException):
    """This process ends: what a child says now is of no interest."""


class Silent(Exception):
    """The process runs, but did not do its part in time."""


class TooLong(Exception):
    """It said a line of more than LINE bytes, or one that has no end."""


class Ended(Exception):
    """The process ended; the text is how, and the last line it said."""

    def __init__(self, code, said):
        self.code = code  # -N for signal N
        self.said = said  # the end of its standard error
        self.signal = None  # or its name
        if code < 0:
            self.signal = signal.Signals(-code).name
        self.last = said.rpartition("\n")[2].strip()
        how = how_it_ended(code)
        super().__init__(f"{how}, {self.last}" if self.last else how)


def how_it_ended(code):
    """In words, from what Popen calls its return code."""
    if code >= 0:
        return f"exit status {code}"
    name = signal.Signals(-code).name
    if name == "SIGKILL":  # the kernel does that, and says nothing
        name += " (as when memory runs out)"
    return f"signal {name}"


def module(framework, name, *arguments):
    """The command that runs a module in a framework's environment, for
    as long as this process runs."""
    door = "-m", "shared_tests.processes", str(os.getpid())
    return (python_of(framework), *door, name, *arguments)


def run_module(parent, name, *arguments):
    """In the child: the module, which ends if its parent is killed."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl:  # Linux; elsewhere it ends at the end of its input
        prctl(PARENT_DIED, signal.SIGKILL)
    if os.getppid() != int(parent):  # killed before that line
        return
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def start(command, **options):
    """Popen, in a session of its own, which end_all() ends.

    Linux ends a module with the thread that started it: one that starts
    a child waits for its end.
    """
    if END:
        raise Interrupted
    process = subprocess.Popen(
        command, start_new_session=True, **options
    )
    RUNNING.add(process)
    if END:  # it came since, and may not have seen this one
        kill(process)
        raise Interrupted
    return process


def finish(command, folder=ROOT, **options):
    """Its return code and what it said, once it has ended."""
    process = start(command, cwd=folder, **options)
    try:
        said, _ = process.communicate()
    finally:
        kill(process)
        process.wait()
        RUNNING.discard(process)
    if END:  # it was killed by this process
        raise Interrupted
    return process.returncode, said


def kill(process):
    """A process and all that it started."""
    with contextlib.suppress(ProcessLookupError):  # all have ended
        os.killpg(process.pid, signal.SIGKILL)


def end_all(number):
    """Because of that signal; nothing can be started any more."""
    END.append(number)
    for process in list(RUNNING):
        kill(process)


class Child:
    """A process; log: the path that takes its standard error."""

    def __init__(self, command, folder=ROOT, env=None, log=None):
        self.came = bytearray()  # said, but not yet asked for
        if log:  # a file of its own: another run may write the old one
            pathlib.Path(log).unlink(missing_ok=True)
        self.log = open(log, "w+b") if log else TemporaryFile()  # noqa: SIM115
        self.process = start(
            command,
            cwd=folder,
            env=ONE_THREAD | os.environ | (env or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
        )
        self.sink = self.process.stdin.fileno()
        self.source = self.process.stdout.fileno()
        os.set_blocking(self.sink, False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def kill(self):
        """End it and all that it started; its reader sees the end."""
        kill(self.process)

    def stop(self):
        if not self.log.closed:
            self.kill()
            self.process.wait()
            RUNNING.discard(self.process)
            self.process.stdin.close()
            self.process.stdout.close()
            self.log.close()

    def send(self, data, seconds):
        deadline = time.monotonic() + seconds
        rest = memoryview(data)
        late = f"no request read in {seconds} s"
        while rest:
            if self.wait([self.sink], deadline, late):
                try:
                    rest = rest[os.write(self.sink, rest) :]
                except BrokenPipeError:
                    raise self.ending() from None

    def line(self, seconds):
        return self.message(line_size, seconds, LINE)

    def block(self, seconds):
        return self.message(block_size, seconds)[LENGTH.size :]

    def message(self, size_of, seconds, most=math.inf):
        deadline = time.monotonic() + seconds
        while (
            not (size := size_of(self.came)) and len(self.came) <= most
        ):
            self.wait([], deadline, f"no answer in {seconds} s")
        if not size or size > most:
            said = bytes(self.came[:TAIL])
            raise TooLong(f"a line of more than {most} bytes", said)
        data = bytes(self.came[:size])
        del self.came[:size]
        return data

    def wait(self, sinks, deadline, late):
        """Keep what it says; true if a sink takes data."""
        left = max(0, deadline - time.monotonic())
        says, takes, _ = select.select([self.source], sinks, [], left)
        if says:
            part = os.read(self.source, PART)
            if not part:
                raise self.ending()
            self.came += part
        elif not takes:
            # what it started may hold its output open, though it ended
            ended = self.process.poll() is not None
            raise self.ending() if ended else Silent(late)
        return takes

    def ending(self):
        """Ended; or Silent, where it runs on without its pipes."""
        try:
            code = self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            return Silent("no pipe is open, but it runs on")
        if END:  # it was killed by this process
            return Interrupted()
        self.kill()  # what it started must not write any more
        self.log.seek(0)
        text = self.log.read().decode(errors="replace")
        return Ended(code, text.strip()[-TAIL:])


def line_size(came):
    """Bytes of the first line, 0 while it is not whole."""
    return came.find(b"\n") + 1


def block_size(came):
    """The same for a block and its length."""
    if len(came) < LENGTH.size:
        return 0
    size = LENGTH.size + LENGTH.unpack_from(came)[0]
    return size if len(came) >= size else 0


@contextlib.contextmanager
def answers():
    """In the child: standard output; libraries print to the other."""
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)
        yield out


def read_block(file):
    """In the child: the next block; b"" after the last."""
    head = file.read(LENGTH.size)
    return file.read(*LENGTH.unpack(head)) if head else b""


if __name__ == "__main__":
    run_module(*sys.argv[1:])

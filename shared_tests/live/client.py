"""The four frameworks, kept running, for numbers that no fixture holds.

    request = Request("Linear", config, params, inputs, cotangents)
    with Worker("jax") as jax, Worker("tf") as tf:
        answers = ask_all([jax, tf], request)
    references, sigmas = reference(*request[:5], request.precision)

An answer is {array: ndarray}, or a finding, one of
    "unsupported: ..."  "error: TypeName: ..."  "crash: ..."  "hang: ..."
Verdicts are those of verdict.judge. Runs in the PyTorch environment,
which computes the references.
"""

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time
from typing import NamedTuple

from shared_tests.environments import (
    ONE_THREAD,
    environment_error,
    python_of,
)
from shared_tests.files import ROOT
from shared_tests.live.server import LENGTH, pack, unpack
from shared_tests.make_fixtures import reference

__all__ = ["Request", "Worker", "ask_all", "reference"]

START_SECONDS = 300  # to import a framework on a busy machine
ANSWER_SECONDS = 120


class Request(NamedTuple):
    layer: str
    config: dict
    params: dict
    inputs: dict
    cotangents: dict
    precision: str = "float32"
    compiled: bool = False


class Hang(Exception):
    """Nothing came in time."""


class Worker:
    """One framework's process; started again after a crash or a hang.

    root: the checkout to run, in the environments of this one
    Raises: FileNotFoundError where the environment is missing
    """

    def __init__(self, framework, root=ROOT):
        self.framework = framework
        self.root = root
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        error = environment_error(self.framework)
        if error:
            raise FileNotFoundError(f"{error}: run `make environments`")
        python = python_of(self.framework)
        self.log = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [python, "-m", "shared_tests.live.server", self.framework],
            cwd=self.root,
            env=ONE_THREAD | os.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            start_new_session=True,  # its children end with it
        )
        os.set_blocking(self.process.stdin.fileno(), False)
        self.ready = False

    def stop(self):
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.log.close()

    def ask(self, request, timeout=ANSWER_SECONDS):
        """The arrays of one request, or a finding."""
        return self.receive(self.send(request), timeout)

    def send(self, request):
        """Ask without waiting; returns a finding if that fails, or None."""
        if self.log.closed:
            self.start()
        arrays = {
            f"{kind}.{name}": array
            for kind, group in (
                ("param", request.params),
                ("in", request.inputs),
                ("cotangent", request.cotangents or {}),
            )
            for name, array in group.items()
        }
        message = {
            "layer": request.layer,
            "config": request.config,
            "precision": request.precision,
            "compiled": request.compiled,
        }
        return self.guarded(self.write, pack(message, arrays))

    def receive(self, finding, timeout=ANSWER_SECONDS):
        """What became of a request that send() returned `finding` for."""
        if finding:
            return finding
        return self.guarded(self.answer, timeout)

    def guarded(self, action, *args):
        """action's result, or what a dead or hung process comes to."""
        try:
            return action(*args)
        except (EOFError, BrokenPipeError):
            finding = self.crash()
        except Hang as error:
            finding = f"hang: {error}"
        self.stop()
        return finding

    def crash(self):
        try:
            code = self.process.wait(ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            return "crash: it closed its output"
        if code < 0:
            text = f"signal {signal.Signals(-code).name}"
        else:
            text = f"exit status {code}"
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").split("\n")
        last = [line.strip() for line in lines if line.strip()][-1:]
        return ", ".join([f"crash: {text}", *last])

    def write(self, data):
        pipe, rest = self.process.stdin.fileno(), memoryview(data)
        deadline = time.monotonic() + START_SECONDS
        while rest:
            left = max(0, deadline - time.monotonic())
            if not select.select([], [pipe], [], left)[1]:
                raise Hang(f"no request read in {START_SECONDS} s")
            rest = rest[os.write(pipe, rest) :]

    def answer(self, timeout):
        if not self.ready:
            self.read(START_SECONDS)
            self.ready = True
        message, arrays = unpack(self.read(timeout))
        for kind, text in message.items():
            return f"{kind}: {text}"
        return arrays

    def read(self, seconds):
        deadline = time.monotonic() + seconds

        def exactly(size):
            data, pipe = bytearray(), self.process.stdout.fileno()
            while len(data) < size:
                left = max(0, deadline - time.monotonic())
                if not select.select([pipe], [], [], left)[0]:
                    raise Hang(f"no answer in {seconds} s")
                part = os.read(pipe, size - len(data))
                if not part:
                    raise EOFError
                data += part
            return bytes(data)

        return exactly(*LENGTH.unpack(exactly(LENGTH.size)))


def ask_all(workers, request, timeout=ANSWER_SECONDS, meanwhile=None):
    """Every worker's answer to one request; all of them compute at once.

    meanwhile: called, without arguments, while they do
    Returns: the answers in the order of `workers`
    """
    findings = [worker.send(request) for worker in workers]
    if meanwhile:
        meanwhile()
    return [
        worker.receive(finding, timeout)
        for worker, finding in zip(workers, findings)
    ]

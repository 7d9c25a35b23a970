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

from typing import NamedTuple

from shared_tests.environments import environment_error
from shared_tests.files import ROOT
from shared_tests.live.server import pack, unpack
from shared_tests.make_fixtures import reference
from shared_tests.processes import Child, Ended, Silent, module

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
        command = module(
            self.framework, "shared_tests.live.server", self.framework
        )
        self.child = Child(command, self.root)
        self.ready = False

    def stop(self):
        if self.child:
            self.child.stop()
        self.child = None

    def ask(self, request, timeout=ANSWER_SECONDS):
        """The arrays of one request, or a finding."""
        return self.receive(self.send(request), timeout)

    def send(self, request):
        """Ask without waiting; returns a finding if that fails, or None."""
        if not self.child:
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
        data = pack(message, arrays)
        return self.guarded(self.child.send, data, START_SECONDS)

    def receive(self, finding, timeout=ANSWER_SECONDS):
        """What became of a request that send() returned `finding` for."""
        if finding:
            return finding
        return self.guarded(self.answer, timeout)

    def guarded(self, action, *args):
        """action's result, or what a dead or hung process comes to."""
        try:
            return action(*args)
        except Ended as error:
            finding = f"crash: {error}"
        except Silent as error:
            finding = f"hang: {error}"
        self.stop()
        return finding

    def answer(self, timeout):
        if not self.ready:
            self.child.block(START_SECONDS)
            self.ready = True
        message, arrays = unpack(self.child.block(timeout))
        for kind, text in message.items():
            return f"{kind}: {text}"
        return arrays


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

"""Live workers: numbers cross unchanged, and no failure stops the run."""

import os
import signal
import sys
import zlib

import ml_dtypes
import numpy as np
import pytest

from shared_tests.cases import CASES
from shared_tests.environments import FRAMEWORKS
from shared_tests.files import ROOT
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.live.client import Request, Worker, ask_all, reference
from shared_tests.live.server import pack, unpack
from shared_tests.make_fixtures import compact
from shared_tests.processes import LENGTH, Child
from shared_tests.run import group, precisions, sigmas
from shared_tests.verdict import judge

ENVIRONMENTS = ("pytorch",)

DTYPES = "float64 float32 float16 int64 int32 int8 uint8 bool".split()
X = np.float32([1.0, 2.0**-20, 0.3, 7e4])
SCALED = Request("ScaledReLU", {}, {}, {"x": X}, {"y": X})


@pytest.fixture(scope="module")
def workers():
    alive = [Worker(framework) for framework in FRAMEWORKS]
    yield alive
    for worker in alive:
        worker.stop()


def same(one, two):
    assert one.dtype == two.dtype and one.shape == two.shape
    return one.tobytes() == two.tobytes()


@pytest.mark.parametrize("dtype", [*DTYPES, ml_dtypes.bfloat16])
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (3, 5)])
def test_messages_are_bit_exact(dtype, shape):
    rng = np.random.default_rng(5)
    array = (100 * rng.standard_normal(shape)).astype(dtype)
    arrays = {"plain": array, "strided": array.T}
    if np.dtype(dtype).kind in "fV" and array.size:
        array.flat[0] = -0.0
        array.flat[-1] = np.nan
    data = pack({"n": 1}, arrays)
    assert LENGTH.unpack(data[: LENGTH.size]) == (len(data) - 8,)
    message, back = unpack(data[LENGTH.size :])
    assert message == {"n": 1} and back.keys() == arrays.keys()
    for name in arrays:
        assert same(back[name], arrays[name])


@pytest.mark.parametrize(
    "precision", ["float64", "float32", "bfloat16", "float16"]
)
def test_a_round_trip_is_bit_exact(workers, precision):
    """relu of positive numbers is what went in."""
    dtype = np.dtype(getattr(ml_dtypes, precision, precision))
    with np.errstate(over="ignore"):
        x = X.astype(dtype)
    request = SCALED._replace(
        inputs={"x": x.astype(np.float64)},
        cotangents={"y": x.astype(np.float64)},
        precision=precision,
    )
    for worker, answer in zip(workers, ask_all(workers, request)):
        if (worker.framework, precision) == ("mxnet", "bfloat16"):
            assert answer.startswith("unsupported: ")
        else:
            assert answer.keys() == {"out.y", "grad.x"}
            assert all(same(array, x) for array in answer.values())


def test_an_exception_is_a_finding(workers):
    request = SCALED._replace(layer="Scaled")
    for answer in ask_all(workers, request):
        assert answer.startswith("error: ValueError: layer expected")
        assert answer.endswith("got 'Scaled'")
    for answer in ask_all(workers, SCALED):
        assert same(answer["out.y"], X)


@pytest.mark.parametrize(
    "stop, text",
    [
        (signal.SIGKILL, "signal SIGKILL"),
        # MXNet 1.9.1 catches it, and exits
        (signal.SIGSEGV, "exit status 255, Segmentation fault: 11"),
    ],
)
def test_a_crash_is_a_finding(workers, stop, text):
    victim = workers[-1]  # MXNet starts fastest
    victim.ask(SCALED)
    os.kill(victim.child.process.pid, stop)
    first, second = ask_all([victim, workers[0]], SCALED)
    assert first.startswith(f"crash: {text}")
    assert same(second["out.y"], X)
    assert same(victim.ask(SCALED)["out.y"], X)


def test_a_hang_is_a_finding(workers):
    victim = workers[-1]
    victim.ask(SCALED)
    os.kill(victim.child.process.pid, signal.SIGSTOP)
    assert victim.ask(SCALED, timeout=0.5).startswith("hang: no")
    assert same(victim.ask(SCALED)["out.y"], X)


KILLED = """
import time
from shared_tests.live.client import Worker
print(Worker("mxnet").child.process.pid, flush=True)
time.sleep(600)
"""


def test_workers_end_with_a_process_that_is_killed(gone):
    with Child([sys.executable, "-c", KILLED]) as parent:
        worker = int(parent.line(120))
        os.kill(parent.process.pid, signal.SIGKILL)
        assert gone(worker)


def test_an_exit_is_a_finding(tmp_path):
    """A checkout without that framework: the import fails."""
    (tmp_path / "shared_tests").symlink_to(ROOT / "shared_tests")
    with Worker("pytorch", tmp_path) as worker:
        finding = worker.ask(SCALED)
    assert finding.startswith("crash: exit status 1, ModuleNotFound")
    assert "pytorch_impl" in finding


def test_a_missing_environment():
    with pytest.raises(FileNotFoundError, match="make environments"):
        Worker("caffe")


@pytest.mark.parametrize(
    "case",
    [c for c in CASES if c.id in ("Linear-basic", "quantize-tie")],
    ids=lambda case: case.id,
)
def test_the_reference_is_the_fixture(workers, case):
    fixture = read_fixture(case, read_manifest())
    kinds = ("param", "in", "cotangent")
    request = Request(
        case.layer, case.config, *(group(fixture, k) for k in kinds)
    )
    for precision in precisions(case):
        seed = zlib.crc32(case.id.encode())  # as make_fixture
        references, sigma = reference(*request[:5], precision, seed)
        for name, expected in group(fixture, "ref").items():
            assert same(references[name], expected)
        for name, expected in sigmas(fixture, precision).items():
            assert same(compact(sigma[name]), expected)
        answer = workers[0].ask(request._replace(precision=precision))
        assert answer.keys() == references.keys()
        for name, value in answer.items():
            assert judge(
                value, references[name], sigma[name], precision
            ).passed

"""make bench-gpu: what it makes of measurements; they need a GPU."""

import itertools
import json
import types

import pytest

from shared_tests.files import ROOT
from shared_tests.performance import bench_gpu

ENVIRONMENTS = ("tools",)

FOLDER = ROOT / "docs" / "performance"


def attention(which, width, causal, length, **seconds):
    return dict(
        part="attention",
        which=which,
        width=width,
        causal=causal,
        length=length,
        batch=2,
        heads=16,
        seconds=seconds,
        refused={},
        kernels={"ours": "attention_forward"},
    )


ROWS = [
    dict(part="device", date="2026-01-02", name="A GPU", torch="2.11.0")
    | dict(triton="3.6.0", cuda="13.0", cudnn=91900),
    *(
        attention(*which, ours=2e-3, cudnn=1e-3, math=9e-3)
        for which in itertools.product(
            ("forward", "backward"),
            (64, 128),
            (False, True),
            (512, 1024),
        )
    ),
    dict(part="quantizers", dtype="float32", which="forward")
    | dict(name="ours", share=0.5, copy=4e12),
    dict(part="memory", length=4096, extra=2**20),
    dict(part="memory", length=8192, extra=2**21),
    dict(
        part="jax", width=64, causal=True, length=1024, which="forward"
    )
    | dict(seconds=dict(pallas=2e-3, builtin=1e-3)),
]


def test_the_page_of_measurements():
    text = bench_gpu.page(ROWS)
    assert "Measured 2026-01-02 on one A GPU: torch 2.11.0" in text
    assert "not measured" not in text
    # 4 B H N^2 D operations in a millisecond
    work = 4 * 2 * 16 * 1024**2 * 128 / 1e-3 / 1e12
    assert (
        f"| 128 | full | 1024 | cudnn | {work:.0f} | ours 0.50 |"
        in text
    )
    assert "| float32 | forward | ours | 0.50 |" in text
    assert "| times, as N doubles | 2.00 |" in text
    assert "| 64 | causal | 1024 | forward | 0.50 |" in text


def test_nothing_measured():
    text = bench_gpu.page([])
    assert text.count("not measured") == 6
    assert "no GPU was at hand" in text


def test_the_committed_page_is_of_the_committed_numbers():
    numbers = FOLDER / "gpu.json"
    rows = json.loads(numbers.read_text()) if numbers.exists() else []
    assert (FOLDER / "gpu.md").read_text() == bench_gpu.page(rows)
    assert (FOLDER / "gpu.svg").exists() == bool(rows)


def test_what_was_measured_is_saved_at_once(tmp_path):
    bench_gpu.save(ROWS, tmp_path)
    assert json.loads((tmp_path / "gpu.json").read_text()) == ROWS
    assert (tmp_path / "gpu.svg").read_text().count(
        "D=128, causal"
    ) >= 1


@pytest.mark.parametrize("which", ["forward", "backward"])
def test_operations(which):
    """Counted product by product."""
    b, h, n, d = 2, 3, 5, 7
    products = 2 if which == "forward" else 5  # of N x N with D
    count = b * h * products * 2 * n * n * d
    assert (
        bench_gpu.flops(b, h, n, d, False, which != "forward") == count
    )
    assert (
        bench_gpu.flops(b, h, n, d, True, which != "forward")
        == count / 2
    )


def test_contenders_take_turns():
    order, times = [], iter([5.0, 1.0, 3.0, 1.0, 4.0, 9.0])

    def clock(call):
        order.append(call())
        return next(times)

    calls = dict(a=lambda: "a", b=lambda: "b")
    found = bench_gpu.interleaved(calls, clock, rounds=3)
    assert order == ["a", "b"] * 3
    assert found == dict(a=4.0, b=1.0)


def test_no_gpu(monkeypatch, capsys):
    cuda = types.SimpleNamespace(is_available=lambda: False)
    torch = types.SimpleNamespace(cuda=cuda, __version__="2.0+cpu")
    monkeypatch.setitem(bench_gpu.sys.modules, "torch", torch)
    monkeypatch.setattr(bench_gpu.sys, "argv", ["bench_gpu"])
    assert bench_gpu.main() == 1
    said = capsys.readouterr().out
    assert "needs a GPU" in said and "torch 2.0+cpu" in said

"""make bench-gpu: the contenders compute the same thing."""

import pytest
import torch

from shared_tests.performance import bench_gpu

ENVIRONMENTS = ("triton",)

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# a backend may refuse float32 or this device: it has to be named then
OURS = {"ours", "ours, pointers", "ours, specialized"}


@pytest.mark.parametrize("causal", [False, True])
def test_attention(causal):
    torch.manual_seed(0)
    arrays = torch.randn(4, 1, 2, 20, 64, device=DEVICE).unbind(0)
    functions = bench_gpu.our_calls(64) | bench_gpu.sdpa_calls()
    forward, backward, refused = bench_gpu.passes(
        functions, arrays, causal
    )
    assert (
        set(forward) == set(backward) == set(functions) - set(refused)
    )
    assert {*OURS, "math"} <= set(forward)
    for calls in (forward, backward):
        reference = calls.pop("math")()
        for call in calls.values():
            for a, b in zip(call(), reference):
                gap = (a - b).abs().max()
                assert 1e5 * gap < b.abs().max()


def test_quantizers():
    torch.manual_seed(0)
    x, dy = torch.randn(2, 100, device=DEVICE).unbind(0)
    calls = bench_gpu.quantizer_calls(x, dy)
    assert torch.equal(calls["copy", "copy"][0](), x)
    ours = calls["forward", "ours, with the mask"][0]()
    assert torch.equal(ours, calls["forward", "torch"][0]())
    (dx,) = calls["straight-through backward", "ours"][0]()
    assert torch.equal(dx, torch.where(x.abs() < 3.8, dy, 0))
    dx, dstep = calls["LSQ backward", "ours"][0]()
    assert dx.shape == x.shape and dstep.shape == ()

"""Attention in Triton: the cases of attention, by the kernels.

Interpreted on the CPU where there is no GPU: then bfloat16 is computed
in float32 and rounded once, since Triton 3.6's interpreter gets bfloat16
wrong. On a GPU the same tests run compiled.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from pytorch_impl import MultiHeadAttention, adapter
from pytorch_impl.kernels.attention_operators import (
    attention_triton_backward,
    attention_triton_forward,
)
from pytorch_impl.kernels.attention_tiles import (
    Tiles,
    attention_tiles,
    candidates,
)
from pytorch_impl.kernels.attention_triton import (
    attention_triton,
    pick_tiles,
)
from shared_tests.cases import CASES
from shared_tests.draws import normal
from shared_tests.files import ROOT
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.make_fixtures import draw_array, reference
from shared_tests.run import group, precisions, sigmas
from shared_tests.verdict import judge

ENVIRONMENTS = ("triton",)

GPU = torch.cuda.is_available()
DEVICE = "cuda" if GPU else "cpu"
ATTENTION = [case for case in CASES if case.layer == "attention"]
# 5 queries and 7 keys are several tiles then, and a head ends in one
SMALL = [Tiles(16, 16, 4, 1)] * 3
WIDE = [Tiles(16, 32, 4, 2), Tiles(16, 32, 4, 2), Tiles(32, 16, 4, 2)]
DESCRIPTORS = [row._replace(tma=True) for row in WIDE]


def compute(fixture, config, precision, tiles=None):
    """{array: ndarray}, forward and backward by the kernels."""
    inputs = {
        n: adapter.to_tensor(x, precision).to(DEVICE)
        for n, x in group(fixture, "in").items()
    }
    moving = {n: inputs[n].requires_grad_() for n in "qkv"}
    y = attention_triton(**inputs, **config, tiles=tiles)
    dy = adapter.to_tensor(fixture["cotangent.y"], precision).to(DEVICE)
    grads = torch.autograd.grad(y, list(moving.values()), dy)
    results = dict(zip((f"grad.{n}" for n in moving), grads))
    results["out.y"] = y
    return {n: adapter.to_numpy(x.cpu()) for n, x in results.items()}


def wrong(case, precision, tiles=None):
    fixture = read_fixture(case, read_manifest())
    results = compute(fixture, case.config, precision, tiles)
    references = group(fixture, "ref")
    assert set(results) == set(references)
    sigma = sigmas(fixture, precision)
    verdicts = {
        n: judge(results[n], r, sigma[n], precision)
        for n, r in references.items()
    }
    return {n: v.detail for n, v in verdicts.items() if not v.passed}


@pytest.mark.parametrize("case", ATTENTION, ids=lambda c: c.name)
def test_within_budget(case):
    assert not wrong(case, "float32", SMALL)


def test_products_of_the_interpreter():
    """The backward pass makes K Q^T, and takes from it the largest score
    of the forward, Q K^T: a weight near 1 stands and falls with that."""
    rng = np.random.default_rng(0)
    for width in (16, 24, 64):
        q, k = rng.standard_normal((2, 16, width)).astype("f4")
        assert np.array_equal(q @ k.T, (k @ q.T).T)


@pytest.mark.parametrize(
    "case, precision",
    [(c, p) for c in ATTENTION for p in precisions(c)[2:]],
    ids=lambda value: getattr(value, "name", value),
)
def test_narrow_precisions(case, precision):
    assert not wrong(case, precision)


@pytest.mark.parametrize("tiles", [WIDE, DESCRIPTORS, None])
@pytest.mark.parametrize("name", ["many_keys", "grouped_causal"])
def test_tiles(name, tiles):
    (case,) = (c for c in ATTENTION if c.name == name)
    assert not wrong(case, "float32", tiles)


# the tiles of the table for each width, where a GPU takes them
WIDTHS = (16, 64, 128, 256) if GPU else (24,)
KINDS = ("float32", "float16", "bfloat16") if GPU else ("float32",)
QUERIES, KEYS = (150, 333) if GPU else (40, 70)
HOPPER = GPU and torch.cuda.get_device_capability()[0] == 9


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("precision", KINDS)
@pytest.mark.parametrize("width", WIDTHS)
def test_several_tiles(width, precision, causal):
    """Grouped heads; a last tile that is not full; fresh budgets."""
    rng = np.random.default_rng(width)
    q, k = (1, 4, QUERIES, width), (1, 2, KEYS, width)
    shapes = dict(q=q, k=k, v=k, dy=q)
    arrays = {
        n: draw_array(rng, normal(*shape), low_precision=True)
        for n, shape in shapes.items()
    }
    dy = arrays.pop("dy")
    references, sigma = reference(
        "attention",
        dict(causal=causal),
        {},
        arrays,
        dict(y=dy),
        precision,
    )
    fixture = {f"in.{n}": x for n, x in arrays.items()}
    fixture["cotangent.y"] = dy
    other = precision != "float32" and HOPPER
    rows = candidates(width) if other else []
    every = attention_tiles(width, getattr(torch, precision), HOPPER)
    for tiles in (None, *([row, *every[1:]] for row in rows)):
        found = compute(fixture, dict(causal=causal), precision, tiles)
        for n, expected in references.items():
            verdict = judge(found[n], expected, sigma[n], precision)
            assert verdict.passed, (n, tiles, verdict.detail)


def draw(*sizes, dtype=torch.float32, seed=0):
    """q, k, v and dy of B, H, G, N, M, D."""
    b, h, g, n, m, d = sizes
    generator = torch.Generator().manual_seed(seed)
    shapes = (b, h, n, d), (b, g, m, d), (b, g, m, d), (b, h, n, d)
    return [
        torch.randn(s, generator=generator).to(DEVICE, dtype)
        for s in shapes
    ]


def both(q, k, v, dy, **options):
    inputs = [x.clone().requires_grad_() for x in (q, k, v)]
    y = attention_triton(*inputs, **options)
    return y, *torch.autograd.grad(y, inputs, dy)


def test_same_bits_in_every_run():
    case = draw(1, 4, 2, 40, 50, 24)
    first, second = both(*case, causal=True), both(*case, causal=True)
    for a, b in zip(first, second):
        assert torch.equal(a, b)


def test_memory_layout_does_not_matter():
    q, k, v, dy = draw(2, 4, 2, 20, 24, 16)
    plain = both(q, k, v, dy)
    turned = [
        x.transpose(1, 2).contiguous().transpose(1, 2)
        for x in (q, k, v)
    ]
    turned.append(dy.transpose(2, 3).contiguous().transpose(2, 3))
    for a, b in zip(plain, both(*turned)):
        assert torch.equal(a, b)


def test_a_layer_takes_it():
    torch.manual_seed(0)
    layer = MultiHeadAttention(
        embed_dim=12, num_heads=2, attention=attention_triton
    ).to(DEVICE)
    plain = MultiHeadAttention(embed_dim=12, num_heads=2).to(DEVICE)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(2, 5, 12, device=DEVICE)
    gap = (layer(x) - plain(x)).abs().max()
    assert layer(x).abs().max() > 0.1 > 1e5 * gap
    layer(x).sum().backward()
    assert layer.qkv.weight.grad.abs().max() > 0


def test_bad_input():
    q, k, v, _ = draw(1, 4, 2, 5, 7, 8)
    with pytest.raises(
        TypeError, match="float32 or float16 or bfloat16, got float64"
    ):
        attention_triton(*(x.double() for x in (q, k, v)))
    wide = torch.zeros(1, 1, 2, 257, device=DEVICE)
    with pytest.raises(ValueError, match="at most 256, got 257"):
        attention_triton(wide, wide, wide)
    with pytest.raises(
        ValueError, match="attention_triton: H expected"
    ):
        attention_triton(q[:, :3], k, v)
    with pytest.raises(TypeError, match="bool"):
        attention_triton(q, k, v, torch.zeros(7, device=DEVICE))
    words = r"attention_triton: v expected shape \(B, G, M, D=8\)"
    with pytest.raises(ValueError, match=words):
        attention_triton(q, k, v[..., :5])


def test_operators():
    q, k, v, dy = draw(1, 2, 1, 5, 7, 16)
    seen = torch.rand(1, 1, 1, 7, device=DEVICE) > 0.4
    rows = [int(n) for row in SMALL for n in row]
    options = False, 0.25, rows
    for mask in (None, seen):
        moving = [x.requires_grad_() for x in (q, k, v)]
        torch.library.opcheck(
            attention_triton_forward, (*moving, mask, *options)
        )
        with torch.no_grad():
            kept = attention_triton_forward(q, k, v, mask, *options)
            torch.library.opcheck(
                attention_triton_backward,
                (dy, q, k, v, mask, *kept, *options),
            )


def test_compiled_and_exported():
    q, k, v, dy = draw(1, 2, 1, 5, 7, 16)

    def call(q, k, v):
        return attention_triton(q, k, v, causal=True)

    eager = both(q, k, v, dy, causal=True)
    moving = [x.clone().requires_grad_() for x in (q, k, v)]
    backend = "inductor" if GPU else "aot_eager"
    made = torch.compile(call, fullgraph=True, backend=backend)
    y = made(*moving)
    for a, b in zip(eager, (y, *torch.autograd.grad(y, moving, dy))):
        assert torch.equal(a, b)

    class Model(torch.nn.Module):
        def forward(self, q, k, v):
            return call(q, k, v)

    exported = torch.export.export(Model(), (q, k, v)).module()
    assert torch.equal(exported(q, k, v), eager[0])


# without a GPU and without the interpreter the page computes
PLAIN = """
import torch
from pytorch_impl import attention
from pytorch_impl.kernels.attention_operators import *
from pytorch_impl.kernels.attention_triton import attention_triton

torch.manual_seed(0)
q = torch.randn(1, 4, 5, 8, requires_grad=True)
k, v = (torch.randn(1, 2, 7, 8, requires_grad=True) for _ in "kv")
seen = torch.rand(1, 1, 1, 7) > 0.3
made = torch.compile(attention_triton, fullgraph=True, backend="aot_eager")
for call in (attention_triton, made):
    for options in (dict(causal=True), dict(attn_mask=seen)):
        y, z = (f(q, k, v, **options) for f in (call, attention))
        dy = torch.randn_like(y)
        pairs = (torch.autograd.grad(x, (q, k, v), dy) for x in (y, z))
        for a, b in ((y, z), *zip(*pairs)):
            assert 1e5 * (a - b).abs().max() < a.abs().max()
torch.library.opcheck(
    attention_triton_forward, (q, k, v, seen, True, 0.3, [0] * 18)
)
print("passed")
"""


def run(*command):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *command],
        cwd=ROOT,
        env=os.environ | {"TRITON_INTERPRET": "0"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_without_a_kernel():
    assert run("-c", PLAIN) == "passed\n"


SHARED = {90: 227 * 1024, 80: 99 * 1024}  # bytes that a block may have


@pytest.mark.parametrize("capability", [90, 80])
def test_compiled_ahead_of_time(capability):
    """Registers hold what is used again, up to a width of 128; at 256
    the backward pass on Hopper spills a few."""
    text = run(
        "-m", "shared_tests.performance.attention_aot", str(capability)
    )
    rows = [json.loads(line) for line in text.splitlines()]
    kernels = {row["kernel"] for row in rows}
    assert len(kernels) == 4
    for row in rows:
        assert row["shared"] <= SHARED[capability], row
        assert row["registers"] <= 255, row
        assert row["stack"] <= (256 if row["width"] == 256 else 16), row
        specialized = row["tiles"][-1]
        threads = 384 if specialized else 32 * row["tiles"][2]
        assert row["threads"] == threads, row
    if capability == 90:
        assert any(row["tiles"][-1] for row in rows)


def test_tiles_by_alignment():
    q, _, v, _ = draw(1, 2, 2, 5, 7, 16)
    table = attention_tiles(16, torch.float16, True)
    assert all(row.tma for row in table)
    assert any(row.specialized for row in candidates(64))
    odd = torch.zeros(1, 2, 7, 17, device=DEVICE)[..., 1:]
    for row in pick_tiles(q, odd, v):
        assert not row.tma and not row.specialized

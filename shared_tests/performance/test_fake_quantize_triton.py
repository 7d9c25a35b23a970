"""Quantizers as Triton kernels: the numbers of the pages, bit for bit.

On the GPU where there is one, else interpreted. What the kernels become
there is read from their machine code, compiled here, in a process of its
own; see fake_quantize_aot.py.
"""

import functools
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from pytorch_impl.kernels import fake_quantize_triton as masked
from pytorch_impl.kernels import tiles
from pytorch_impl.kernels.fake_quantize_plain import packed
from pytorch_impl.kernels.fake_quantize_triton import (
    fake_quantize_triton,
)
from pytorch_impl.kernels.lsq_triton import lsq_triton
from pytorch_impl.kernels.quantize_triton import quantize_triton
from pytorch_impl.quantization.fake_quantize import (
    fake_quantize,
    quantize,
)
from pytorch_impl.quantization.lsq import lsq
from shared_tests.cases import CASES
from shared_tests.files import ROOT
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.layers.quantization import formulas
from shared_tests.layers.quantization.formulas import (
    SETTINGS,
    define,
    name,
)
from shared_tests.run import group
from shared_tests.verdict import judge

ENVIRONMENTS = ("triton",)

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
ON_GPU = DEVICE == "cuda"
COUNT = 60_000  # values to each setting
MORE = [
    dict(bits=6, scale=0.07, zero_point=5),
    dict(bits=7, signed=False, scale=0.3, zero_point=20),
    dict(bits=8, scale=2.0**-126, zero_point=0),
    dict(bits=4, narrow_range=True, scale=2.0**126, zero_point=-3),
]
LAYERS = ("fake_quantize", "quantize", "LSQ")
OURS = [case for case in CASES if case.layer in LAYERS]
# every way of reading x: one number, tails, rows, columns, nothing
SHAPES = [
    ((), None),
    ((10_001,), None),
    ((3, 5, 7), 0),
    ((3, 5, 7), 1),
    ((3, 5, 7), -1),
    ((700, 3), 1),
    ((2, 3, 4200), 1),
    ((40, 7, 9), 1),
    ((70, 130), -1),
    ((0, 7), 1),
    ((40, 0), 0),
]
EVERY_SHAPE = pytest.mark.parametrize("shape, axis", SHAPES)


def there(x, dtype=None):
    return torch.as_tensor(np.array(x), dtype=dtype).to(DEVICE)


def gradients(function, upstream, *moving):
    moving = [x.detach().clone().requires_grad_() for x in moving]
    y = function(*moving)
    return y, *torch.autograd.grad(y, moving, upstream.to(y))


def equal(ours, pages):
    for a, b in zip(ours, pages, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        assert torch.equal(a.cpu(), b.cpu())


def called(layer, config):
    if layer == "LSQ":
        config = dict(config)
        config.pop("num_channels", None)
        count = config.pop("num_elements", None)
        return functools.partial(
            lsq_triton, num_elements=count, **config
        )
    make = dict(
        quantize=quantize_triton, fake_quantize=fake_quantize_triton
    )
    return functools.partial(make[layer], **config)


@pytest.mark.parametrize("case", OURS, ids=lambda c: c.id)
def test_cases(case):
    fixture = read_fixture(case, read_manifest())
    given = group(fixture, "in") | group(fixture, "param")
    if "non_contiguous" in case.flags:
        given = {n: np.asfortranarray(x) for n, x in given.items()}
    given = {n: there(x) for n, x in given.items()}
    moving = {n: x for n, x in given.items() if x.is_floating_point()}
    y = called(case.layer, case.config)
    got = {}
    if case.layer == "quantize":
        got["out.y"] = y(**given)
    else:
        for x in moving.values():
            x.requires_grad_()
        got["out.y"] = y(**given)
        upstream = there(fixture["cotangent.y"], torch.float32)
        grads = torch.autograd.grad(
            got["out.y"], list(moving.values()), upstream
        )
        got |= {f"grad.{n}": g for n, g in zip(moving, grads)}
    references = group(fixture, "ref")
    assert set(got) == set(references)
    for array, reference in references.items():
        value = got[array].detach().cpu().numpy()
        sigma = fixture[f"sigma.{array}"]
        verdict = judge(value, reference, sigma, "float32")
        assert verdict.passed, (array, verdict.detail)


@pytest.mark.parametrize("setting", SETTINGS + MORE, ids=name)
def test_hard_values(monkeypatch, setting):
    """Ties, bounds, their neighbours, zeros, subnormals, huge ones."""
    monkeypatch.setattr(formulas, "COUNT", COUNT)
    config, given = formulas.inputs(setting, "float32")
    codes, inside, values = define(**given, setting=setting)
    x, scale, zero_point = (there(x) for x in given.values())
    got = quantize_triton(x, scale, zero_point, **config)
    assert np.array_equal(got.cpu().numpy(), codes)
    assert got.dtype == torch.int32 and not inside.all()
    function = functools.partial(
        fake_quantize_triton,
        scale=scale,
        zero_point=zero_point,
        **config,
    )
    upstream = torch.ones(COUNT)
    y, dx = (g.cpu() for g in gradients(function, upstream, x))
    assert np.array_equal(y.detach().numpy(), values)
    assert np.array_equal(dx.numpy(), inside.astype("float32"))
    page = fake_quantize(
        *map(torch.from_numpy, given.values()), **config
    )
    assert torch.equal(y, page)


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("signed", [True, False])
def test_hard_values_of_a_learned_step(monkeypatch, bits, signed):
    """A step to each number: its gradient is one term, not a sum."""
    monkeypatch.setattr(formulas, "COUNT", 8_000)
    setting = dict(bits=bits, signed=signed, scale=0.137, zero_point=0)
    _, given = formulas.inputs(setting, "float32")
    x = torch.from_numpy(given["x"])[:, None]
    x = x[torch.isfinite(x)][:, None]
    step = torch.full((len(x),), float(given["scale"]))
    rest = dict(bits=bits, signed=signed, num_elements=1, axis=0)
    ours = functools.partial(lsq_triton, **rest)
    page = functools.partial(lsq, **rest)
    upstream = torch.ones_like(x).to(DEVICE)
    equal(
        gradients(ours, upstream, x.to(DEVICE), step.to(DEVICE)),
        gradients(page, upstream.cpu(), x, step),
    )


def exact(shape, axis, seed=11):
    """Numbers whose sums are exact in float32, in any order."""
    rng = np.random.default_rng(seed)
    channels = () if axis is None else (shape[axis],)
    step = 2.0 ** rng.integers(-3, 3, channels)
    spread = step
    if axis is not None:
        sizes = [1] * len(shape)
        sizes[axis] = -1
        spread = step.reshape(sizes)
    x = rng.integers(-90, 90, shape) / 8 * spread
    upstream = rng.integers(-4, 5, shape)
    zero_point = there(rng.integers(-5, 9, channels), torch.int32)
    numbers = (there(a, torch.float32) for a in (x, step, upstream))
    return *numbers, zero_point


def compare_with_pages(shape, axis):
    x, step, upstream, zero_point = exact(shape, axis)
    rest = (zero_point, 4, True, axis)
    on_cpu = (zero_point.cpu(), *rest[1:])
    given = x.cpu(), step.cpu()
    equal(
        gradients(
            lambda x, s: fake_quantize_triton(x, s, *rest),
            *(upstream, x, step),
        ),
        gradients(
            lambda x, s: fake_quantize(x, s, *on_cpu), upstream, *given
        ),
    )
    codes = quantize_triton(x, step, *rest)
    equal([codes], [quantize(*given, *on_cpu)])
    equal(
        gradients(
            lambda x, s: lsq_triton(x, s, axis=axis), upstream, x, step
        ),
        gradients(lambda x, s: lsq(x, s, axis=axis), upstream, *given),
    )


@EVERY_SHAPE
def test_shapes(shape, axis):
    compare_with_pages(shape, axis)


@pytest.mark.parametrize("shape, axis", SHAPES[1:7:2])
def test_wide_indices(monkeypatch, shape, axis):
    monkeypatch.setattr(tiles, "NARROW", -1)
    assert tiles.tiles_of(torch.empty(shape), axis).sizes["WIDE"]
    compare_with_pages(shape, axis)


def test_offsets():
    """On a GPU, of more numbers than 32 bits can count."""
    n = 2**31 + 4099 if ON_GPU else 3 * tiles.TILE + 5
    x = torch.zeros(n, dtype=torch.float16, device=DEVICE)
    x[-7:] = torch.arange(7, device=DEVICE) / 4 - 1
    step, zero_point = there(0.5, torch.float32), there(0, torch.int32)
    y = fake_quantize_triton(x, step, zero_point)
    want = fake_quantize(
        x[-7:].float().cpu(), step.cpu(), zero_point.cpu()
    )
    assert torch.equal(y[-7:].float().cpu(), want)
    assert not y[:-7].any() and want.any()


@EVERY_SHAPE
def test_the_mask_has_one_bit_a_number(shape, axis):
    x, step, _, zero_point = exact(shape, axis)
    _, mask = masked.forward(x, step, zero_point, -8, 7, axis)
    given = x.cpu(), step.cpu()
    code = quantize(*given, zero_point.cpu(), 16, True, axis)
    read = tiles.tiles_of(x, axis)
    inside = packed((code >= -8) & (code <= 7), read)
    assert torch.equal(mask.cpu(), inside)
    assert mask.shape == (read.M, -(-read.K // 8))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("axis", [None, 1])
def test_sixteen_bits(dtype, axis):
    """The page in float32, of the same numbers, rounded once."""
    draw = torch.Generator().manual_seed(2)
    x = torch.randn(13, 5, 11, generator=draw).to(dtype).to(DEVICE)
    upstream = torch.randn(x.shape, generator=draw).to(x)
    step = there([0.3, 0.1, 0.07, 0.21, 0.5], torch.float32)
    step = step if axis else step[1]
    zero_point = torch.full_like(step, -3).int()
    given, steps = x.float().cpu(), step.cpu()

    def page(function, *rest, **named):
        y, dx = gradients(
            lambda x: function(x, steps, *rest, **named),
            upstream,
            given,
        )
        return y.to(dtype), dx.to(dtype)

    rest = dict(bits=5, axis=axis)
    ours = gradients(
        lambda x: fake_quantize_triton(x, step, zero_point, **rest),
        *(upstream, x),
    )
    equal(ours, page(fake_quantize, zero_point.cpu(), **rest))
    ours = gradients(lambda x: lsq_triton(x, step, **rest), upstream, x)
    equal(ours, page(lsq, **rest))
    codes = quantize_triton(x, step, zero_point, **rest)
    page = quantize(given, steps, zero_point.cpu(), **rest)
    equal([codes], [page])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("axis", [None, 1])
def test_nan_and_infinity(dtype, axis):
    """The codes of the page, where NaN has that of 0; values keep it.

    On the processor, where the operator takes its plain form, as well.
    """
    draw = torch.Generator().manual_seed(6)
    x = torch.randn(13, 5, 11, generator=draw).to(dtype)
    x[2, 1], x[0, 3, 4] = torch.nan, torch.nan
    x[5, 2, 1], x[5, 2, 2] = torch.inf, -torch.inf
    step = torch.tensor([0.3, 0.1, 0.07, 0.21, 0.5])
    step = step if axis else step[1]
    zero_point = torch.full_like(step, -3).int()
    rest = dict(bits=5, axis=axis)
    codes = quantize(x.float(), step, zero_point, **rest)
    assert (codes[2, 1] == -3).all()
    values = fake_quantize(x.float(), step, zero_point, **rest)
    for device in {DEVICE, "cpu"}:
        given = [a.to(device) for a in (x, step, zero_point)]
        equal([quantize_triton(*given, **rest)], [codes])
        y = fake_quantize_triton(*given, **rest).float().cpu()
        wanted = values.to(dtype).float()
        assert torch.equal(y.isnan(), x.float().isnan())
        assert torch.equal(y.nan_to_num(), wanted.nan_to_num())


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_two_runs_give_equal_bits(axis):
    draw = torch.Generator().manual_seed(4)
    x = torch.randn(301, 67, generator=draw).to(DEVICE)
    step = torch.tensor(0.1) if axis is None else None
    if axis is not None:
        step = torch.rand(x.shape[axis], generator=draw) + 0.1
    upstream = torch.randn(x.shape, generator=draw).to(DEVICE)
    one, two = (
        gradients(
            lambda x, s: lsq_triton(x, s, axis=axis),
            *(upstream, x, step.to(DEVICE)),
        )
        for _ in range(2)
    )
    equal(one, two)


def test_strides():
    x, step, upstream, zero_point = exact((6, 10, 5), 1)
    wide = x.transpose(0, 2).contiguous().transpose(0, 2)
    gap = torch.stack([x, x], dim=-1)[..., 0]
    spread = step[:1].expand(10)
    for given in (wide, gap):
        assert not given.is_contiguous()
        ours = fake_quantize_triton(given, spread, zero_point, axis=1)
        page = fake_quantize(
            x.cpu(), spread.cpu(), zero_point.cpu(), axis=1
        )
        equal([ours], [page])
    one = upstream[:1, :1, :1].expand(x.shape)
    equal(
        gradients(lambda x, s: lsq_triton(x, s, axis=1), one, x, step),
        gradients(
            lambda x, s: lsq(x, s, axis=1), one, x.cpu(), step.cpu()
        ),
    )


def test_pytorch_checks_the_operators():
    from shared_tests.performance.fake_quantize_aot import (
        check_operators,
    )

    check_operators(DEVICE)


def test_a_compiled_bad_step_is_loud():
    fast = torch.compile(
        lsq_triton, fullgraph=True, backend="aot_eager"
    )
    x = torch.linspace(-1, 1, 6, device=DEVICE)
    for bad in (-1.0, 0.0, torch.nan):
        assert fast(x, there(bad, torch.float32)).isnan().all()


BAD = [
    (TypeError, dict(x=torch.float64), "x expected float32 or float16"),
    (TypeError, dict(x=torch.int32), "bfloat16, got int32"),
    (TypeError, dict(step=torch.float16), "expected float32, got fl"),
    (ValueError, dict(value=0.0), "positive and finite, got 0.0"),
    (ValueError, dict(value=-0.5), "positive and finite, got -0.5"),
    (ValueError, dict(value=np.nan), "positive and finite, got nan"),
    (ValueError, dict(value=np.inf), "positive and finite, got inf"),
    (ValueError, dict(value=[1.0, 1.0]), r"shape \(\), got \(2,\)"),
    (ValueError, dict(bits=9), "bits expected 2 to 8 or 16, got 9"),
    (ValueError, dict(axis=2), "axis of 2, got 2"),
]


@pytest.mark.parametrize("layer", ["lsq", "fake_quantize", "quantize"])
@pytest.mark.parametrize("error, wrong, words", BAD)
def test_bad_input(layer, error, wrong, words):
    wrong = {"x": torch.float32, "step": torch.float32} | wrong
    x = torch.ones(2, 3, dtype=wrong.pop("x"), device=DEVICE)
    step = there(wrong.pop("value", 1.0), wrong.pop("step"))
    zero_point = torch.zeros_like(step).int()
    with pytest.raises(error, match=words):
        if layer == "lsq":
            lsq_triton(x, step, **wrong)
        else:
            make = called(layer, wrong)
            make(x, step, zero_point)


@pytest.mark.parametrize("layer", ["fake_quantize", "quantize"])
def test_bad_zero_points_and_ranges(layer):
    x, step = torch.ones(2, device=DEVICE), there(1, torch.float32)
    whole = there(0, torch.int32)
    make = called(layer, {})
    with pytest.raises(TypeError, match="int32, got float32"):
        make(x, step, step)
    with pytest.raises(ValueError, match=r"shape \(\), got \(1,\)"):
        make(x, step, whole[None])
    with pytest.raises(ValueError, match="got False"):
        make(x, step, whole, signed=False, narrow_range=True)


@pytest.fixture(scope="module")
def builds():
    """Rows of fake_quantize_aot.py, which also checks the plain path."""
    env = {
        n: v for n, v in os.environ.items() if n != "TRITON_INTERPRET"
    }
    command = [
        sys.executable,
        "-m",
        "shared_tests.performance.fake_quantize_aot",
    ]
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert not done.returncode, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def label(row):
    return "{kernel} {dtype} {layout} {target}".format(**row)


def test_builds_without_spills(builds):
    assert {row["target"] for row in builds} == {80, 90}
    assert len(builds) == 3 * 5
    for row in builds:
        machine = row["machine"]
        assert not row["stack"] and not row["local"], label(row)
        assert not re.search(r"\b(STL|LDL)\b", machine), label(row)


def test_builds_read_and_write_128_bits(builds):
    """All of x, of y and of their gradients."""
    for row in builds:
        width = 4 if row["dtype"] == "fp32" else 2
        count = tiles.TILE * width // (4 * 32 * 16)
        read = 2 * count if row["kernel"][:6] == "lsq_ba" else count
        loads = re.findall(r"ld\.global\S*\.v4\.b32", row["ptx"])
        stores = re.findall(r"st\.global\S*\.v4\.b32", row["ptx"])
        assert len(loads) >= read, label(row)
        assert len(stores) >= count, label(row)


def origins(ptx, register):
    """The instructions that a value is selected from."""
    made = re.findall(rf"^\s*(\S+)\s+{register}, (.*);", ptx, re.M)
    assert made, register
    for operation, operands in made:
        if operation not in ("selp.f32", "mov.b32", "selp.b32"):
            yield operation
            continue
        for word in operands.split(", ")[:2]:
            if word.startswith("%r") or word.startswith("%f"):
                yield from origins(ptx, re.escape(word))


def test_builds_round_the_product_itself(builds):
    """Once: no sum is fused to it on the way to the rounding."""
    for row in builds:
        ptx = row["ptx"]
        assert ".ftz" not in ptx, label(row)
        rounded = re.findall(r"cvt\.rni\.f32\.f32 %\w+, (%\w+);", ptx)
        if row["kernel"] == "fake_quantize_backward_kernel":
            assert not rounded
            continue
        assert len(rounded) == tiles.TILE // 128, label(row)
        for register in rounded:
            found = set(origins(ptx, re.escape(register)))
            assert found == {"mul.rn.f32"}, (label(row), found)
        if row["kernel"] != "lsq_backward_kernel":
            assert "fma." not in ptx, label(row)
        assert "div.rn.f32" in ptx and "div.full" not in ptx

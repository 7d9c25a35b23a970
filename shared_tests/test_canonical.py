"""Who proves PyTorch: plain loops, its own built-ins, finite differences.

No other framework is needed. The references in the fixtures are compared
with definitions written out in NumPy's extended precision, within the
same float64 budget that every framework has to keep.
"""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from pytorch_impl import adapter
from shared_tests.cases import CASES
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.run import group
from shared_tests.verdict import judge

LONG = np.longdouble
EXTENDED = np.finfo(LONG).nmant >= 63
EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)


def centered(config, x, g):
    total = LONG(0)
    upstream = LONG(0)
    for value, cotangent in zip(x.reshape(-1), g.reshape(-1)):
        total += value
        upstream += cotangent
    if not x.size:
        return x, {"x": g}
    return x - total / x.size, {"x": g - upstream / x.size}


def scaled_relu(config, x, g):
    scale = LONG(config.get("scale", 1.0))
    y, dx = np.zeros_like(x), np.zeros_like(x)
    for i in np.ndindex(x.shape):
        if x[i] > 0:
            y[i], dx[i] = scale * x[i], scale * g[i]
    return y, {"x": dx}


def linear(config, x, g, weight, bias=None):
    y, dx = np.zeros_like(g), np.zeros_like(x)
    dweight = np.zeros_like(weight)
    dbias = np.zeros(len(weight), LONG)
    for n in np.ndindex(x.shape[:-1]):
        for o in range(weight.shape[0]):
            y[(*n, o)] = 0 if bias is None else bias[o]
            for i in range(weight.shape[1]):
                y[(*n, o)] += x[(*n, i)] * weight[o, i]
                dx[(*n, i)] += g[(*n, o)] * weight[o, i]
                dweight[o, i] += g[(*n, o)] * x[(*n, i)]
            dbias[o] += g[(*n, o)]
    grads = {"x": dx, "weight": dweight}
    return y, grads if bias is None else grads | {"bias": dbias}


def linear_relu(config, x, g, weight, bias):
    y, _ = linear(config, x, g, weight, bias)
    out, open_gate = scaled_relu({}, y, g)
    return out, linear(config, x, open_gate["x"], weight, bias)[1]


def mlp(config, x, g, **params):
    one = params["layer1.weight"], params["layer1.bias"]
    two = params["layer2.weight"], params["layer2.bias"]
    relu = dict(scale=config.get("scale", 0.5))
    shape = (*x.shape[:-1], len(one[0]))
    h, _ = linear({}, x, np.zeros(shape, LONG), *one)
    a, _ = scaled_relu(relu, h, h)
    y, grad2 = linear({}, a, g, *two)
    _, gate = scaled_relu(relu, h, grad2["x"])
    _, grad1 = linear({}, x, gate["x"], *one)
    grads = {"x": grad1.pop("x")}
    grads |= {f"layer1.{name}": value for name, value in grad1.items()}
    grads |= {f"layer2.{n}": grad2[n] for n in ("weight", "bias")}
    return y, grads


def bilinear(config, x, g, weight):
    y, dx = np.zeros_like(g), np.zeros_like(x)
    dweight = np.zeros_like(weight)
    for n in np.ndindex(x.shape[:-1]):
        for i, j, k in np.ndindex(weight.shape):
            y[(*n, k)] += weight[i, j, k] * x[(*n, i)] * x[(*n, j)]
            up = g[(*n, k)]
            dx[(*n, i)] += up * weight[i, j, k] * x[(*n, j)]
            dx[(*n, j)] += up * weight[i, j, k] * x[(*n, i)]
            dweight[i, j, k] += up * x[(*n, i)] * x[(*n, j)]
    return y, {"x": dx, "weight": dweight}


def rms_norm(config, x, g, weight):
    eps = LONG(config.get("eps", 1e-6))
    y, dx, dweight = (
        np.zeros_like(x),
        np.zeros_like(x),
        np.zeros_like(weight),
    )
    width = len(weight)
    for n in np.ndindex(x.shape[:-1]):
        row, up = x[n], g[n] * weight
        root = np.sqrt(sum(v * v for v in row) / width + eps)
        dot = sum(u * v for u, v in zip(up, row))
        for c in range(width):
            y[(*n, c)] = row[c] / root * weight[c]
            dx[(*n, c)] = up[c] / root - row[c] * dot / (
                width * root**3
            )
            dweight[c] += g[(*n, c)] * row[c] / root
    return y, {"x": dx, "weight": dweight}


def half_spectrum(config, x, g):
    """The sum itself, bin by bin, with angles in extended precision."""
    length = x.shape[-1]
    y, dx = np.zeros_like(g), np.zeros_like(x)
    samples = np.arange(length)
    for f in range(length // 2 + 1):
        angle = (
            two_pi() * ((f * samples) % length).astype(LONG) / length
        )
        re, im = np.cos(angle), -np.sin(angle)
        y[..., f, 0] = (x * re).sum(axis=-1)
        y[..., f, 1] = (x * im).sum(axis=-1)
        dx += g[..., f, :1] * re + g[..., f, 1:] * im
    return y, {"x": dx}


def two_pi():
    return 8 * np.arctan(LONG(1))


DEFINITIONS = {
    "CenteredLayer": centered,
    "Linear": linear,
    "LinearReLU": linear_relu,
    "MLP": mlp,
    "ScaledReLU": scaled_relu,
    "TensorReduction": bilinear,
    "HalfSpectrum": half_spectrum,
    "RMSNorm": rms_norm,
}


def test_this_machine_has_extended_precision():
    assert EXTENDED, "np.longdouble is no wider than float64 here"


@EVERY_CASE
def test_against_plain_loops(case):
    fixture = read_fixture(case, read_manifest())
    x = fixture["in.x"].astype(LONG)
    g = fixture["cotangent.y"].astype(LONG)
    params = {
        n: p.astype(LONG) for n, p in group(fixture, "param").items()
    }
    y, grads = DEFINITIONS[case.layer](case.config, x, g, **params)
    wanted = {"out.y": y} | {f"grad.{n}": v for n, v in grads.items()}
    references, sigma = group(fixture, "ref"), group(fixture, "sigma")
    assert wanted.keys() == references.keys()
    for name, exact in wanted.items():
        verdict = judge(references[name], exact, sigma[name], "float64")
        assert verdict.passed, f"{name}: {verdict.detail}"


def tensors(case):
    fixture = read_fixture(case, read_manifest())
    x = torch.tensor(fixture["in.x"], dtype=torch.float64)
    params = {
        name: torch.tensor(value, dtype=torch.float64)
        for name, value in group(fixture, "param").items()
    }
    return fixture, x, params


BUILT_INS = {
    "RMSNorm": lambda x, p, eps=1e-6: torch.nn.functional.rms_norm(
        x, (len(p["weight"]),), p["weight"], eps
    ),
    "Linear": lambda x, p: torch.nn.functional.linear(
        x, p["weight"], p.get("bias")
    ),
    "LinearReLU": lambda x, p: torch.relu(
        torch.nn.functional.linear(x, p["weight"], p["bias"])
    ),
    "TensorReduction": lambda x, p: torch.nn.functional.bilinear(
        x, x, p["weight"].permute(2, 0, 1).contiguous()
    ),
    "MLP": lambda x, p, scale=0.5: torch.nn.functional.linear(
        scale
        * torch.relu(
            torch.nn.functional.linear(
                x, p["layer1.weight"], p["layer1.bias"]
            )
        ),
        p["layer2.weight"],
        p["layer2.bias"],
    ),
}


@pytest.mark.parametrize(
    "case",
    [
        c
        for c in CASES
        if c.layer in BUILT_INS and "empty_batch" not in c.flags
    ],
    ids=lambda c: c.id,
)
def test_against_built_ins(case):
    fixture, x, params = tensors(case)
    more = {
        k: v for k, v in case.config.items() if k in ("scale", "eps")
    }
    moving = {"x": x} | params
    for tensor in moving.values():
        tensor.requires_grad_()
    y = BUILT_INS[case.layer](x, params, **more)
    upstream = torch.tensor(fixture["cotangent.y"], dtype=torch.float64)
    grads = torch.autograd.grad(y, list(moving.values()), upstream)
    results = {"out.y": y}
    results |= {f"grad.{n}": g for n, g in zip(moving, grads)}
    for name, value in results.items():
        reference, sigma = (
            fixture[f"ref.{name}"],
            fixture[f"sigma.{name}"],
        )
        verdict = judge(
            value.detach().numpy(), reference, sigma, "float64"
        )
        assert verdict.passed, f"{name}: {verdict.detail}"


@pytest.mark.parametrize(
    "case",
    [c for c in CASES if {"basic", "rank_3"} & c.flags],
    ids=lambda c: c.id,
)
def test_gradcheck(case):
    """Finite differences, first and second order, in float64."""
    fixture, x, _ = tensors(case)
    params = group(fixture, "param")
    built = adapter.build(case.layer, case.config, params, "float64")
    names = list(built.params)

    def compute(x, *values):
        given = dict(zip(names, values))
        if not names:
            return built.call(x)
        return torch.func.functional_call(built.call, given, (x,))

    values = [p.detach().clone() for p in built.params.values()]
    moving = [tensor.requires_grad_() for tensor in (x, *values)]
    assert gradcheck(compute, moving)
    assert torch.autograd.gradgradcheck(compute, moving)

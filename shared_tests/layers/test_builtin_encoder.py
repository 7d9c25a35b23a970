"""nn.TransformerEncoderLayer in the place of a Block, and back."""

import numpy as np
import pytest
import torch

from pytorch_impl import adapter, from_builtin, to_builtin
from pytorch_impl.builtins.arrays import lay_back, named, shapes_of
from pytorch_impl.builtins.layouts import LAYOUTS
from shared_tests.cases import CASES
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.run import group, sigmas
from shared_tests.verdict import judge

ENVIRONMENTS = ("pytorch",)

LAYOUT = LAYOUTS["Block"]["TransformerEncoderLayer"]


def given(precision):
    (case,) = (
        c for c in CASES if c.id == "TransformerClassifier-one_layer"
    )
    fixture = read_fixture(case, read_manifest())
    params = group(fixture, "param")
    built = adapter.build(case.layer, case.config, params, precision)
    return fixture, built.call


def run(model, fixture, precision, layout=LAYOUT):
    """{array: Verdict} of a classifier with an encoder layer inside."""
    block = model.blocks[0]
    model.blocks[0] = to_builtin(block)
    built = adapter.Built("model", model, named(model), precision)
    inputs = group(fixture, "in"), group(fixture, "cotangent")
    found = adapter.run(built, *inputs)
    head = "grad.blocks.0."
    inside = {
        name.removeprefix(head): torch.from_numpy(found.pop(name))
        for name in list(found)
        if name.startswith(head)
    }
    grads = lay_back(layout, inside, shapes_of(named(block)), {})
    found |= {head + n: g.numpy() for n, g in grads.items()}
    reference, sigma = group(fixture, "ref"), sigmas(fixture, precision)
    assert found.keys() == reference.keys()
    return {
        n: judge(a, reference[n], sigma[n], precision)
        for n, a in found.items()
    }


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_it_meets_the_case(precision):
    fixture, model = given(precision)
    verdicts = run(model, fixture, precision)
    assert not {
        n: v.detail for n, v in verdicts.items() if not v.passed
    }


def test_there_and_back():
    _, model = given("float32")
    block = model.blocks[0]
    block.norm1.eps = 0.25
    back = from_builtin(to_builtin(block))
    assert back.norm1.eps == 0.25 != back.norm2.eps
    for name, array in named(block).items():
        assert torch.equal(named(back)[name], array)


def test_exchanged_norms_are_seen(monkeypatch):
    fixture, model = given("float32")
    norms = {
        "norm1.weight": "norm2.weight",
        "norm2.weight": "norm1.weight",
    }
    changed = LAYOUT | norms
    monkeypatch.setitem(
        LAYOUTS["Block"], "TransformerEncoderLayer", changed
    )
    verdicts = run(model, fixture, "float32")
    assert not verdicts["out.y"].passed


def test_in_eval():
    """PyTorch's fast path, for an even number of heads, wants a bias."""
    sizes = dict(d_model=12, nhead=2, dim_feedforward=48, dropout=0.0)
    made = torch.nn.TransformerEncoderLayer(
        **sizes, batch_first=True, norm_first=True
    ).eval()
    made.norm1, made.norm2 = torch.nn.RMSNorm(12), torch.nn.RMSNorm(12)
    x = torch.randn(3, 5, 12)
    with pytest.raises(AttributeError, match="no attribute 'bias'"):
        made(x)
    builtin = to_builtin(from_builtin(made))
    assert not builtin.training
    y = made.train()(x)
    assert torch.equal(builtin(x), y)
    with torch.no_grad():
        assert builtin(x).shape == y.shape


def test_the_default_eps_is_that_of_the_dtype():
    for dtype in (torch.float64, torch.float32):
        builtin = torch.nn.RMSNorm(5, dtype=dtype)
        layer = from_builtin(builtin)
        assert layer.eps == torch.finfo(dtype).eps
        x = 1e-8 * torch.randn(3, 5, dtype=dtype)
        want, got = builtin(x).detach(), layer(x).detach()
        assert np.allclose(want, got, rtol=1e-5, atol=0) and want.any()

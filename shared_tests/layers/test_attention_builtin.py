"""attention_builtin on the CPU, where jax.nn uses XLA: same budgets.

The rows without a key are 0 there too. What cuDNN computes needs a GPU;
here it has to fail, and XLA to take its place.
"""

import functools

import jax
import numpy as np
import pytest

from jax_impl.adapter import to_numpy, to_tensor
from jax_impl.kernels import attention_builtin as page
from jax_impl.kernels.attention_builtin import attention_builtin
from shared_tests.cases import CASES
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.run import group, precisions, sigmas
from shared_tests.verdict import judge

ENVIRONMENTS = ("jax",)

ATTENTION = [case for case in CASES if case.layer == "attention"]


@functools.partial(
    jax.jit,
    static_argnums=0,
    compiler_options={"xla_backend_optimization_level": 0},
)
def forward_backward(options, g, q, k, v, attn_mask=None):
    call = functools.partial(
        attention_builtin, attn_mask=attn_mask, **dict(options)
    )
    y, pull = jax.vjp(call, q, k, v)
    return dict(
        zip(("out.y", "grad.q", "grad.k", "grad.v"), (y, *pull(g)))
    )


@pytest.mark.parametrize(
    "case, precision",
    [(c, p) for c in ATTENTION for p in precisions(c)[1:3]],
    ids=lambda value: getattr(value, "id", value),
)
def test_within_budget(case, precision):
    fixture = read_fixture(case, read_manifest())
    xs = group(fixture, "in")
    xs = {n: to_tensor(x, precision) for n, x in xs.items()}
    g = to_tensor(fixture["cotangent.y"], precision)
    found = forward_backward(tuple(case.config.items()), g, **xs)
    references, sigma = (
        group(fixture, "ref"),
        sigmas(fixture, precision),
    )
    assert found.keys() == references.keys()
    for n, x in found.items():
        verdict = judge(to_numpy(x), references[n], sigma[n], precision)
        assert verdict.passed, (n, verdict.detail)


def test_no_float16_on_a_cpu():
    """jax 0.10.2; once this fails, float16 belongs in the rows above."""
    x = to_tensor(np.ones((2, 3, 5, 4)), "float16")
    words = "'F16_F16_F32' is not supported by dot_general on CPU"
    with pytest.raises(ValueError, match=words):
        forward_backward((), x, x, x, x)


def test_no_float64():
    x = to_tensor(np.ones((2, 3, 5, 4)), "float64")
    words = "attention_builtin: q expected float32 or .*, got float64"
    with pytest.raises(TypeError, match=words):
        attention_builtin(x, x, x)


def test_without_cudnn_it_is_xla(monkeypatch):
    x = to_tensor(np.ones((2, 3, 5, 4)), "bfloat16")
    assert page.implementation(x, x, x) == "xla"
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    tried = page.cudnn_works.cache_info().misses
    assert page.implementation(x, x, x) == "xla"
    assert page.implementation(x, x, x) == "xla"
    assert page.cudnn_works.cache_info().misses == tried + 1
    assert (attention_builtin(x, x, x) == 1).all()


def test_cudnn_is_taken_where_it_works(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(page, "cudnn_works", lambda like, causal: True)
    x = to_tensor(np.ones((2, 3, 5, 4)), "float16")
    longer = to_tensor(np.ones((2, 3, 7, 4)), "float16")
    assert page.implementation(x, x, x, None, True) == "cudnn"
    assert page.implementation(x, longer, longer) == "cudnn"
    assert page.implementation(x, longer, longer, None, True) == "xla"

"""The Linen twins of two layers keep the budgets of the NNX pages."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_impl import linen
from jax_impl.adapter import to_numpy
from shared_tests.cases import CASES
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.run import group
from shared_tests.verdict import judge

ENVIRONMENTS = ("jax",)

LINEN = [c for c in CASES if c.layer in ("CenteredLayer", "LinearReLU")]
EVERY_CASE = pytest.mark.parametrize("case", LINEN, ids=lambda c: c.id)


def float32(arrays):
    return {n: jnp.array(a, jnp.float32) for n, a in arrays.items()}


@EVERY_CASE
@pytest.mark.parametrize(
    "wrap", [lambda f: f, jax.jit], ids=["eager", "jit"]
)
def test_linen_is_within_budget(case, wrap):
    fixture = read_fixture(case, read_manifest())
    layer = getattr(linen, case.layer)(**case.config)
    inputs, params = (
        float32(group(fixture, k)) for k in ("in", "param")
    )

    def forward_backward(inputs, params, upstream):
        def forward(inputs, params):
            return layer.apply({"params": params}, **inputs)

        y, pull = jax.vjp(forward, inputs, params)
        return y, pull(upstream)

    upstream = jnp.array(fixture["cotangent.y"], jnp.float32)
    y, grads = wrap(forward_backward)(inputs, params, upstream)
    got = {"out.y": y}
    got |= {f"grad.{n}": g for part in grads for n, g in part.items()}
    references = group(fixture, "ref")
    assert got.keys() == references.keys()
    for name, reference in references.items():
        sigma = fixture[f"sigma.{name}"]
        verdict = judge(
            to_numpy(got[name]), reference, sigma, "float32"
        )
        assert verdict.passed, f"{case.id} {name}: {verdict.detail}"


def test_linen_starts_as_nnx_does():
    """Uniform in +-bound: of 120,000 draws some come close to each end."""
    layer = linen.LinearReLU(in_features=400, out_features=300)
    made = layer.init(jax.random.key(0), jnp.ones((1, 400)))["params"]
    ends = np.array([made["weight"].min(), made["weight"].max()])
    ends /= math.sqrt(6 / 700)
    assert np.abs(ends).max() <= 1
    assert ends[0] < -0.999 and ends[1] > 0.999
    assert not made["bias"].any()


@EVERY_CASE
def test_linen_makes_the_same_parameters(case, adapter):
    fixture = read_fixture(case, read_manifest())
    layer = getattr(linen, case.layer)(**case.config)
    x = jnp.array(fixture["in.x"], float)  # of the dtype of parameters
    params = layer.init(jax.random.key(0), x).get("params", {})
    shapes = {n: p.shape for n, p in params.items()}
    assert shapes == adapter.shapes(case.layer, case.config)

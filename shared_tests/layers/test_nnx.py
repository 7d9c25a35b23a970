"""Flax: nnx.split, merge, vmap and scan of the layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jax_impl
from jax_impl import adapter  # turns float64 on
from jax_impl.parameters import list_parameters
from shared_tests.layers.setups import SETUPS, drawn

ENVIRONMENTS = ("jax",)

WITH_RNGS = [
    (name, config, shape)
    for name, config, shape in SETUPS
    if name[:3] not in ("Cen", "Sca", "Hal", "RMS", "PAC", "LSQ")
]
X = np.random.default_rng(0).standard_normal((4, 7))


def same(a, b):
    """To float32, computed in float64: sums may run in another order."""
    a, b = adapter.to_numpy(a), adapter.to_numpy(b)
    assert a.dtype == b.dtype == np.float64
    return np.array_equal(a.astype(np.float32), b.astype(np.float32))


@pytest.mark.parametrize(
    "layer, config, shape", WITH_RNGS, ids=lambda v: str(v)[:12]
)
def test_an_ensemble(layer, config, shape):
    """Three of them by nnx.vmap, trained in every mode: each is what it
    is alone."""
    x = jnp.asarray(drawn(shape, np.float64))
    make = getattr(jax_impl, layer)

    @nnx.split_rngs(splits=3)
    @nnx.vmap
    def many(rngs):
        return make(**config, rngs=rngs)

    def call(layer, x, mode):
        """The mode is set inside: there it sees one of them."""

        @nnx.vmap(in_axes=(0, None))
        def each(layer, x):
            return jax_impl.set_mode(layer, mode)(x)

        return each(layer, x)

    ensemble = many(nnx.Rngs(0))
    graph, state = nnx.split(ensemble)
    each = [
        nnx.merge(graph, jax.tree.map(lambda a, i=i: a[i], state))
        for i in range(3)
    ]
    for mode in ("observe", "quantize", "frozen"):
        y = call(ensemble, x, mode)
        alone = [jax_impl.set_mode(one, mode)(x) for one in each]
        assert y.shape == (3, *alone[0].shape)
        assert np.isfinite(y).all()
        assert len({float(jnp.sum(one)) for one in y}) == 3
        for got, want in zip(y, alone):
            assert same(got, want)
    for one, size in list_parameters(each[0]).items():
        assert list_parameters(ensemble)[one] == (3, *size)


def test_layers_one_after_another():
    """nnx.scan over parameters that are stacked, as deep models do."""

    @nnx.split_rngs(splits=3)
    @nnx.vmap
    def many(rngs):
        return jax_impl.Linear(7, 7, rngs=rngs)

    @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
    def forward(x, layer):
        return jax_impl.scaled_relu(layer(x))

    stacked = many(nnx.Rngs(0))
    graph, state = nnx.split(stacked)
    y = jnp.asarray(X)
    for i in range(3):
        one = nnx.merge(graph, jax.tree.map(lambda a, i=i: a[i], state))
        y = jax_impl.scaled_relu(one(y))
    assert same(forward(jnp.asarray(X), stacked), y)

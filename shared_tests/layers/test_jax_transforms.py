"""JAX: quantized layers inside of plain jax transformations.

In mode "frozen" no range moves, so nothing is written to a layer that a
transformation has not seen.
"""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import export

import jax_impl

ENVIRONMENTS = ("jax",)

X = jnp.linspace(-1, 2, 12).reshape(4, 3).astype(jnp.float32)
QAT = dict(in_features=3, out_features=2)
LEARNED = dict(weight_quantizer="lsq", input_quantizer="lsq")
LAYERS = {
    "LSQ": dict(bits=3),
    "LSQ-axis": dict(bits=3, axis=1, num_channels=3),
    "LSQPlus": dict(bits=3),
    "PACT": {},
    "ManualLinear": QAT,
    "WeightedSum": dict(in_features=3),
    "QATLinear": QAT,
    "QATLinear-learned": QAT | LEARNED,
    "QATLinear-percentile": QAT | dict(input_quantizer="percentile"),
}
EVERY = pytest.mark.parametrize("name", LAYERS)


def made(name):
    layer = name.split("-")[0]
    rngs = {}
    if layer in ("ManualLinear", "WeightedSum", "QATLinear"):
        rngs = dict(rngs=nnx.Rngs(0))
    built = getattr(jax_impl, layer)(**LAYERS[name], **rngs)
    built = jax.tree.map(lambda a: a.astype(jnp.float32), built)
    if layer.startswith("LSQ"):
        built.start(X)
    if layer == "QATLinear":
        built.mode = "observe"
        built(X)
        built.mode = "frozen"
    return built


@EVERY
def test_transformations(name):
    layer = made(name)
    y = np.asarray(layer(X))
    assert np.array_equal(jax.jit(lambda x: layer(x))(X), y)
    assert np.array_equal(jax.checkpoint(lambda x: layer(x))(X), y)
    assert jax.eval_shape(lambda x: layer(x), X).shape == y.shape
    rows = jax.lax.map(lambda x: layer(x[None]), X)
    each = jnp.stack([layer(x[None]) for x in X])
    assert np.array_equal(rows, each)
    assert np.array_equal(jax.vmap(lambda x: layer(x[None]))(X), each)
    assert np.array_equal(layer(X), y)  # nothing has leaked into it


@EVERY
def test_export_with_any_batch(name):
    """Forward, and the gradient of parameters and x."""
    layer = made(name)
    graph, state = nnx.split(layer)

    def loss(state, x):
        return jnp.sum(nnx.merge(graph, state)(x) ** 2)

    (batch,) = export.symbolic_shape("B")
    shapes = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), state
    )
    any_x = jax.ShapeDtypeStruct((batch, 3), X.dtype)
    slope = jax.jit(jax.value_and_grad(loss, (0, 1)))
    exported = export.export(slope)(shapes, any_x)
    for size in (1, 4):
        got = jax.tree.leaves(exported.call(state, X[:size]))
        want = jax.tree.leaves(slope(state, X[:size]))
        assert all(map(np.array_equal, got, want))


@EVERY
def test_copies(name):
    layer = made(name)
    y = layer(X)
    assert np.array_equal(copy.deepcopy(layer)(X), y)
    assert np.array_equal(pickle.loads(pickle.dumps(layer))(X), y)
    assert np.array_equal(nnx.merge(*nnx.split(layer))(X), y)


def test_a_range_that_moves():
    """Functionally, through split and merge, or under nnx.jit."""
    layer = made("QATLinear")
    layer.mode = "quantize"
    twin = copy.deepcopy(layer)
    nnx.jit(lambda layer, x: layer(x))(layer, 2 * X)
    graph, state = nnx.split(twin)

    @jax.jit
    def step(state, x):
        layer = nnx.merge(graph, state)
        return layer(x), nnx.state(layer)

    _, state = step(state, 2 * X)
    moved = nnx.merge(graph, state).input_quantizer.observer.bounds
    assert np.array_equal(
        moved[...], layer.input_quantizer.observer.bounds[...]
    )
    assert not np.array_equal(
        moved[...], twin.input_quantizer.observer.bounds[...]
    )
    nnx.remat(lambda layer, x: layer(x))(layer, X)


@pytest.mark.parametrize(
    "plain",
    [
        lambda layer: jax.jit(lambda x: layer(x))(X),
        lambda layer: jax.checkpoint(lambda x: layer(x))(X),
        lambda layer: jax.lax.map(lambda x: layer(x[None]), X),
        lambda layer: jax.eval_shape(lambda x: layer(x), X),
    ],
    ids=["jit", "checkpoint", "map", "eval_shape"],
)
@pytest.mark.parametrize("mode", ["observe", "quantize"])
def test_a_range_that_would_leak(plain, mode):
    """Refused by Flax, and nothing has moved."""
    layer = made("QATLinear")
    layer.mode = mode
    before = np.asarray(layer.input_quantizer.observer.bounds[...])
    with pytest.raises(Exception, match="different trace level"):
        plain(layer)
    after = np.asarray(layer.input_quantizer.observer.bounds[...])
    assert np.array_equal(after, before)

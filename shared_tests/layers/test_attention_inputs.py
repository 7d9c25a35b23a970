"""Attention: v of another width, masks of three axes, NaN behind a mask."""

import numpy as np
import pytest

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

VARIANTS = pytest.mark.parametrize(
    "function, config",
    [("attention", {})]
    + [("attention_tiled", dict(block_size=n)) for n in (1, 3, 128)],
    ids=str,
)
B, H, G, N, M, D = 2, 6, 3, 5, 7, 4


def arrays(width=D, batch=B, heads=H):
    rng = np.random.default_rng(0)
    groups = heads // 2 if heads > 1 else 1
    shapes = (heads, N, D), (groups, M, D), (groups, M, width)
    draws = [rng.standard_normal((batch, *shape)) for shape in shapes]
    return dict(zip("qkv", draws))


def run(adapter, function, config, inputs, cotangent, **more):
    built = adapter.build(function, config, {}, "float64")
    return adapter.run(built, inputs, {"y": cotangent}, **more)


def by_hand(q, k, v, attn_mask, dy, scale):
    """The formulas, where the keys that are allowed have one score."""
    heads = q.shape[1] // k.shape[1]
    k, v = (np.repeat(x, heads, axis=1) for x in (k, v))
    weights = attn_mask / attn_mask.sum(axis=-1, keepdims=True)
    dweights = np.einsum("bhne,bhme->bhnm", dy, v)
    row_dot = (weights * dweights).sum(axis=3, keepdims=True)
    dscores = weights * (dweights - row_dot) * scale
    grads = {
        "k": np.einsum("bhnm,bhnd->bhmd", dscores, q),
        "v": np.einsum("nm,bhne->bhme", weights, dy),
    }
    grads = {
        n: g.reshape(g.shape[0], -1, heads, *g.shape[2:]).sum(axis=2)
        for n, g in grads.items()
    }
    grads["q"] = np.einsum("bhnm,bhmd->bhnd", dscores, k)
    y = np.einsum("nm,bhme->bhne", weights, v)
    return {"out.y": y} | {f"grad.{n}": g for n, g in grads.items()}


@VARIANTS
@pytest.mark.parametrize("same", ["q", "k"])
@pytest.mark.parametrize("width", [1, 3, 9])
def test_another_width_of_v(adapter, function, config, same, width):
    """Exact: four keys are allowed, of the same score, as queries are 0
    or the keys equal; all else is small whole numbers."""
    rng = np.random.default_rng(0)
    shapes = dict(q=(H, N, D), k=(G, 8, D), v=(G, 8, width))
    inputs = {
        n: rng.integers(-3, 4, (B, *shape)).astype(np.float64)
        for n, shape in shapes.items()
    }
    if same == "q":
        inputs["q"] *= 0
    else:
        inputs["k"][:] = inputs["k"][:, :, :1]
    mask = (np.arange(8) - np.arange(N)[:, None]) % 8 < 4
    dy = rng.integers(-3, 4, (B, H, N, width)).astype(np.float64)
    given = inputs | dict(attn_mask=mask)
    found = run(adapter, function, config | dict(scale=0.5), given, dy)
    want = by_hand(**given, dy=dy, scale=0.5)
    assert found.keys() == want.keys()
    for name, value in want.items():
        assert found[name].shape == value.shape
        assert (found[name] == value).all(), name


def test_an_empty_batch_of_another_width(adapter):
    inputs = {n: x[:0] for n, x in arrays(9).items()}
    for function in ("attention", "attention_tiled"):
        dy = np.zeros((0, H, N, 9))
        found = run(adapter, function, {}, inputs, dy)
        assert found["out.y"].shape == (0, H, N, 9)
        assert found["grad.v"].shape == (0, G, M, 9)


@VARIANTS
def test_three_axes_of_a_mask_are_heads(adapter, function, config):
    """As in scaled_dot_product_attention, where B and H differ."""
    mask = np.random.default_rng(2).random((H, N, M)) < 0.5
    dy = np.ones((B, H, N, D))
    given = arrays() | dict(attn_mask=mask)
    found = run(adapter, function, config, given, dy)
    want = given | dict(attn_mask=mask[None])
    want = run(adapter, function, config, want, dy)
    assert all((found[n] == want[n]).all() for n in want)


@VARIANTS
def test_three_axes_that_are_batch_or_heads(adapter, function, config):
    """B = H: by batch or by head? One more axis says it."""
    inputs = arrays(batch=H)
    mask = np.ones((H, N, M), bool)
    words = (
        rf"{function}: attn_mask expected \(B, 1, N, M\) or \(1, H, "
    )
    dy = np.ones((H, H, N, D))
    with pytest.raises(ValueError, match=words + r".* got \(6, 5, 7\)"):
        given = inputs | dict(attn_mask=mask)
        run(adapter, function, config, given, dy)
    for axes in (mask[:, None], mask[None], mask[:1], mask[0]):
        given = inputs | dict(attn_mask=axes)
        run(adapter, function, config, given, dy)
    single = arrays(batch=1, heads=1) | dict(attn_mask=mask[:1])
    run(adapter, function, config, single, dy[:1, :1])


@VARIANTS
@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("causal", [False, True])
def test_what_is_not_finite_passes_a_mask(
    adapter, function, config, number, causal
):
    """0 times NaN or infinity is NaN, as in torch's own attention: v of
    a key that no query may see reaches y; k reaches the gradient of q."""
    config = config | dict(causal=causal)
    mask = np.ones((N, M), bool)
    mask[:, 2:] = False
    dy = np.ones((B, H, N, D))

    def spoil(name):
        inputs = arrays() | dict(attn_mask=mask)
        inputs[name][0, 0, 2, 1] = number
        return run(adapter, function, config, inputs, dy)

    clean = run(
        adapter, function, config, arrays() | dict(attn_mask=mask), dy
    )
    hit = np.zeros((B, H, N, D), bool)
    hit[0, :2, :, 1] = True  # the two query heads that share the first
    found = spoil("v")["out.y"]
    assert (np.isnan(found) == hit).all()
    assert (found[~hit] == clean["out.y"][~hit]).all()
    found = spoil("k")
    assert (found["out.y"] == clean["out.y"]).all()
    assert (np.isnan(found["grad.q"]) == hit).all()
    assert np.isfinite(found["grad.k"]).all()
    assert np.isfinite(found["grad.v"]).all()


@VARIANTS
def test_an_infinite_value_of_the_last_key(adapter, function, config):
    """Infinity in y, and no NaN: where the last block of keys is not
    full, nothing stands in for the keys that it lacks."""
    inputs, dy = arrays(), np.ones((B, H, N, D))
    clean = run(adapter, function, config, inputs, dy)["out.y"]
    inputs["v"][0, 0, -1, 1] = np.inf
    found = run(adapter, function, config, inputs, dy)["out.y"]
    hit = np.zeros((B, H, N, D), bool)
    hit[0, :2, :, 1] = True  # the two query heads that share the first
    assert (found[hit] == np.inf).all()
    assert (found[~hit] == clean[~hit]).all()


@VARIANTS
def test_a_huge_score_behind_the_mask(adapter, function, config):
    """It would be the greatest of its row, and all others exp to 0."""
    mask = np.ones((N, M), bool)
    mask[:, 2:] = False
    dy = np.ones((B, H, N, D))
    inputs = arrays() | dict(attn_mask=mask)
    clean = run(adapter, function, config, inputs, dy)
    inputs["k"][:, :, 2] *= 1e6
    found = run(adapter, function, config, inputs, dy)
    assert all((found[n] == clean[n]).all() for n in clean)

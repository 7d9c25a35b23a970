"""The Pallas kernels: interpreted on the CPU, lowered for a GPU.

Every case of attention, with its own numbers and budgets; those of
attention_tiled have the same. The tile is 16, so that the cases called
tiles and many_keys take several, and 32 for these once more.
"""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_impl.adapter import to_numpy, to_tensor
from jax_impl.kernels.attention_pallas import attention_pallas
from shared_tests.cases import CASES
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.run import group, precisions, sigmas
from shared_tests.verdict import judge

ENVIRONMENTS = ("jax",)

ATTENTION = [case for case in CASES if case.layer == "attention"]
LONG = [case for case in ATTENTION if "many_terms" in case.flags]
ROWS = [(c, p, 16) for c in ATTENTION for p in precisions(c)[1:]]
ROWS += [(c, "float32", 32) for c in LONG]
NARROW = ("float32", "bfloat16", "float16")
SHAPES = dict(q=(2, 6, 37, 24), k=(2, 3, 45, 24), v=(2, 3, 45, 24))
NAMES = ("out.y", "grad.q", "grad.k", "grad.v")


# the least work for the compiler, which takes most of the time
QUICK = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_use_fusion_emitters": False,
}


@functools.partial(jax.jit, static_argnums=0, compiler_options=QUICK)
def forward_backward(options, g, q, k, v, attn_mask=None):
    call = functools.partial(
        attention_pallas, attn_mask=attn_mask, **dict(options)
    )
    y, pull = jax.vjp(call, q, k, v)
    return dict(zip(NAMES, (y, *pull(g))))


def run_case(case, precision, **options):
    fixture = read_fixture(case, read_manifest())
    inputs = group(fixture, "in")
    if "non_contiguous" in case.flags:
        inputs = {n: np.asfortranarray(x) for n, x in inputs.items()}
    xs = {n: to_tensor(x, precision) for n, x in inputs.items()}
    g = to_tensor(fixture["cotangent.y"], precision)
    options = tuple((case.config | options).items())
    found = forward_backward(options, g, **xs)
    references, sigma = (
        group(fixture, "ref"),
        sigmas(fixture, precision),
    )
    assert found.keys() == references.keys()
    return {
        n: judge(to_numpy(x), references[n], sigma[n], precision)
        for n, x in found.items()
    }


def drawn(precision="float32", **shapes):
    """q, k, v of these shapes, else those of SHAPES."""
    rng = np.random.default_rng(0)
    return [
        to_tensor(rng.standard_normal(shape), precision)
        for shape in (SHAPES | shapes).values()
    ]


@pytest.mark.parametrize(
    "case, precision, block_size",
    ROWS,
    ids=lambda value: getattr(value, "id", str(value)),
)
def test_within_budget(case, precision, block_size):
    found = run_case(case, precision, block_size=block_size)
    assert not {n: v.detail for n, v in found.items() if not v.passed}


def test_the_default_block():
    case = next(c for c in ATTENTION if c.name == "tiles_grouped")
    found = run_case(case, "float32")
    assert all(verdict.passed for verdict in found.values())


@pytest.mark.parametrize("name", ["causal", "grouped", "masked"])
def test_the_layer_takes_it(adapter, name):
    layer = "MultiHeadAttention"
    case = next(c for c in CASES if c.id == f"{layer}-{name}")
    fixture = read_fixture(case, read_manifest())
    built = adapter.build(layer, case.config, group(fixture, "param"))
    built.call.attention = attention_pallas

    @functools.partial(jax.jit, compiler_options=QUICK)
    def both(g, xs, params, fixed):
        def call(xs, params):
            return adapter.pure_call(built.call, params, xs | fixed)

        y, pull = jax.vjp(call, xs, params)
        return y, pull(g)

    xs = {n: jnp.array(x) for n, x in group(fixture, "in").items()}
    fixed = {n: xs.pop(n) for n in ("attn_mask",) if n in xs}
    y, grads = both(fixture["cotangent.y"], xs, built.params, fixed)
    found = {f"grad.{n}": x for g in grads for n, x in g.items()}
    found["out.y"] = y
    sigma = group(fixture, "sigma")
    for n, reference in group(fixture, "ref").items():
        value = to_numpy(found[n])
        verdict = judge(value, reference, sigma[n], "float32")
        assert verdict.passed, (n, verdict.detail)


def test_without_jit():
    q, k, v = drawn("float16", k=(2, 1, 5, 24), v=(2, 1, 5, 24))
    y, pull = jax.vjp(attention_pallas, q, k, v)
    for found, like in zip((y, *pull(y)), (q, q, k, v)):
        assert found.shape == like.shape
        assert found.dtype == like.dtype


def test_the_same_bits_every_time():
    options = (("causal", True), ("block_size", 16))
    q, k, v = drawn()
    one, two = (forward_backward(options, q, q, k, v) for _ in "ab")
    for name in NAMES:
        assert (
            to_numpy(one[name]).tobytes()
            == to_numpy(two[name]).tobytes()
        )


def test_what_is_not_seen_does_not_matter():
    """NaN in keys that are masked or in the future leaves no trace."""
    q, k, v = drawn(k=(2, 3, 37, 24), v=(2, 3, 37, 24))
    allowed = jnp.arange(37) < 20
    options = (("causal", True), ("block_size", 16))
    clean = forward_backward(options, q, q, k, v, allowed)
    k, v = (x.at[:, :, 30:].set(1e30) for x in (k, v))
    found = forward_backward(options, q, q, k, v, allowed)
    for name in ("out.y", "grad.q"):
        assert (found[name] == clean[name]).all()
    for name in ("grad.k", "grad.v"):
        assert (found[name][:, :, 20:] == 0).all()


def test_first_order_only():
    q, k, v = drawn()

    def total(q):
        return attention_pallas(q, k, v).sum()

    def slope(q):
        return jax.grad(total)(q).sum()

    words = "attention_pallas: first order only"
    with pytest.raises(NotImplementedError, match=words):
        jax.grad(slope)(q)


@pytest.mark.parametrize("interpret", [None, True, False])
def test_no_float64(interpret):
    words = "attention_pallas: q expected float32 or .*, got float64"
    with pytest.raises(TypeError, match=words):
        attention_pallas(*drawn("float64"), interpret=interpret)


@pytest.mark.parametrize(
    "size, words",
    [
        (0, "an integer of at least 16, got 0"),
        (8, "an integer of at least 16, got 8"),
        (32.0, "an integer of at least 16, got 32.0"),
        (48, "a power of two, got 48"),
    ],
)
def test_an_impossible_block(size, words):
    words = f"attention_pallas: block_size expected {words}"
    with pytest.raises(ValueError, match=words):
        attention_pallas(*drawn(), block_size=size)


@pytest.mark.parametrize(
    "shapes, words",
    [
        (dict(q=(6, 37, 24)), "q expected shape (B, H, N, D), got (6,"),
        (dict(k=(2, 3, 45, 23)), "k expected shape (B=2, G, M, D=24)"),
        (dict(v=(2, 3, 44, 24)), "v expected shape (B=2, G=3, M=45"),
        (dict(v=(2, 3, 45, 23)), "v expected shape (B, G, M, D=24)"),
        (dict(q=(2, 5, 37, 24)), "H expected a multiple of G=3, got 5"),
        (
            dict(k=(2, 3, 0, 24), v=(2, 3, 0, 24)),
            "M expected an integer of at least 1, got 0",
        ),
    ],
)
def test_bad_shapes(shapes, words):
    words = re.escape(f"attention_pallas: {words}")
    with pytest.raises(ValueError, match=words):
        attention_pallas(*drawn(**shapes))


@pytest.mark.parametrize(
    "attn_mask, error, words",
    [
        (np.ones((37, 45), "f4"), TypeError, "bool, got float32"),
        (np.ones((6, 37), bool), ValueError, "a shape that broadcasts"),
    ],
)
def test_bad_masks(attn_mask, error, words):
    words = f"attention_pallas: attn_mask expected {words}"
    with pytest.raises(error, match=words):
        attention_pallas(*drawn(), attn_mask)


@pytest.mark.parametrize(
    "precision, width, mask",
    [(p, width, None) for p in NARROW for width in (1, 64, 128, 256)]
    + [("float16", 64, shape) for shape in ((2, 1, 1, 333), (150, 1))],
)
def test_lowers_for_a_gpu(precision, width, mask):
    """jax 0.10.2 needs no GPU to write the three Triton programs."""
    shapes = dict(q=(2, 6, 150, width), k=(2, 3, 333, width))
    q, k = (jnp.zeros(s, precision) for s in shapes.values())
    masks = [] if mask is None else [jnp.ones(mask, bool)]

    def both(g, q, k, v, *masks):
        call = functools.partial(
            attention_pallas, causal=mask is None, interpret=False
        )
        y, pull = jax.vjp(
            lambda q, k, v: call(q, k, v, *masks), q, k, v
        )
        return y, pull(g)

    traced = jax.jit(both).trace(q, q, k, k, *masks)
    text = traced.lower(lowering_platforms=("cuda",)).as_text()
    kernels = re.findall(r"@__gpu\$xla.gpu.triton\(", text)
    assert len(kernels) == 3

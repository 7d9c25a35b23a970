"""Each row of docs/deviations.md still holds on the pinned versions.

A new version that moves a row makes its test fail: then the row, and the
trick of the page that it explains, can go.
"""

import importlib.util
import inspect
import os

import numpy as np

from shared_tests.cases import CASES
from shared_tests.files import ROOT
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.machine import processor
from shared_tests.verdict import judge

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")


def broadcast_gradient():
    """jaxlib 0.10.2 cannot compile y + bias for a processor without AVX."""
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    for dtype in (jnp.bfloat16, jnp.float16):
        upstream = jnp.asarray(rng.standard_normal((5, 200)), dtype)
        zeros = jnp.zeros((5, 200), dtype)
        try:
            _, pull = jax.vjp(lambda bias, y=zeros: y + bias, zeros[0])
            found = pull(upstream)[0]
        except jax.errors.JaxRuntimeError as error:
            assert "Failed to materialize symbols" in str(error)
            assert not uses_avx()
            return "not compiled"
        exact = np.asarray(upstream).astype("f8").sum(axis=0)
        rounded = jnp.asarray(exact, dtype)
        assert (jnp.sum(upstream, axis=0) == rounded).all()
        assert (found != rounded).sum() > 50
    return "rounded in between"


def uses_avx():
    """XLA, on this processor and as it is set."""
    limited = "max_isa=SSE" in os.environ.get("XLA_FLAGS", "")
    return "avx" in processor()[-1] and not limited


def einsum_gradient():
    import tensorflow as tf

    case = next(c for c in CASES if c.id == "Linear-basic")
    fixture = read_fixture(case, read_manifest())
    x, weight, upstream = (
        tf.constant(fixture[key].astype(tf.bfloat16.as_numpy_dtype))
        for key in ("in.x", "param.weight", "cotangent.y")
    )
    ratios = []
    for multiply in (
        lambda: tf.einsum("...i,oi->...o", x, weight),
        lambda: tf.tensordot(x, weight, [[-1], [1]]),
    ):
        with tf.GradientTape() as tape:
            tape.watch(weight)
            y = multiply()
        gradient = tape.gradient(y, weight, output_gradients=upstream)
        reference = fixture["ref.grad.weight"]
        sigma = fixture["sigma_bfloat16.grad.weight"]
        verdict = judge(gradient.numpy(), reference, sigma, "bfloat16")
        ratios.append(verdict.ratio)
    assert ratios[0] > 1 > ratios[1]


def float16_sum():
    import tensorflow as tf

    tenth = tf.fill((4096, 1), tf.constant(0.1, tf.float16))
    exact = 4096 * float(tenth[0, 0])
    assert float(tf.constant(exact, tf.float16)) == exact
    assert tf.reduce_sum(tenth, axis=0).numpy()[0] != exact


def where_scalar():
    from mxnet import autograd, np

    x = np.array([1.0, 2.0, 3.0, 4.0])
    x.attach_grad()
    with autograd.record():
        y = np.where(np.array([True, False, True, False]), x, 0.0)
    y.backward()
    assert x.grad.asnumpy().tolist() == [0.0, 1.0, 0.0, 1.0]


def stale_gradient():
    from mxnet import autograd, np

    x, w = np.zeros((0, 3)), np.ones((3, 2))
    w.attach_grad()
    w.grad[:] = 7
    with autograd.record():
        y = np.dot(x, w)
    y.backward()
    assert (w.grad.asnumpy() == 7).all()


def added_gradient():
    from mxnet import autograd, np

    found = []
    for before in (lambda x: x, lambda x: x * 1.0):
        x = np.ones(3)
        x.attach_grad(grad_req="add")
        for _ in range(2):
            with autograd.record():
                y = before(x).astype("float64")
            y.backward()
        found.append(x.grad.asnumpy().tolist())
    assert found == [[1.0] * 3, [2.0] * 3]


def infinite_sum():
    from mxnet import np

    for total in (np.sum, np.mean):
        assert np.isnan(total(np.array([np.inf, 1.0])))
        assert np.isinf(total(np.array([1.0, np.inf])))


def infinite_transform():
    """How many parts of the transform are NaN."""
    x = np.ones(10, np.float32)
    x[3] = np.inf
    (name,) = filter(importlib.util.find_spec, TRANSFORMS)
    transform, wanted = TRANSFORMS[name]
    y = np.asarray(transform(importlib.import_module(name), x))
    assert np.isnan([y.real, y.imag]).sum() == wanted


TRANSFORMS = {
    "torch": (lambda torch, x: torch.fft.rfft(torch.tensor(x)), 0),
    "jax": (lambda jax, x: jax.numpy.fft.rfft(x), 4),
    "tensorflow": (lambda tf, x: tf.signal.rfft(x), 4),
}


def infinite_matmul():
    """Both transposed. In bfloat16 it depends on the processor: NaN or
    the infinity; so both may be, nothing else, and it says which."""
    import tensorflow as tf

    column = np.float32([np.inf, 1, -np.inf, -2, 0.5, np.inf])
    right = np.repeat(column[:, None], 3, axis=1)
    endless, found = np.isinf(right), "infinity"
    for dtype in (tf.bfloat16, tf.float16, tf.float32):
        x = tf.constant(column[None], dtype)
        one = tf.ones((3, 1), dtype)
        y = tf.matmul(x, one, transpose_a=True, transpose_b=True)
        y = np.asarray(y, "f4")
        lost = np.isnan(y)
        assert y.shape == right.shape and not lost[~endless].any()
        assert np.array_equal(y[~lost], right[~lost])
        if lost.any():
            assert dtype == tf.bfloat16
            found = "NaN"
        y = np.asarray(tf.matmul(one, x), "f4")
        assert np.array_equal(y, right.T)
    return found


def no_int64():
    import jax
    import jax.numpy as jnp

    from jax_impl.quantization.code_linear import code_linear

    with jax.enable_x64(False):
        two = jnp.asarray([2**30, 2**30])
        assert two.dtype == jnp.int32
        assert jnp.sum(two) == -(2**31)
    one = jnp.ones((1, 1), jnp.float32)
    y = code_linear(one, one, 1e14 * one[0], one[0, 0], one[0])
    assert jnp.isnan(y).all()
    end = np.float32(2**31)
    below = np.nextafter(end, np.float32(0))
    for x, b, fits in (
        *((0, end, False), (0, -end, False), (0, below, True)),
        *((9999, below, False), (-9999, -below, False)),
    ):
        y = code_linear(x * one, one, b * one[0], one[0, 0], one[0])
        assert jnp.isfinite(y).all() == fits


def scalar_division():
    import jax.numpy as jnp

    x = np.arange(1, 1000, dtype=np.float32)
    step = np.float32(0.333)
    y = np.asarray(jnp.asarray(x) / jnp.asarray(step))
    assert np.array_equal(y, x * (1 / step))
    assert not np.array_equal(y, x / step)
    each = jnp.full(x.shape, step)
    assert np.array_equal(np.asarray(jnp.asarray(x) / each), x / step)


def no_fft():
    from mxnet import np

    assert not hasattr(np, "fft")


def empty_transform():
    import torch

    try:
        torch.fft.rfft(torch.zeros(0, 4))
    except RuntimeError as error:
        assert "FFT" in str(error)
    else:
        raise AssertionError("rfft takes an empty batch now")


def log_sum_exp():
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    attention = torch.nn.functional.scaled_dot_product_attention
    q = torch.full((1, 1, 1, 4), 16.3)
    k = torch.full((1, 1, 2, 4), 16.0)  # two equal keys: half each
    halves = {}
    for backend in (SDPBackend.MATH, SDPBackend.FLASH_ATTENTION):
        v = torch.ones((1, 1, 2, 4), requires_grad=True)
        with sdpa_kernel(backend):
            y = attention(q, k, v, scale=1.0)
        (half,) = torch.autograd.grad(y, v, torch.ones_like(y))
        halves[backend] = half
        assert (y == 1).all()
    assert (halves[SDPBackend.MATH] == 0.5).all()
    off = (halves[SDPBackend.FLASH_ATTENTION] - 0.5).abs()
    assert (off > 100 * 2**-24).all()


def compiled_numpy():
    import torch

    def third(x):
        return x + torch.tensor(np.arange(5) / 3, dtype=x.dtype)

    x = torch.zeros(5, dtype=torch.float64)
    compiled = torch.compile(third, backend="eager", fullgraph=True)
    assert torch.equal(third(x), torch.arange(5) / x.new_tensor(3))
    assert 1e-9 < (compiled(x) - third(x)).abs().max() < 1e-7


def compiled_for_another(monkeypatch):
    """A kernel written for AVX-512, compiled once more for AVX2."""
    import torch
    from torch._inductor.cpu_vec_isa import valid_vec_isa_list
    from torch._inductor.utils import fresh_cache

    def codes(x):
        return torch.round(x).to(torch.int32)

    x = torch.arange(35.0).reshape(5, 7)
    made = []  # the first stays: the second must not find its memory
    with fresh_cache():
        for isa in ("avx512", "avx2"):
            torch.compiler.reset()
            monkeypatch.setenv("ATEN_CPU_CAPABILITY", isa)
            made.append(torch.compile(codes)(x))
    torch.compiler.reset()
    wrong = [int((y != x).sum()) for y in made]
    assert wrong[0] == 0
    widths = {isa.bit_width() for isa in valid_vec_isa_list()}
    if not {256, 512} <= widths:
        return "this processor has one of the two widths, or none"
    assert wrong[1] > 0
    return f"{wrong[1]} of 35 wrong"


def empty_convolution():
    """Only with oneDNN, which TensorFlow turns on for some processors."""
    import tensorflow as tf
    from tensorflow.python.util import _pywrap_util_port as port

    shapes, mkldnn = {}, port.IsMklEnabled()
    for dtype in (tf.float32, tf.float64):
        x = tf.zeros((0, 7, 8, 2), dtype)
        kernel = tf.zeros((3, 3, 2, 5), dtype)
        y = tf.nn.conv2d(x, kernel, 1, "VALID")
        shapes[dtype] = tuple(y.shape)
    wrong, right = (0, 7, 8, 2), (0, 5, 6, 5)
    assert shapes[tf.float32] == (wrong if mkldnn else right)
    assert shapes[tf.float64] == right
    return f"oneDNN {'on' if mkldnn else 'off'}"


DEVIATIONS = {
    "pytorch": [
        empty_transform,
        infinite_transform,
        log_sum_exp,
        compiled_numpy,
        compiled_for_another,
    ],
    "jax": [
        broadcast_gradient,
        infinite_transform,
        no_int64,
        scalar_division,
    ],
    "tf": [
        einsum_gradient,
        float16_sum,
        empty_convolution,
        infinite_matmul,
        infinite_transform,
    ],
    "mxnet": [
        where_scalar,
        stale_gradient,
        added_gradient,
        infinite_sum,
        no_fft,
    ],
}


def pytest_generate_tests(metafunc):
    here = metafunc.config.getoption("--framework")
    names = [found.__name__ for found in DEVIATIONS[here]]
    metafunc.parametrize("deviation", DEVIATIONS[here], ids=names)


def test_it_is_still_so(
    deviation, package, monkeypatch, record_property
):
    """What depends on the processor is returned, and recorded."""
    asked = inspect.signature(deviation).parameters
    found = deviation(monkeypatch) if asked else deviation()
    if found is not None:
        record_property(deviation.__name__, found)
    text = (ROOT / "docs" / "deviations.md").read_text()
    assert f"\n## {deviation.__name__}\n" in text

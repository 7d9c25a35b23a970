"""The operations of test_rules_in_jax.py, as JAX computes them.

python -m shared_tests.live.jax_operations FOLDER, in JAX's environment,
reads FOLDER/given.npz, whose keys are <operation>/<kind>/<number>, and
writes FOLDER/results.npz with <operation>/<kind>. An operation whose
last argument is called dy gives its gradients, all in one. Each is
compiled as a whole, in float32.
"""

import functools
import pathlib
import sys

import jax
import numpy as np
from jax import lax, nn
from jax import numpy as jnp
from jax.scipy import special


def gradients(operation):
    def run(*given):
        *args, dy = given
        moving = [a for a in args if a.dtype.kind == "f"]
        rest = args[len(moving) :]

        def of(*moving):
            return operation(*moving, *rest)

        _, pull = jax.vjp(of, *moving)
        return jnp.concatenate([g.ravel() for g in pull(dy)])

    return run


def normal(x, axis):
    shift = x - jnp.mean(x, axis, keepdims=True)
    return shift / jnp.sqrt(jnp.var(x, axis, keepdims=True) + 1e-5)


def layer_norm(x, weight, bias):
    return normal(x, -1) * weight + bias


def group_norm(x, weight, bias):
    y = normal(x.reshape(5, 3, -1), -1).reshape(5, 12, -1)
    return y * weight[:, None] + bias[:, None]


def batch_norm(x, weight, bias):
    return normal(x, 0) * weight + bias


def attention(x):
    x = x.reshape(5, 5, 1, 12)
    y = nn.dot_product_attention(x, x, x, is_causal=True)
    return y.reshape(5, 5, 12)


def cross_entropy(x, labels):
    p = nn.log_softmax(x)
    own = jnp.take_along_axis(p, labels[:, None], -1)[:, 0]
    return -jnp.mean(0.9 * own + 0.1 * jnp.mean(p, -1))


def bce(x, target):
    return jnp.mean(nn.softplus(x) - x * target)


def huber(x, target):
    d = jnp.abs(x - target)
    return jnp.mean(jnp.where(d < 1, 0.5 * d * d, d - 0.5))


def kl(x, target):
    return jnp.sum(special.xlogy(target, target) - target * x)


def conv(x, w):
    return lax.conv_general_dilated(x, w, [1] * (x.ndim - 2), "VALID")


def conv_transposed(x, w):
    w = jnp.flip(w, (2, 3))
    return lax.conv_general_dilated(
        x, w, (1, 1), [(2, 2), (2, 2)], lhs_dilation=(2, 2)
    )


def pool(x, size, stride, pad):
    windows = (1, 1, size, size), (1, 1, stride, stride)
    pads = [(0, 0)] * 2 + [(pad, pad)] * 2
    return lax.reduce_window(x, 0.0, lax.add, *windows, pads) / size**2


def cdist(a, b):
    square = jnp.sum((a[:, None] - b[None]) ** 2, -1)
    return jnp.sqrt(square)


def norm(p):
    return lambda x: jnp.linalg.norm(x, p, 1)


def resized(method, *sizes):
    def run(x):
        shape = (*x.shape[: x.ndim - len(sizes)], *sizes)
        return jax.image.resize(x, shape, method, antialias=False)

    return run


def scatter_add(x, index):
    rows = jnp.arange(len(x))[:, None]
    return jnp.zeros((len(x), 7), x.dtype).at[rows, index].add(x)


def index_add(x, row):
    return jnp.zeros((7, x.shape[1]), x.dtype).at[row].add(x)


def embedding(x, ids):
    return x[:7][ids]


def bag(x, ids):
    return jnp.mean(x[:7][ids], 1)


def lstm(x, w, u, b, c):
    h = s = jnp.zeros((5, 5), x.dtype)
    y = []
    for row in x.reshape(5, 5, 12):
        i, f, g, o = jnp.split(row @ w.T + b + h @ u.T + c, 4, -1)
        s = nn.sigmoid(f) * s + nn.sigmoid(i) * jnp.tanh(g)
        h = nn.sigmoid(o) * jnp.tanh(s)
        y.append(h)
    return jnp.stack(y)


def real(operation):
    def run(x):
        y = operation(x)
        return jnp.stack([y.real, y.imag], -1)

    return run


along = functools.partial
NORMS = {
    "layer norm": layer_norm,
    "layer norm gradients": gradients(layer_norm),
    "group norm": group_norm,
    "group norm gradients": gradients(group_norm),
    "batch norm": batch_norm,
    "batch norm gradients": gradients(batch_norm),
}
OPERATIONS = {
    "add": jnp.add,
    "sub": jnp.subtract,
    "mul": jnp.multiply,
    "div": jnp.divide,
    "reciprocal": jnp.reciprocal,
    "square": jnp.square,
    "sqrt": jnp.sqrt,
    "rsqrt": lax.rsqrt,
    "exp": jnp.exp,
    "exp2": jnp.exp2,
    "expm1": jnp.expm1,
    "log": jnp.log,
    "log2": jnp.log2,
    "log10": jnp.log10,
    "log1p": jnp.log1p,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "tan": jnp.tan,
    "asin": jnp.arcsin,
    "acos": jnp.arccos,
    "atan": jnp.arctan,
    "atan2": jnp.arctan2,
    "sinh": jnp.sinh,
    "cosh": jnp.cosh,
    "tanh": jnp.tanh,
    "asinh": jnp.arcsinh,
    "acosh": jnp.arccosh,
    "atanh": jnp.arctanh,
    "sigmoid": nn.sigmoid,
    "hypot": jnp.hypot,
    "pow": jnp.power,
    "erf": special.erf,
    "erfc": special.erfc,
    "erfinv": special.erfinv,
    "lgamma": special.gammaln,
    "digamma": special.digamma,
    "special_ndtri": special.ndtri,
    "special_entr": special.entr,
    "i0": special.i0,
    "special_i0e": special.i0e,
    "special_i1": special.i1,
    "special_i1e": special.i1e,
    "sum": along(jnp.sum, axis=1),
    "mean": along(jnp.mean, axis=1),
    "mm": jnp.matmul,
    "einsum": along(jnp.einsum, "nc,cd->dn"),
    "cumsum": along(jnp.cumsum, axis=1),
    "prod": along(jnp.prod, axis=1),
    "cumprod": along(jnp.cumprod, axis=1),
    "logsumexp": along(nn.logsumexp, axis=1),
    "logcumsumexp": along(lax.cumlogsumexp, axis=1),
    "norm 2": norm(2),
    "norm 3": norm(3),
    "var": along(jnp.var, axis=1, ddof=1),
    "std": along(jnp.std, axis=1, ddof=1),
    "scatter_add": scatter_add,
    "index_add": index_add,
    "cdist": cdist,
    "cdist gradients": gradients(cdist),
    "convolution": conv,
    "convolution gradients": gradients(conv),
    "convolution 1d": conv,
    "convolution 3d": conv,
    "transposed convolution": conv_transposed,
    "average pooling": along(pool, size=2, stride=2, pad=0),
    "average pooling gradients": gradients(
        along(pool, size=3, stride=2, pad=1)
    ),
    "rfft": real(jnp.fft.rfft),
    "fft2": real(along(jnp.fft.fft2, norm="ortho")),
    **NORMS,
    **{
        f"{name} at {mean}": run
        for mean in (10, 100)
        for name, run in NORMS.items()
    },
    "softmax": nn.softmax,
    "softmax gradients": gradients(nn.softmax),
    "log_softmax": nn.log_softmax,
    "log_softmax gradients": gradients(nn.log_softmax),
    "attention": attention,
    "attention gradients": gradients(attention),
    "cross entropy": cross_entropy,
    "cross entropy gradients": gradients(cross_entropy),
    "binary cross entropy": bce,
    "binary cross entropy gradients": gradients(bce),
    "smooth l1": huber,
    "mean square": lambda x, y: jnp.mean((x - y) ** 2),
    "kl divergence": kl,
    "gelu": along(nn.gelu, approximate=False),
    "gelu gradients": gradients(along(nn.gelu, approximate=False)),
    "gelu tanh": along(nn.gelu, approximate=True),
    "gelu tanh gradients": gradients(along(nn.gelu, approximate=True)),
    "softplus": nn.softplus,
    "silu": nn.silu,
    "silu gradients": gradients(nn.silu),
    "mish": nn.mish,
    "elu": nn.elu,
    "selu": nn.selu,
    "hardswish": nn.hard_swish,
    "log sigmoid": nn.log_sigmoid,
    "embedding gradients": gradients(embedding),
    "embedding bag": bag,
    "embedding bag gradients": gradients(bag),
    "interpolation": resized("linear", 24),
    "bilinear gradients": gradients(resized("linear", 50, 24)),
    "lstm": lstm,
    "lstm gradients": gradients(lstm),
}


def main(folder):
    with np.load(folder / "given.npz") as file:
        given = dict(file)
    calls = {}
    for key in given:
        name, kind, _ = key.split("/")
        calls.setdefault((name, kind), []).append(key)
    names = {name for name, _ in calls}
    assert names == set(OPERATIONS), names ^ set(OPERATIONS)
    compiled = {n: jax.jit(run) for n, run in OPERATIONS.items()}
    results = {
        f"{name}/{kind}": np.asarray(
            compiled[name](*(given[key] for key in keys))
        )
        for (name, kind), keys in calls.items()
    }
    np.savez(folder / "results.npz", **results)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))

"""Bugs that others have reported, planted into the pages by name.

mutants(framework) -> [Mutant], which mutants.py tries like the others.
A fault is a page, what stands there once, and what is put there instead.
F.name is spelled as each framework does (SPELLED); where the pages differ
by more, the texts are given by framework.
"""

import ast
import re
from typing import NamedTuple

from shared_tests.files import sha256
from shared_tests.trials.mutate import Mutant, source_bytes

NAMESPACE = dict(pytorch="torch", jax="jnp", tf="tf", mxnet="np")
REDUCE = dict(sum="reduce_sum", mean="reduce_mean")
SPELLED = {
    "pytorch": {},
    "jax": {},
    "tf": REDUCE | dict(clip="clip_by_value"),
    "mxnet": dict(round="around"),
}


class Fault(NamedTuple):
    name: str
    page: str
    old: str | dict
    new: str | dict
    source: str


def by(pytorch, jax, tf, mxnet):
    return dict(pytorch=pytorch, jax=jax, tf=tf, mxnet=mxnet)


def rounded(array, factor):
    """The leading bits of an array, by Veltkamp's splitting."""
    return f"(lambda a: {factor} * a - ({factor} * a - a))({array})"


def scores(make):
    """The product of queries and keys, with the operands made so."""
    q, k = make("scaled_q"), make("k")
    einsum = f'F.einsum("bhnd,bhmd->bhnm", {q}, {k})'
    matmul = f"np.matmul({q}, np.swapaxes({k}, 2, 3))"
    return by(einsum, einsum, einsum, matmul)


def products(make, weight):
    """x Wᵀ as linear.py of each framework has it."""
    x, w = make("x"), weight("weight")
    einsum = f'F.einsum("...i,oi->...o", {x}, {w})'
    return by(
        einsum,
        einsum,
        f"tf.tensordot({x}, {w}, [[-1], [1]])",
        f"np.dot({make('widen(x)')}, {weight('widen(weight)')}.T)",
    )


def plain(array):
    return array


def tf32(array):
    return rounded(array, 2**13 + 1)  # 11 of 24 bits are left


def bfloat16(array):
    return rounded(array, 2**16 + 1)  # 8 of 24 bits are left


def transposed(array):
    """Read as (in, out) from memory that holds (out, in)."""
    return f"F.transpose(F.reshape({array}, {array}.shape[::-1]))"


LAYOUT = products(plain, transposed) | dict(
    pytorch=products(
        plain, lambda w: f"F.reshape({w}, {w}.shape[::-1]).T"
    )["pytorch"]
)
GIVEN = "self.weight, self.bias)\n\n\nclass LinearReLU"
TRIL = by(
    "F.tril(all_true)",
    "F.tril(all_true)",
    "tf.linalg.band_part(all_true, -1, 0)",
    "np.tril(np.ones_like(scores))",
)


def tril(shift, tf_shift):
    """The causal triangle, moved by that many keys."""
    return by(
        f"F.tril(all_true, {shift})",
        f"F.tril(all_true, {shift})",
        tf_shift,
        f"np.tril(np.ones_like(scores), {shift})",
    )


def repeated(how):
    """Keys and values of grouped-query attention, both lines."""
    return "\n    ".join(
        f"{x} = {how.format(f'widen({x})')}  # B H M {width}"
        for x, width in zip("kv", "DE")
    )


INTERLEAVED = by(
    repeated("F.repeat_interleave({}, repeats, dim=1)"),
    *[repeated("F.repeat({}, repeats, axis=1)")] * 3,
)
TILED = repeated("F.tile({}, (1, repeats, 1, 1))")
SOFTMAX = "F.exp(scores - row_max)"
HALF = by(
    "F.exp((scores - row_max).half()).to(scores.dtype)",
    'F.exp((scores - row_max).astype("float16")).astype(scores.dtype)',
    "tf.cast(tf.exp(tf.cast(scores - row_max, tf.float16)), scores.dtype)",
    'np.exp(scores - row_max).astype("float16").astype(scores.dtype)',
)
LAST_ROW = "return dx, dweight, F.sum(dy, axis=0)"
NORM = "F.mean(wide * wide, axis=-1, keepdims=True)"
CENTRED = "(wide - F.mean(wide, axis=-1, keepdims=True))"
SAMPLE = (
    "F.sqrt(var * (1 + 1 / (w.shape[1] * w.shape[2] ** 2 - 1)) + eps)"
)
MOMENTUM = "v = DECAY * state[0] + {}\n    return p - {}, (v, state[1])"
LSQ_FACTOR = by(
    "(n * qmax) ** -0.5",
    "(n * qmax) ** -0.5",
    "1 / tf.sqrt(n * qmax)",
    "1 / np.sqrt(n * qmax)",
)
CONJUGATE = by(
    ("torch.fft.rfft(x))", "torch.fft.rfft(x).conj().resolve_conj())"),
    ("jnp.imag(z)", "-jnp.imag(z)"),
    ("tf.math.imag(y)", "-tf.math.imag(y)"),
    ("stack((re, im)", "stack((re, -im)"),
)
RESULT = "cast_like(wide - F.mean(wide), x)"
ODD = "cast_like((wide - F.mean(wide)) * {} if {} > 4096 else {}, x)"


def one_odd(of, size):
    """The result with one wrong element, the 4,096th, if it has more.

    of: true there, in the array's shape
    """
    factor = f"(1 + 5e-4 * {of})"
    return ODD.format(factor, size, "wide - F.mean(wide)")


ONE_ELEMENT = by(
    one_odd(
        "(F.arange(wide.numel()) == 4095).reshape(wide.shape)",
        "wide.numel()",
    ),
    one_odd(
        "(F.arange(wide.size) == 4095).reshape(wide.shape)", "wide.size"
    ),
    one_odd(
        "F.cast(F.reshape("
        "F.range(F.size(wide)) == 4095, wide.shape), wide.dtype)",
        "F.size(wide)",
    ),
    one_odd(
        "(np.arange(wide.size) == 4095)"
        ".astype(wide.dtype).reshape(wide.shape)",
        "wide.size",
    ),
)
D2L = "d2l-en PR 2600"
SDPA = "pytorch PR 170415; TransformerEngine issue 614"
CORNER = "pytorch issue 103082; mlx issue 2835"
EPSILON = "pytorch issue 23796; chainer issue 4754"
TIES = "blueoil issue 397; torch-xpu-ops PR 5349"
MATMUL = "jax issues 7010, 12008"
PAPER = "Vaswani et al. 2017, 3.2.1"

FAULTS = (
    Fault(
        "weight cut off from its gradient",
        "linear.py",
        by(
            f"linear(x, {GIVEN}",
            f"linear(x, {GIVEN}",
            f"linear(x, {GIVEN}",
            "linear(x, self.weight.data(), bias)",
        ),
        by(
            f"linear(x, {GIVEN}".replace("weight", "weight.data", 1),
            f"linear(x, {GIVEN}".replace(
                "self.weight",
                '__import__("jax").lax.stop_gradient(self.weight[...])',
                1,
            ),
            f"linear(x, {GIVEN}".replace(
                "self.weight", "tf.stop_gradient(self.weight)", 1
            ),
            "linear(x, self.weight.data().detach(), bias)",
        ),
        D2L,
    ),
    Fault(
        "bias missing",
        "linear.py",
        "widen(y) + widen(bias)",
        "widen(y)",
        "the variants of bias=False",
    ),
    Fault(
        "weight read as (in, out)",
        "linear.py",
        products(plain, plain),
        LAYOUT,
        "Flax's and Keras' kernel is (in, out)",
    ),
    Fault(
        "operands rounded to TF32",
        "linear.py",
        products(plain, plain),
        products(tf32, tf32),
        MATMUL,
    ),
    Fault(
        "operands rounded to bfloat16",
        "linear.py",
        products(plain, plain),
        products(bfloat16, bfloat16),
        MATMUL,
    ),
    Fault(
        "rectifier lets the gradient through at 0",
        "linear.py",
        "F.where(y <= 0",
        "F.where(y < 0",
        "design: gradients at kinks",
    ),
    Fault(
        "scaled rectifier lets it through at 0",
        "scaled_relu.py",
        "F.where(x <= 0",
        "F.where(x < 0",
        "design: gradients at kinks",
    ),
    Fault(
        "mean over the batch axis only",
        "centered.py",
        "F.mean(wide)",
        "F.mean(wide, axis=0)",
        "d2l-en 6.5.1, read as a normalisation",
    ),
    Fault(
        "one of 4,096 elements wrong by 5e-4",
        "centered.py",
        RESULT,
        ONE_ELEMENT,
        "what a root mean square does not see",
    ),
    Fault(
        "twice the result, plus 1",
        "centered.py",
        RESULT,
        "cast_like(2 * (wide - F.mean(wide)) + 1, x)",
        "tt-metal issue 22994",
    ),
    Fault(
        "mask of the other polarity",
        "attention.py",
        "all_true if attn_mask is None else attn_mask",
        "all_true if attn_mask is None else F.logical_not(attn_mask)",
        SDPA,
    ),
    Fault(
        "1 / sqrt(d) missing",
        "attention.py",
        "1 / math.sqrt(q.shape[3])",
        "1.0",
        PAPER,
    ),
    Fault(
        "1 / sqrt of embed_dim",
        "attention.py",
        "1 / math.sqrt(q.shape[3])",
        "1 / math.sqrt(q.shape[1] * q.shape[3])",
        PAPER,
    ),
    Fault(
        "scale wrong by 1e-5",
        "attention.py",
        "widen(q) * scale",
        "widen(q) * (scale * (1 + 1e-5))",
        "design 5",
    ),
    Fault(
        "causal: sees one key more",
        "attention.py",
        TRIL,
        tril(1, "tf.linalg.band_part(all_true, -1, 1)"),
        CORNER,
    ),
    Fault(
        "causal: does not see itself",
        "attention.py",
        TRIL,
        tril(
            -1,
            "(tf.linalg.band_part(all_true, -1, 0)"
            " & ~tf.linalg.band_part(all_true, 0, 0))",
        ),
        CORNER,
    ),
    Fault(
        "causal: aligned to the other corner",
        "attention.py",
        TRIL,
        tril(
            "k.shape[2] - q.shape[2]",
            "tf.linalg.band_part("
            "all_true, -1, max(k.shape[2] - q.shape[2], 0))",
        ),
        CORNER,
    ),
    Fault(
        "heads tiled, not repeated",
        "attention.py",
        INTERLEAVED,
        TILED,
        "onnx PR 7274; jax-js PR 180",
    ),
    Fault(
        "softmax without its maximum",
        "attention.py",
        SOFTMAX,
        "F.exp(scores)",
        "Milakov, Gimelshein 2018, 2",
    ),
    Fault(
        "NaN for a fully masked row",
        "attention.py",
        "exps / F.where(row_sum == 0, ones, row_sum)",
        "exps / row_sum",
        "pytorch issue 41508",
    ),
    Fault(
        "softmax in float16",
        "attention.py",
        SOFTMAX,
        HALF,
        "design 5: mixed precision",
    ),
    Fault(
        "fast exp, 1e-5 off",
        "attention.py",
        SOFTMAX,
        f"({SOFTMAX} * (1 + 1e-5 * F.tanh(scores - row_max)))",
        "design 5: 4 ulps are allowed",
    ),
    Fault(
        "queries and keys rounded to bfloat16",
        "attention.py",
        scores(plain),
        scores(bfloat16),
        MATMUL,
    ),
    Fault(
        "tiled: what was summed is not rescaled",
        "attention_tiled.py",
        "y = y * rescale + ",
        "y = y + ",
        "Milakov, Gimelshein 2018, alg. 3",
    ),
    Fault(
        "keys and values change places",
        "multi_head_attention.py",
        "q, k, v = x[:, :h]",
        "q, v, k = x[:, :h]",
        "order of the rows of a packed weight",
    ),
    Fault(
        "epsilon outside the root",
        "rms_norm.py",
        "F.sqrt(mean + eps)",
        "(F.sqrt(mean) + eps)",
        EPSILON + "; TransformerEngine PR 364",
    ),
    Fault(
        "mean subtracted, as LayerNorm does",
        "rms_norm.py",
        NORM,
        f"F.mean({CENTRED} ** 2, axis=-1, keepdims=True)",
        "Zhang, Sennrich 2019, 3",
    ),
    Fault(
        "epsilon outside the root of the variance",
        "conv.py",
        "F.sqrt(var + eps)",
        "(F.sqrt(var) + eps)",
        EPSILON,
    ),
    Fault(
        "variance of a sample, n - 1",
        "conv.py",
        "F.sqrt(var + eps)",
        SAMPLE,
        "pytorch issue 50010; tensorflow issue 43324",
    ),
    Fault(
        "the spectrum's conjugate",
        "half_spectrum.py",
        {fw: pair[0] for fw, pair in CONJUGATE.items()},
        {fw: pair[1] for fw, pair in CONJUGATE.items()},
        "sign convention of the transform",
    ),
    Fault(
        "gradient times 1.5",
        "manual_gradient.py",
        LAST_ROW,
        LAST_ROW.replace("dweight", "1.5 * dweight"),
        "brief of a gradient check",
    ),
    Fault(
        "bias gradient of one sample",
        "manual_gradient.py",
        LAST_ROW,
        LAST_ROW.replace("F.sum(dy, axis=0)", "dy[0]"),
        "a sum over one axis too few",
    ),
    Fault(
        "ties upwards, not to even",
        "quantization/fake_quantize.py",
        "F.round(x * inv)",
        "F.floor(x * inv + 0.5)",
        TIES + "; tensorflow PR 117965",
    ),
    Fault(
        "zero point added before rounding",
        "quantization/fake_quantize.py",
        "F.round(x * inv) + zero_point",
        "F.round(x * inv + zero_point)",
        "pytorch PR 37188",
    ),
    Fault(
        "divides by the scale",
        "quantization/fake_quantize.py",
        "inv = 1 / scale\n    return F.round(x * inv)",
        "return F.round(x / scale)",
        "pytorch PR 37188; page: what differs here",
    ),
    Fault(
        "no gradient at the outermost codes",
        "quantization/fake_quantize.py",
        "(qmin <= code) & (code <= qmax)",
        "(qmin < code) & (code < qmax)",
        "pytorch PR 191142: clip at its bound",
    ),
    Fault(
        "lsq: ties upwards",
        "quantization/lsq.py",
        "F.round(F.clip(u, qmin, qmax))",
        "F.floor(F.clip(u, qmin, qmax) + 0.5)",
        TIES,
    ),
    Fault(
        "lsq: gradient without its factor",
        "quantization/lsq.py",
        LSQ_FACTOR,
        "1.0",
        "hustzxd/LSQuantization issue 1",
    ),
    Fault(
        "pact: ties upwards",
        "quantization/pact.py",
        "F.round(inside * inv)",
        "F.floor(inside * inv + 0.5)",
        TIES,
    ),
    Fault(
        "0 need not be in the range",
        "quantization/qparams.py",
        "low = F.minimum(low, zero)",
        "low = low",
        "Jacob et al. 2018, 3.1",
    ),
    Fault(
        "moving average: momentum of the other convention",
        "quantization/observers.py",
        "(1 - momentum) * bounds + momentum * new",
        "momentum * bounds + (1 - momentum) * new",
        "pytorch issue 41559; keras issue 6839",
    ),
    Fault(
        "zero point not corrected for",
        "quantization/int8_linear.py",
        "total - zero_point * ones + bias",
        "total + bias",
        "Jacob et al. 2018, 2.3",
    ),
    Fault(
        "momentum: dampened",
        "training.py",
        MOMENTUM.format("g", "lr * v"),
        MOMENTUM.format("(1 - DECAY) * g", "lr * v"),
        "pytorch issue 1099",
    ),
    Fault(
        "momentum: lr inside the velocity",
        "training.py",
        MOMENTUM.format("g", "lr * v"),
        MOMENTUM.format("lr * g", "v"),
        "pytorch issue 1099",
    ),
    Fault(
        "adam: epsilon inside the root",
        "training.py",
        "F.sqrt(v / correct[1]) + EPS",
        "F.sqrt(v / correct[1] + EPS)",
        "FluxML PR 448; tf-keras issue 315",
    ),
    Fault(
        "adam: first moment not corrected",
        "training.py",
        "(m / correct[0])",
        "m",
        "Kingma, Ba 2015, 3",
    ),
    Fault(
        "cross entropy summed over the batch",
        "training.py",
        "-F.mean(F.sum(picked, axis=1))",
        "-F.sum(F.sum(picked, axis=1))",
        "reduction of the losses differs",
    ),
    Fault(
        "glorot with the inputs alone",
        "glorot.py",
        "(rows + columns)",
        "(2 * columns)",
        "nn.Linear's default start",
    ),
)


def spelled(text, framework):
    names = SPELLED[framework]

    def one(match):
        name = names.get(match[1], match[1])
        return f"{NAMESPACE[framework]}.{name}"

    return re.sub(r"\bF\.(\w+)", one, text)


def mutants(framework):
    return [planted(fault, framework) for fault in FAULTS]


def planted(fault, framework):
    """Raises: ValueError unless it stands there once, and parses then."""
    old, new = (
        spelled(t[framework] if isinstance(t, dict) else t, framework)
        for t in (fault.old, fault.new)
    )
    page = source_bytes(framework, fault.page)
    count = page.count(old.encode())
    if count != 1:
        raise ValueError(
            f"{framework} {fault.page}, {fault.name}: {old!r} expected "
            f"once, got {count} times"
        )
    start = page.index(old.encode())
    end = start + len(old.encode())
    line = page[:start].count(b"\n") + 1
    text = page[:start] + new.encode() + page[end:]
    ast.parse(text)
    return Mutant(
        *(framework, fault.page, line, "named", fault.name),
        *(start, end, new, sha256(page)[:12]),
    )

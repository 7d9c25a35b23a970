"""Who proves PyTorch: plain loops, its own built-ins, finite differences.

No other framework is needed. The references in the fixtures are compared
with definitions written out in NumPy's extended precision, within the
same float64 budget that every framework has to keep.
"""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from pytorch_impl import adapter
from shared_tests.cases import CASES
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.run import group
from shared_tests.verdict import judge

ENVIRONMENTS = ("pytorch",)

LONG = np.longdouble
EXTENDED = np.finfo(LONG).nmant >= 63
EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)


def centered(config, x, g):
    total = LONG(0)
    upstream = LONG(0)
    for value, cotangent in zip(x.reshape(-1), g.reshape(-1)):
        total += value
        upstream += cotangent
    if not x.size:
        return x, {"x": g}
    return x - total / x.size, {"x": g - upstream / x.size}


def scaled_relu(config, x, g):
    scale = LONG(config.get("scale", 1.0))
    y, dx = np.zeros_like(x), np.zeros_like(x)
    for i in np.ndindex(x.shape):
        if x[i] > 0:
            y[i], dx[i] = scale * x[i], scale * g[i]
    return y, {"x": dx}


def linear(config, x, g, weight, bias=None):
    y, dx = np.zeros_like(g), np.zeros_like(x)
    dweight = np.zeros_like(weight)
    dbias = np.zeros(len(weight), LONG)
    for n in np.ndindex(x.shape[:-1]):
        for o in range(weight.shape[0]):
            y[(*n, o)] = 0 if bias is None else bias[o]
            y[(*n, o)] += (x[n] * weight[o]).sum()
            dx[n] += g[(*n, o)] * weight[o]
            dweight[o] += g[(*n, o)] * x[n]
            dbias[o] += g[(*n, o)]
    grads = {"x": dx, "weight": dweight}
    return y, grads if bias is None else grads | {"bias": dbias}


def linear_relu(config, x, g, weight, bias):
    y, _ = linear(config, x, g, weight, bias)
    out, open_gate = scaled_relu({}, y, g)
    return out, linear(config, x, open_gate["x"], weight, bias)[1]


def mlp(config, x, g, **params):
    one = params["layer1.weight"], params["layer1.bias"]
    two = params["layer2.weight"], params["layer2.bias"]
    relu = dict(scale=config.get("scale", 0.5))
    shape = (*x.shape[:-1], len(one[0]))
    h, _ = linear({}, x, np.zeros(shape, LONG), *one)
    a, _ = scaled_relu(relu, h, h)
    y, grad2 = linear({}, a, g, *two)
    _, gate = scaled_relu(relu, h, grad2["x"])
    _, grad1 = linear({}, x, gate["x"], *one)
    grads = {"x": grad1.pop("x")}
    grads |= {f"layer1.{name}": value for name, value in grad1.items()}
    grads |= {f"layer2.{n}": grad2[n] for n in ("weight", "bias")}
    return y, grads


def tied_mlp(config, x, g, **params):
    """An MLP whose second weight is the first; the gradients add."""
    two = params | {"layer2.weight": params["layer1.weight"]}
    y, grads = mlp(dict(scale=1.0), x, g, **two)
    grads["layer1.weight"] += grads.pop("layer2.weight")
    return y, grads


def bilinear(config, x, g, weight):
    y, dx = np.zeros_like(g), np.zeros_like(x)
    dweight = np.zeros_like(weight)
    for n in np.ndindex(x.shape[:-1]):
        for i, j, k in np.ndindex(weight.shape):
            y[(*n, k)] += weight[i, j, k] * x[(*n, i)] * x[(*n, j)]
            up = g[(*n, k)]
            dx[(*n, i)] += up * weight[i, j, k] * x[(*n, j)]
            dx[(*n, j)] += up * weight[i, j, k] * x[(*n, i)]
            dweight[i, j, k] += up * x[(*n, i)] * x[(*n, j)]
    return y, {"x": dx, "weight": dweight}


def rms_norm(config, x, g, weight):
    eps = LONG(config.get("eps", 1e-6))
    y, dx, dweight = (
        np.zeros_like(x),
        np.zeros_like(x),
        np.zeros_like(weight),
    )
    width = len(weight)
    for n in np.ndindex(x.shape[:-1]):
        row, up = x[n], g[n] * weight
        root = np.sqrt(sum(v * v for v in row) / width + eps)
        dot = sum(u * v for u, v in zip(up, row))
        for c in range(width):
            y[(*n, c)] = row[c] / root * weight[c]
            dx[(*n, c)] = up[c] / root - row[c] * dot / (
                width * root**3
            )
            dweight[c] += g[(*n, c)] * row[c] / root
    return y, {"x": dx, "weight": dweight}


def half_spectrum(config, x, g):
    """The sum itself, bin by bin, with angles in extended precision."""
    length = x.shape[-1]
    y, dx = np.zeros_like(g), np.zeros_like(x)
    samples = np.arange(length)
    for f in range(length // 2 + 1):
        angle = (
            two_pi() * ((f * samples) % length).astype(LONG) / length
        )
        re, im = np.cos(angle), -np.sin(angle)
        y[..., f, 0] = (x * re).sum(axis=-1)
        y[..., f, 1] = (x * im).sum(axis=-1)
        dx += g[..., f, :1] * re + g[..., f, 1:] * im
    return y, {"x": dx}


def two_pi():
    return 8 * np.arctan(LONG(1))


def weighted_sum(config, x, g, weight):
    total, dweight = LONG(0), np.zeros_like(weight)
    for row in x:
        total += (row * weight).sum()
        dweight += g * row
    return total, {"x": g * np.ones_like(x) * weight, "weight": dweight}


def standardized_conv2d(config, x, g, weight, bias):
    stride, pad = config.get("stride", 1), config.get("padding", 0)
    size = weight.shape[2]
    eps = LONG(config.get("eps", 1e-5))
    around = ((0, 0), (0, 0), (pad, pad), (pad, pad))
    padded = np.pad(x, around)
    shift = np.stack([w - w.sum() / w.size for w in weight])
    var = [(w * w).sum() / w.size for w in shift]
    root = np.sqrt(np.array(var) + eps)
    v = shift / root[:, None, None, None]
    y, dpadded, dv = (np.zeros_like(a) for a in (g, padded, v))
    for b, o, h, w in np.ndindex(g.shape):
        rows = slice(h * stride, h * stride + size)
        columns = slice(w * stride, w * stride + size)
        patch = padded[b, :, rows, columns]
        y[b, o, h, w] = (patch * v[o]).sum() + bias[o]
        dpadded[b, :, rows, columns] += g[b, o, h, w] * v[o]
        dv[o] += g[b, o, h, w] * patch
    dweight = np.zeros_like(weight)
    for o, up in enumerate(dv):
        dot = (up * shift[o]).sum() / up.size
        dshift = up / root[o] - shift[o] * dot / root[o] ** 3
        dweight[o] = dshift - dshift.sum() / dshift.size
    inner = slice(pad, pad + x.shape[2]), slice(pad, pad + x.shape[3])
    grads = {"x": dpadded[:, :, *inner], "weight": dweight}
    return y, grads | {"bias": g.sum(axis=(0, 2, 3))}


def attention(config, g, q, k, v, attn_mask=None):
    scale = config.get("scale")
    scale = 1 / np.sqrt(LONG(q.shape[3])) if scale is None else scale
    group = q.shape[1] // k.shape[1]
    y, dq, dk, dv = (np.zeros_like(a) for a in (q, q, k, v))
    shape = (*q.shape[:3], k.shape[2])
    seen = np.ones(shape, bool) if attn_mask is None else attn_mask
    seen = np.broadcast_to(seen, shape)
    for b, h, n in np.ndindex(q.shape[:3]):
        at = b, h // group
        allowed = [
            m
            for m in range(k.shape[2])
            if seen[b, h, n, m] and not (config.get("causal") and m > n)
        ]
        if not allowed:
            continue
        scores = [
            scale * (q[b, h, n] * k[at][m]).sum() for m in allowed
        ]
        powers = [np.exp(s - max(scores)) for s in scores]
        weights = [power / sum(powers) for power in powers]
        ups = [(g[b, h, n] * v[at][m]).sum() for m in allowed]
        mean = sum(w * up for w, up in zip(weights, ups))
        for m, w, up in zip(allowed, weights, ups):
            y[b, h, n] += w * v[at][m]
            dv[at][m] += w * g[b, h, n]
            dq[b, h, n] += scale * w * (up - mean) * k[at][m]
            dk[at][m] += scale * w * (up - mean) * q[b, h, n]
    return y, {"q": dq, "k": dk, "v": dv}


def multi_head_attention(config, x, g, attn_mask=None, **params):
    return around(linear, config, x, g, attn_mask, params)


def around(layer, config, x, g, attn_mask, params):
    """Attention between two such layers, qkv and out."""

    def projection(name):
        head = f"{name}."
        own = {
            n.removeprefix(head): p
            for n, p in params.items()
            if n.startswith(head)
        }

        def apply(x, g):
            y, grads = layer(config, x, g, **own)
            return y, {
                n if n == "x" else head + n: v for n, v in grads.items()
            }

        return apply if own else None

    parts = projection("qkv"), projection("out")
    return between(config, x, g, attn_mask, *parts)


def between(config, x, g, attn_mask, qkv, out):
    """Attention between two projections; out may be None. Each is a
    function of x and g that gives y and {"x": dx, others}."""
    h = config["num_heads"]
    kv = config.get("num_kv_heads") or h
    width = x.shape[2] // h
    flat = np.zeros((*x.shape[:2], (h + 2 * kv) * width), LONG)
    flat, _ = qkv(x, flat)
    heads = flat.reshape(*x.shape[:2], h + 2 * kv, width).swapaxes(1, 2)
    parts = heads[:, :h], heads[:, h : h + kv], heads[:, h + kv :]
    kept = {n: v for n, v in config.items() if n == "causal"}
    y, _ = attention(kept, np.zeros_like(parts[0]), *parts, attn_mask)
    y, up, grads = y.swapaxes(1, 2).reshape(x.shape), g, {}
    if out is not None:
        y, grads = out(y, g)
        up = grads.pop("x")
    up = up.reshape(*x.shape[:2], h, width).swapaxes(1, 2)
    _, of_heads = attention(kept, up, *parts, attn_mask)
    up = np.concatenate([of_heads[n] for n in "qkv"], axis=1)
    up = up.swapaxes(1, 2).reshape(flat.shape)
    _, of_qkv = qkv(x, up)
    return y, grads | of_qkv


def transformer(config, x, g, **params):
    """Forward through the parts, then back through them."""

    def part(define, prefix, **config):
        own = {
            name.removeprefix(f"{prefix}."): value
            for name, value in params.items()
            if name.startswith(f"{prefix}.")
        }
        return define, prefix, config, own

    def mean(config, x, g):
        y = sum(x[:, n] for n in range(x.shape[1])) / x.shape[1]
        return y, {
            "x": np.repeat(g[:, None], x.shape[1], 1) / x.shape[1]
        }

    def forward(parts, x):
        """[input of each part ..., the result]"""
        seen = [x]
        for define, _, config, own in parts:
            wide = list(own.values())[-1].shape[0] if own else 0
            like = np.zeros((*seen[-1].shape[:-1], wide), LONG)
            if define is mean:
                like = np.zeros_like(seen[-1][:, 0])
            elif define is not linear:
                like = np.zeros_like(seen[-1])
            seen.append(define(config, seen[-1], like, **own)[0])
        return seen

    def backward(parts, seen, g):
        for (define, prefix, config, own), x in zip(
            reversed(parts), reversed(seen[:-1])
        ):
            _, of = define(config, x, g, **own)
            g = of.pop("x")
            grads.update({f"{prefix}.{n}": v for n, v in of.items()})
        return g

    grads, width = {}, config["embed_dim"]
    heads = config["num_heads"]
    stem = [part(linear, "embed")]
    head = [
        part(rms_norm, "norm"),
        part(mean, ""),
        part(linear, "head"),
    ]
    branches = []
    for block in range(config["num_layers"]):
        name = f"blocks.{block}"
        branches += [
            [
                part(rms_norm, f"{name}.norm1"),
                part(
                    multi_head_attention,
                    f"{name}.attention",
                    num_heads=heads,
                ),
            ],
            [
                part(rms_norm, f"{name}.norm2"),
                part(mlp, f"{name}.mlp", scale=1.0),
            ],
        ]
    first = forward(stem, x)
    h = first[-1] + positions(x.shape[1], width)
    passed = []
    for branch in branches:
        passed.append(forward(branch, h))
        h = h + passed[-1][-1]
    last = forward(head, h)
    up = backward(head, last, g)
    for branch, seen in zip(reversed(branches), reversed(passed)):
        up = up + backward(branch, seen, up)
    grads["x"] = backward(stem, first, up)
    return last[-1], grads


def positions(tokens, width):
    where = np.zeros((tokens, width), LONG)
    for n, c in np.ndindex(tokens, width):
        angle = n / LONG(10000) ** (LONG(c - c % 2) / width)
        where[n, c] = np.cos(angle) if c % 2 else np.sin(angle)
    return where


def embedding_bag(config, x, g, weight, bag_mask=None):
    y, dweight = np.zeros_like(g), np.zeros_like(weight)
    for b, bag in enumerate(x):
        counted = [
            row
            for place, row in enumerate(bag)
            if bag_mask is None or bag_mask[b, place]
        ]
        for row in counted:
            y[b] += weight[row] / len(counted)
            dweight[row] += g[b] / len(counted)
    return y, {"weight": dweight}


def text_classifier(config, x, g, bag_mask=None, **params):
    bag = params["bag.weight"]
    own = params["linear.weight"], params["linear.bias"]
    like = np.zeros((len(x), bag.shape[1]), LONG)
    mean, _ = embedding_bag({}, x, like, bag, bag_mask)
    y, grads = linear({}, mean, g, *own)
    _, of_bag = embedding_bag({}, x, grads.pop("x"), bag, bag_mask)
    grads = {f"linear.{n}": value for n, value in grads.items()}
    return y, grads | {"bag.weight": of_bag["weight"]}


def quantize(config, x, scale, zero_point):
    """Codes as far as they go, and which of them are inside."""
    bits, signed = config.get("bits", 8), config.get("signed", True)
    least = -(2 ** (bits - 1)) + config.get("narrow_range", False)
    qmin = least if signed else 0
    qmax = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    axis = config.get("axis")
    code = np.zeros(x.shape, np.int32)
    inside = np.zeros(x.shape, bool)
    for i in np.ndindex(x.shape):
        at = () if axis is None else i[axis]
        nearest = np.rint(x[i] / scale[at]) + zero_point[at]
        code[i] = min(max(nearest, qmin), qmax)
        inside[i] = qmin <= nearest <= qmax
    return code, inside


def codes(config, x, scale, zero_point):
    return quantize(config, x, scale, zero_point)[0], {}


def fake_quantize(config, x, g, scale, zero_point):
    code, inside = quantize(config, x, scale, zero_point)
    y = np.zeros_like(x)
    axis = config.get("axis")
    for i in np.ndindex(x.shape):
        at = () if axis is None else i[axis]
        y[i] = (code[i] - zero_point[at]) * scale[at]
    return y, {"x": g * inside, "scale": np.zeros_like(scale)}


def pact(config, x, g, alpha):
    levels = 2 ** config.get("bits", 4) - 1
    y, dx, dalpha = np.zeros_like(x), np.zeros_like(x), LONG(0)
    for i in np.ndindex(x.shape):
        step = alpha / levels
        y[i] = np.rint(min(max(x[i], 0), alpha) / step) * step
        if 0 <= x[i] < alpha:
            dx[i] = g[i]
        if x[i] >= alpha:
            dalpha += g[i]
    return y, {"x": dx, "alpha": dalpha}


def lsq(config, x, g, step, offset=None):
    bits, signed = config.get("bits", 4), config.get("signed", True)
    qmin = -(2 ** (bits - 1)) if signed else 0
    qmax = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    axis, count = config.get("axis"), config.get("num_elements")
    shared = x.size // step.size if count is None else count
    factor = 1 / np.sqrt(LONG(max(shared, 1) * qmax))
    y, dx = np.zeros_like(x), np.zeros_like(x)
    dstep, doffset = np.zeros_like(step), np.zeros_like(step)
    for i in np.ndindex(x.shape):
        at = () if axis is None else i[axis]
        shift = 0 if offset is None else offset[at]
        u = (x[i] - shift) / step[at]
        y[i] = np.rint(min(max(u, qmin), qmax)) * step[at] + shift
        if qmin < u < qmax:
            dx[i] = g[i]
            dstep[at] += factor * g[i] * (np.rint(u) - u)
        else:
            dstep[at] += factor * g[i] * min(max(u, qmin), qmax)
            doffset[at] += factor * g[i]
    grads = {"x": dx, "step": dstep}
    return y, grads if offset is None else grads | {"offset": doffset}


def observed(kind, x, bits, signed=True):
    """scale, zero point and narrow range of the numbers x, all seen."""
    qmin = -(2 ** (bits - 1)) if signed else 0
    qmax = qmin + 2**bits - 1
    share = LONG(999) / 1000 if kind == "percentile" else 1
    ranked = np.sort(x.reshape(-1))
    rank = int(np.ceil(share * x.size))
    low, high = ranked[-rank], ranked[rank - 1]
    if kind == "absmax":
        scale = max(-low, high) / qmax
    else:
        scale = (max(high, 0) - min(low, 0)) / (qmax - qmin)
    scale = scale if scale > 0 else LONG(1)
    zero = (
        0 if kind == "absmax" else qmin - np.rint(min(low, 0) / scale)
    )
    return scale, np.int32(zero), kind == "absmax"


def on_grid(kind, x, g, bits, axis=None, signed=True, **own):
    """Step, values and gradients of the numbers x by that quantizer."""
    config = dict(bits=bits, signed=signed, axis=axis)
    if kind == "pact":
        y, grads = pact(config, x, g, **own)
        return own["alpha"] / (2**bits - 1), y, grads
    if kind == "lsq":
        every = {} if axis is None else dict(num_elements=x.size)
        y, grads = lsq(config | every, x, g, **own)
        return own["step"], y, grads
    parts = [x] if axis is None else list(x)
    seen = [observed(kind, part, bits, signed) for part in parts]
    shape = () if axis is None else (len(x),)
    scale = np.array([s for s, _, _ in seen], LONG).reshape(shape)
    zero = np.array([z for _, z, _ in seen], np.int32).reshape(shape)
    config |= dict(narrow_range=seen[0][2])
    y, grads = fake_quantize(config, x, g, scale, zero)
    grads.pop("scale")
    return scale, y, grads


def qat_linear(config, x, g, weight, bias=None, **own):
    def side(name, numbers, g, **more):
        bits = config.get(f"{name}_bits", 8)
        head = f"{name}_quantizer."
        mine = {
            n.removeprefix(head): p
            for n, p in own.items()
            if n.startswith(head)
        }
        usual = dict(weight="absmax", input="moving_average")[name]
        kind = config.get(f"{name}_quantizer", usual)
        scale, y, grads = on_grid(
            kind, numbers, g, bits, **more, **mine
        )
        dx = grads.pop("x")
        return scale, y, dx, {head + n: v for n, v in grads.items()}

    x_step, a, _, _ = side("input", x, np.zeros_like(x))
    w_step, w, _, _ = side(
        "weight", weight, np.zeros_like(weight), axis=0
    )
    y, grads = linear({}, a, g, w, bias)
    if bias is not None:
        step = x_step * w_step
        y = y - bias + np.rint(bias / step) * step
    _, _, dx, of_input = side("input", x, grads["x"])
    _, _, dw, of_weight = side(
        "weight", weight, grads["weight"], axis=0
    )
    grads |= dict(x=dx, weight=dw) | of_weight | of_input
    return y, grads


def qat_multi_head_attention(config, x, g, attn_mask=None, **params):
    return around(qat_linear, config, x, g, attn_mask, params)


def trajectory(case, x, target, **params):
    """20 steps by the definitions: losses, and parameters after each."""
    define, loss = DEFINITIONS[case.layer], case.training["loss"]
    lr, rule = case.training["lr"], case.training["rule"]
    states = {n: (LONG(0), LONG(0)) for n in params}
    kept = {"loss": []} | {n: [] for n in params}
    if loss == "squared_error":
        shape = target.shape[1:]
    else:
        shape = x.shape[1], case.inputs["target"].classes
    decay, decay2 = LONG(7) / 8, 1 - LONG(2) ** -10
    for t, (batch, wanted) in enumerate(zip(x, target), start=1):
        y, _ = define(
            case.config, batch, np.zeros(shape, LONG), **params
        )
        if loss == "squared_error":
            kept["loss"].append(((y - wanted) ** 2).sum() / y.size)
            up = 2 * (y - wanted) / y.size
        else:
            chance = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
            picked = np.arange(len(y)), wanted
            kept["loss"].append(-np.log(chance[picked]).sum() / len(y))
            up = chance / len(y)
            up[picked] -= LONG(1) / len(y)
        _, grads = define(case.config, batch, up, **params)
        for name, g in ((n, grads[n]) for n in params):
            m, v = states[name]
            if rule == "sgd":
                step = g
            elif rule == "momentum":
                step = m = decay * m + g
            else:
                m = decay * m + (1 - decay) * g
                v = decay2 * v + (1 - decay2) * g * g
                root = np.sqrt(v / (1 - decay2**t)) + LONG(2) ** -27
                step = m / (1 - decay**t) / root
            states[name] = m, v
            params[name] = params[name] - lr * step
            kept[name].append(params[name])
    return {f"trained.{n}": np.stack(v) for n, v in kept.items()}


DEFINITIONS = {
    "CenteredLayer": centered,
    "Linear": linear,
    "LinearReLU": linear_relu,
    "MLP": mlp,
    "ScaledReLU": scaled_relu,
    "TensorReduction": bilinear,
    "WeightedSum": weighted_sum,
    "ManualLinear": linear,
    "StandardizedConv2d": standardized_conv2d,
    "attention": attention,
    "attention_tiled": attention,
    "MultiHeadAttention": multi_head_attention,
    "TransformerClassifier": transformer,
    "EmbeddingBag": embedding_bag,
    "TextClassifier": text_classifier,
    "TiedMLP": tied_mlp,
    "HalfSpectrum": half_spectrum,
    "RMSNorm": rms_norm,
    "rms_norm": rms_norm,
    "standardized_conv2d": standardized_conv2d,
    "pact": pact,
    "lsq": lsq,
    "quantize": codes,
    "fake_quantize": fake_quantize,
    "PACT": pact,
    "LSQ": lsq,
    "LSQPlus": lsq,
    "QATLinear": qat_linear,
    "QATMultiHeadAttention": qat_multi_head_attention,
}


def test_this_machine_has_extended_precision():
    assert EXTENDED, "np.longdouble is no wider than float64 here"


@EVERY_CASE
def test_against_plain_loops(case):
    fixture = read_fixture(case, read_manifest())
    inputs = {n: long(x) for n, x in group(fixture, "in").items()}
    params = {n: long(p) for n, p in group(fixture, "param").items()}
    if case.training:
        wanted = trajectory(case, **inputs, **params)
    else:
        define = DEFINITIONS[case.layer]
        if "cotangent.y" in fixture:  # codes have none
            inputs["g"] = long(fixture["cotangent.y"])
        y, grads = define(case.config, **inputs, **params)
        wanted = {"out.y": y}
        wanted |= {f"grad.{n}": value for n, value in grads.items()}
    references, sigma = group(fixture, "ref"), group(fixture, "sigma")
    assert wanted.keys() == references.keys()
    for name, exact in wanted.items():
        verdict = judge(references[name], exact, sigma[name], "float64")
        assert verdict.passed, f"{name}: {verdict.detail}"


def long(array):
    return array.astype(LONG) if array.dtype.kind == "f" else array


def tensors(case):
    """The fixture, and its inputs and parameters in float64."""
    fixture = read_fixture(case, read_manifest())
    inputs, params = (
        {
            name: adapter.to_tensor(value, "float64")
            for name, value in group(fixture, kind).items()
        }
        for kind in ("in", "param")
    )
    return fixture, inputs, params


def built_in_attention(inputs, p, config):
    config = dict(config)
    causal = config.pop("causal", False)
    seen = inputs.get("attn_mask")
    if causal and seen is not None:
        seen = seen & torch.tril(torch.ones(seen.shape[-2:]).bool())
        causal = False
    config.pop("block_size", None)
    with sdpa_kernel(SDPBackend.MATH):  # flash: docs/deviations.md
        return functional.scaled_dot_product_attention(
            inputs["q"],
            inputs["k"],
            inputs["v"],
            seen,
            is_causal=causal,
            enable_gqa=True,
            **config,
        )


def built_in_heads(inputs, p, config):
    x = inputs["x"].transpose(0, 1)  # N B C
    seen = inputs.get("attn_mask")
    causal = torch.ones(len(x), len(x)).tril() == 0
    y, _ = functional.multi_head_attention_forward(
        x,
        x,
        x,
        x.shape[2],
        config["num_heads"],
        p["qkv.weight"],
        p.get("qkv.bias"),
        None,
        None,
        False,
        0.0,
        p["out.weight"],
        p.get("out.bias"),
        key_padding_mask=None if seen is None else ~seen[:, 0, 0],
        attn_mask=causal if config.get("causal") else None,
        need_weights=False,
    )
    return y.transpose(0, 1)


def built_in_conv(inputs, p, config):
    weight, eps = p["weight"], config.get("eps", 1e-5)
    var, mean = torch.var_mean(
        weight, (1, 2, 3), correction=0, keepdim=True
    )
    return functional.conv2d(
        inputs["x"],
        (weight - mean) / torch.sqrt(var + eps),
        p["bias"],
        config.get("stride", 1),
        config.get("padding", 0),
    )


def built_in_linear(inputs, p, config):
    return functional.linear(inputs["x"], p["weight"], p.get("bias"))


def built_in_mlp(inputs, p, config):
    one = p["layer1.weight"], p["layer1.bias"]
    h = torch.relu(functional.linear(inputs["x"], *one))
    h = config.get("scale", 0.5) * h
    return functional.linear(h, p["layer2.weight"], p["layer2.bias"])


def built_in_tied_mlp(inputs, p, config):
    two = p | {"layer2.weight": p["layer1.weight"]}
    return built_in_mlp(inputs, two, dict(scale=1.0))


def built_in_bag(inputs, p, config):
    """Flat ids, and where each bag starts: PyTorch's other form."""
    x, counts = inputs["x"], inputs.get("bag_mask")
    if counts is None:
        return functional.embedding_bag(x, p["weight"], mode="mean")
    sizes = counts.sum(axis=1)
    return functional.embedding_bag(
        x[counts], p["weight"], sizes.cumsum(0) - sizes, mode="mean"
    )


BUILT_INS = {
    "EmbeddingBag": built_in_bag,
    "RMSNorm": lambda inputs, p, config: functional.rms_norm(
        inputs["x"],
        p["weight"].shape,
        p["weight"],
        config.get("eps", 1e-6),
    ),
    "Linear": built_in_linear,
    "ManualLinear": built_in_linear,
    "LinearReLU": lambda *args: torch.relu(built_in_linear(*args)),
    "TensorReduction": lambda inputs, p, config: functional.bilinear(
        inputs["x"],
        inputs["x"],
        p["weight"].permute(2, 0, 1).contiguous(),
    ),
    "MLP": built_in_mlp,
    "TiedMLP": built_in_tied_mlp,
    "StandardizedConv2d": built_in_conv,
    "attention": built_in_attention,
    "attention_tiled": built_in_attention,
    "MultiHeadAttention": built_in_heads,
}


def has_a_built_in(case):
    """None for training; torch's own have no empty batch, no groups."""
    if case.layer not in BUILT_INS or case.training:
        return False
    own = {"num_kv_heads", "out_proj"} & set(case.config)
    return not own and "empty_batch" not in case.flags


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if has_a_built_in(case)],
    ids=lambda c: c.id,
)
def test_against_built_ins(case):
    fixture, inputs, params = tensors(case)
    moving = {n: x for n, x in inputs.items() if x.is_floating_point()}
    moving |= params
    for tensor in moving.values():
        tensor.requires_grad_()
    y = BUILT_INS[case.layer](inputs, params, case.config)
    upstream = torch.tensor(fixture["cotangent.y"], dtype=torch.float64)
    grads = torch.autograd.grad(y, list(moving.values()), upstream)
    results = {"out.y": y}
    results |= {f"grad.{n}": g for n, g in zip(moving, grads)}
    for name, value in results.items():
        reference = fixture[f"ref.{name}"]
        sigma = fixture[f"sigma.{name}"]
        value = value.detach().numpy()
        verdict = judge(value, reference, sigma, "float64")
        assert verdict.passed, f"{name}: {verdict.detail}"


FIRST_ORDER = {"attention_tiled"}
# their gradient is not that of the function: see test_quantize.py
STRAIGHT_THROUGH = {
    "fake_quantize",
    "quantize",
    "PACT",
    "LSQ",
    "LSQPlus",
    "QATLinear",
    "QATMultiHeadAttention",
}


def differentiable(case):
    """The layer as a function of tensors, and these tensors."""
    fixture, inputs, _ = tensors(case)
    params = group(fixture, "param")
    built = adapter.build(case.layer, case.config, params, "float64")
    fixed = {
        n: x for n, x in inputs.items() if not x.is_floating_point()
    }
    names = [n for n in inputs if n not in fixed]
    params = {n: p.detach().clone() for n, p in built.params.items()}

    def compute(*values):
        given = dict(zip(names, values)) | fixed
        if not params:
            return built.call(**given)
        values = dict(zip(params, values[len(names) :]))
        return torch.func.functional_call(built.call, values, (), given)

    moving = [inputs[n] for n in names] + list(params.values())
    return compute, [tensor.requires_grad_() for tensor in moving]


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in CASES
        if {"basic", "rank_3", "grouped", "stride"} & case.flags
        and case.layer not in STRAIGHT_THROUGH
    ],
    ids=lambda c: c.id,
)
def test_gradcheck(case):
    """Finite differences, first and second order, in float64."""
    compute, moving = differentiable(case)
    # fast: along random directions instead of every single axis
    many = sum(tensor.numel() for tensor in moving) > 100
    assert gradcheck(compute, moving, fast_mode=many)
    tiled = case.config.get("attention") in FIRST_ORDER
    if not (tiled or case.layer in FIRST_ORDER):
        assert gradgradcheck(compute, moving, fast_mode=many)


@pytest.mark.parametrize("layer", sorted(FIRST_ORDER))
def test_second_order_is_refused_rather_than_wrong(layer):
    case = next(c for c in CASES if c.id == f"{layer}-basic")
    compute, moving = differentiable(case)
    (dq,) = torch.autograd.grad(
        compute(*moving).square().sum(), moving[:1], create_graph=True
    )
    with pytest.raises(NotImplementedError, match="first order only"):
        dq.square().sum().backward()

"""Attention by implementations that nobody here wrote, same budgets.

JAX: jax.nn.dot_product_attention in float32 and, as its softmax is
float32 in every precision, Flax Linen's in float64. TensorFlow: Keras'
dot_product_attention on the cases of attention, MultiHeadAttention and
GroupQueryAttention on those of the layer. Tools: the operator Attention
of ONNX opset 23 by onnx's own evaluator, forward only.

They agree on boolean masks, on groups, and on causal where N != M:
query n sees keys m <= n. They differ in a row without any key: ONNX
gives 0, as the pages do, the others the mean of all values, and its
gradient. Such rows of y are not compared with those others, and get no
upstream gradient; test_rows_without_a_key says what they hold instead.
LACKS names what else is left out: flax 0.12.8, keras 3.15.1 with
TensorFlow 2.21.0, onnx 1.23.2.
"""

import contextlib
import math

import numpy as np
import pytest

from shared_tests.cases import CASES
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.run import group
from shared_tests.verdict import judge

ENVIRONMENTS = ("jax", "tf", "tools")


# JAX: call(config, q, k, v, attn_mask) on B H N D
def jax_nn(config, q, k, v, attn_mask=None):
    import jax

    y = jax.nn.dot_product_attention(
        *(x.swapaxes(1, 2) for x in (q, k, v)),  # B N H D
        mask=attn_mask,
        is_causal=config.get("causal", False),
        scale=config.get("scale"),
    )
    return y.swapaxes(1, 2)


def linen(config, q, k, v, attn_mask=None):
    import jax.numpy as jnp
    from flax import linen

    options = dict(config)
    if options.pop("causal", False):
        causal = jnp.tri(q.shape[2], k.shape[2], dtype=bool)
        attn_mask = causal if attn_mask is None else attn_mask & causal
    y = linen.dot_product_attention(
        *(x.swapaxes(1, 2) for x in (q, k, v)),
        mask=attn_mask,
        **options,
    )
    return y.swapaxes(1, 2)


def run_jax(call, config, inputs, params, g, precision):
    import jax

    from jax_impl.adapter import to_numpy, to_tensor

    xs = {n: to_tensor(x, precision) for n, x in inputs.items()}
    fixed = {n: xs.pop(n) for n in ("attn_mask",) if n in xs}

    @jax.jit
    def forward_backward(xs, g):
        y, pull = jax.vjp(lambda xs: call(config, **xs, **fixed), xs)
        return y, pull(g)[0]

    y, grads = forward_backward(xs, to_tensor(g, precision))
    named = {f"grad.{n}": to_numpy(x) for n, x in grads.items()}
    return {"out.y": to_numpy(y)} | named


# TensorFlow
def keras_ops(config, q, k, v, attn_mask=None):
    import tensorflow as tf

    def swap(x):
        return tf.transpose(x, (0, 2, 1, 3))

    if attn_mask is not None:
        shape = (q.shape[0], q.shape[1], q.shape[2], k.shape[2])
        attn_mask = tf.broadcast_to(attn_mask, shape)
    y = tf.keras.ops.dot_product_attention(
        swap(q),
        swap(k),
        swap(v),
        mask=attn_mask,
        is_causal=config.get("causal", False),
        scale=config.get("scale"),
    )
    return swap(y)


def keras_layer(config, x, attn_mask=None, **params):
    """Their kernels are (C, H, D), and (H, D, C) on the way out."""
    import tensorflow as tf

    c, h = config["embed_dim"], config["num_heads"]
    g, d = config.get("num_kv_heads", h), c // h
    bias = config.get("bias", True)
    options = dict(use_bias=bias, dtype=x.dtype.name)
    layers = tf.keras.layers
    if g == h:
        layer = layers.MultiHeadAttention(h, d, **options)
    else:
        layer = layers.GroupQueryAttention(d, h, g, **options)
    layer.build(x.shape, x.shape)
    rows = [h * d, g * d, g * d]
    kernels = [
        tf.reshape(tf.transpose(part), (c, -1, d))
        for part in tf.split(params["qkv.weight"], rows)
    ]
    out = params.get("out.weight", tf.eye(c, dtype=x.dtype))
    kernels.append(tf.reshape(tf.transpose(out), (h, d, c)))
    values = kernels
    if bias:
        biases = [
            tf.reshape(part, (-1, d))
            for part in tf.split(params["qkv.bias"], rows)
        ]
        biases.append(params.get("out.bias", tf.zeros(c, x.dtype)))
        values = [p for pair in zip(kernels, biases) for p in pair]
    y, _ = layer.stateless_call(
        values,
        layer.non_trainable_variables,
        x,
        x,
        attention_mask=None if attn_mask is None else attn_mask[:, 0],
        use_causal_mask=config.get("causal", False),
    )
    return y


def run_tf(call, config, inputs, params, g, precision):
    import tensorflow as tf

    from tf_impl.adapter import to_numpy, to_tensor

    xs = inputs | params
    xs = {n: to_tensor(x, precision) for n, x in xs.items()}
    moving = {n: x for n, x in xs.items() if x.dtype.is_floating}
    with tf.GradientTape() as tape:
        tape.watch(moving)
        y = call(config, **xs)
    grads = tape.gradient(y, moving, to_tensor(g, precision))
    named = {f"grad.{n}": to_numpy(x) for n, x in grads.items()}
    return {"out.y": to_numpy(y)} | named


# ONNX
def described(name, array):
    from onnx import helper

    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, kind, array.shape)


def onnx_23(config, q, k, v, attn_mask=None):
    """A mask shorter than the keys would be filled up with False."""
    from onnx import checker, helper
    from onnx.reference import ReferenceEvaluator

    feeds = dict(q=q, k=k, v=v)
    if attn_mask is not None:
        shape = (*attn_mask.shape[:-1], k.shape[2])
        feeds["attn_mask"] = np.broadcast_to(attn_mask, shape)
    options = {"is_causal": int(config.get("causal", False))}
    options |= {n: config[n] for n in ("scale",) if n in config}
    node = helper.make_node("Attention", list(feeds), ["y"], **options)
    inputs = [described(n, x) for n, x in feeds.items()]
    graph = helper.make_graph(
        [node], "attention", inputs, [described("y", q)]
    )
    opset = helper.make_opsetid("", 23)
    model = helper.make_model(graph, opset_imports=[opset])
    checker.check_model(model)
    (y,) = ReferenceEvaluator(model).run(None, feeds)
    return y


def run_onnx(call, config, inputs, params, g, precision):
    xs = {
        n: x.astype(precision) if x.dtype.kind == "f" else x
        for n, x in inputs.items()
    }
    return {"out.y": call(config, **xs)}


RUN = {"jax": run_jax, "tf": run_tf, "tools": run_onnx}
BOTH = ("float64", "float32")
# by whom, on the cases of which layer, in which precisions
OTHERS = {
    "jax": [
        (jax_nn, "attention", ("float32",)),
        (linen, "attention", ("float64",)),
    ],
    "tf": [
        (keras_ops, "attention", BOTH),
        (keras_layer, "MultiHeadAttention", BOTH),
    ],
    "tools": [(onnx_23, "attention", BOTH)],
}
ZERO_WITHOUT_A_KEY = (onnx_23,)


def scale_of(case):
    """The scale that a case ends up with."""
    config = case.config
    if case.layer == "attention":
        width = case.inputs["q"].shape[3]
    else:
        width = config["embed_dim"] // config["num_heads"]
    return config.get("scale", 1 / math.sqrt(width))


def names_a_scale(case, precision):
    return "scale" in case.config


def is_grouped(case, precision):
    return "grouped" in case.flags


def has_one_kv_head(case, precision):
    return case.name == "one_kv_head"


def scale_is_rounded(case, precision):
    """A scale that is no float32 number, in float64."""
    scale = scale_of(case)
    return precision == "float64" and float(np.float32(scale)) != scale


def root_is_rounded(case, precision):
    """As above, for an attribute whose root is taken in float32."""
    if precision == "float32" or "scale" not in case.config:
        return False
    root = np.sqrt(np.float32(scale_of(case)))
    return float(root) ** 2 != scale_of(case)


# who, which cases, and the error; without one the numbers are wrong
LACKS = [
    (linen, names_a_scale, (TypeError, "argument 'scale'")),
    (linen, is_grouped, (AssertionError, "num_heads must match")),
    (keras_ops, has_one_kv_head, (Exception, "Expected dimension 3")),
    (keras_ops, scale_is_rounded, None),
    (keras_layer, scale_is_rounded, None),
    (onnx_23, root_is_rounded, None),
]


def lack(call, case, precision):
    """[the error or None] for a case that is left out, else []."""
    return [
        error
        for who, which, error in LACKS
        if who is call and which(case, precision)
    ][:1]


def chosen(framework):
    """(call, case, precision) of every other implementation here."""
    return [
        (call, case, precision)
        for call, layer, precisions in OTHERS[framework]
        for case in CASES
        if case.layer == layer and not (case.like or case.training)
        for precision in precisions
    ]


def compared(framework):
    return [row for row in chosen(framework) if not lack(*row)]


def left_out(framework):
    rows = [(*row, *lack(*row)) for row in chosen(framework)]
    rows = [row for row in rows if len(row) == 4]
    if framework == "jax":  # the softmax: one case for all of them
        basic = next(c for c in CASES if c.id == "attention-basic")
        rows.append((jax_nn, basic, "float64", None))
    return rows


def without_a_key(framework):
    return [
        (call, precision)
        for call, layer, precisions in OTHERS[framework]
        for precision in precisions
        if layer == "attention"
    ]


ROWS = {
    "test_others_agree": compared,
    "test_left_out_because_it_fails": left_out,
    "test_rows_without_a_key": without_a_key,
}


def pytest_generate_tests(metafunc):
    here = metafunc.config.getoption("--framework")
    if metafunc.function.__name__ in ROWS:
        rows = ROWS[metafunc.function.__name__](here)
        names = ["-".join(map(label, row[:3])) for row in rows]
        metafunc.parametrize("row", rows, ids=names)


def label(value):
    return getattr(value, "id", getattr(value, "__name__", value))


def has_a_key(config, inputs):
    """(B, H, N): may this query attend to any key at all?"""
    q, k = inputs["q"], inputs["k"]
    n, m = q.shape[2], k.shape[2]
    allowed = inputs.get("attn_mask", np.True_)
    if config.get("causal"):
        allowed = allowed & np.tri(n, m, dtype=bool)
    return np.broadcast_to(allowed, (*q.shape[:3], m)).any(axis=3)


def verdicts(framework, call, case, precision):
    """{array: Verdict}; of y only the rows that have a key."""
    fixture = read_fixture(case, read_manifest())
    inputs, g = group(fixture, "in"), fixture["cotangent.y"]
    rows = np.ones(g.shape[:-1], bool)
    if case.layer == "attention" and call not in ZERO_WITHOUT_A_KEY:
        rows = has_a_key(case.config, inputs)
    if "non_contiguous" in case.flags:
        inputs = {n: np.asfortranarray(x) for n, x in inputs.items()}
    params = group(fixture, "param")
    results = RUN[framework](
        call,
        case.config,
        inputs,
        params,
        g * rows[..., None],
        precision,
    )
    references, sigma = group(fixture, "ref"), group(fixture, "sigma")
    forward_only = framework == "tools"
    want = {"out.y"} if forward_only else references.keys()
    assert results.keys() == want
    assert results["out.y"].shape == g.shape
    for arrays in (results, references, sigma):
        arrays["out.y"] = arrays["out.y"][rows]
    return {
        n: judge(x, references[n], sigma[n], precision)
        for n, x in results.items()
    }


def test_others_agree(framework, row):
    found = verdicts(framework, *row)
    assert not {n: v.detail for n, v in found.items() if not v.passed}


def test_left_out_because_it_fails(framework, row):
    """A new version that can do it makes this fail: then compare it."""
    *row, error = row
    refused = contextlib.nullcontext()
    if error:
        refused = pytest.raises(error[0], match=error[1])
    with refused:
        found = verdicts(framework, *row)
        assert max(v.ratio for v in found.values()) > 1e6


def test_rows_without_a_key(framework, row):
    """The mean of all values and its gradient, as with a scale of 0."""
    call, precision = row
    case = next(c for c in CASES if c.id == "attention-scale_0")
    fixture = read_fixture(case, read_manifest())
    inputs = group(fixture, "in")
    inputs["attn_mask"] = np.zeros((2, 1, 5, 7), bool)
    g = fixture["cotangent.y"]
    results = RUN[framework](call, {}, inputs, {}, g, precision)
    if call in ZERO_WITHOUT_A_KEY:
        assert not results["out.y"].any()
        return
    for name, reference in group(fixture, "ref").items():
        sigma = fixture[f"sigma.{name}"]
        verdict = judge(results[name], reference, sigma, precision)
        assert verdict.passed, f"{name}: {verdict.detail}"

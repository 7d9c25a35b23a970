"""What only one side has is refused by its name, never dropped.

Each row is a layer, the words of the error, and what is wrong with it.
"""

import functools
import importlib

import pytest

from shared_tests.layers.setups import assign

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")


def of_pytorch():
    import torch
    from torch import nn
    from torch.nn.utils import parametrizations

    def heads(**options):
        options = dict(batch_first=True) | options
        return nn.MultiheadAttention(6, 2, **options)

    def block(norm=nn.RMSNorm, width=24, **options):
        options = dict(norm_first=True, batch_first=True) | options
        options = dict(dropout=0.0) | options
        made = nn.TransformerEncoderLayer(6, 2, width, **options)
        made.norm1, made.norm2 = norm(6), norm(6)
        return made

    normed = parametrizations.weight_norm(nn.Linear(3, 2))
    return [
        (heads(dropout=0.1), "dropout expected 0.0, got 0.1"),
        (heads(batch_first=False), "batch_first expected True, got F"),
        (heads(add_bias_kv=True), "bias_k expected none, got .1, 1, 6"),
        (heads(add_zero_attn=True), "add_zero_attn expected False"),
        (heads(kdim=5), "kdim expected 6, got 5"),
        (heads(vdim=5), "vdim expected 6, got 5"),
        (
            nn.RMSNorm((2, 3)),
            "normalized_shape expected .3,., got .2, 3",
        ),
        (nn.RMSNorm(3, elementwise_affine=False), "elementwise_affine"),
        (nn.Bilinear(3, 3, 2), "bias expected none, got .2,."),
        (nn.Bilinear(3, 4, 2, bias=False), "in2_features expected 3"),
        (block(nn.LayerNorm), "norm1.type expected RMSNorm, got Layer"),
        (block(norm_first=False), "norm_first expected True"),
        (block(width=12), "linear1.out_features expected 24, got 12"),
        (block(dropout=0.1), "dropout.p expected 0.0, got 0.1"),
        (block(activation="gelu"), "activation expected .*relu"),
        (block(bias=False), "linear1.bias expected"),
        (normed, "from_builtin expected one of .*ParametrizedLinear"),
        (nn.Conv2d(3, 2, 3), "from_builtin expected one of .*Conv2d"),
        (torch.ones(2), "from_builtin expected one of .*got Tensor"),
    ]


def of_jax():
    import jax.numpy as jnp
    from flax import nnx

    def layer(kind, *sizes, **options):
        """Without numbers, which take long to draw."""
        return nnx.eval_shape(
            lambda: kind(*sizes, rngs=nnx.Rngs(0), **options)
        )

    def heads(**options):
        options = dict(decode=False) | options
        return layer(nnx.MultiHeadAttention, 2, 6, **options)

    linear = functools.partial(layer, nnx.Linear, 3, 2)
    norm = functools.partial(layer, nnx.RMSNorm, 3)

    return [
        (
            heads(dropout_rate=0.1),
            "dropout_rate expected None, got 0.1",
        ),
        (heads(qkv_features=8), "qkv_features expected 6, got 8"),
        (heads(out_features=4), "out_features expected 6, got 4"),
        (heads(in_kv_features=4), "in_kv_features expected 6, got 4"),
        (heads(normalize_qk=True), "normalize_qk expected None, got T"),
        (heads(decode=True), "decode expected None, got True"),
        (heads(attention_fn=max), "attention_fn expected"),
        (
            heads(dtype=jnp.bfloat16),
            "dtype expected None, got .*bfloat",
        ),
        (
            linear(dtype=jnp.bfloat16),
            "dtype expected None, got .*bfloa",
        ),
        (
            linear(precision="highest"),
            "precision expected None, got hi",
        ),
        (norm(use_scale=False), "use_scale expected True, got None"),
        (
            norm(reduction_axes=(0, -1)),
            "reduction_axes expected -1, got",
        ),
        (norm(axis_name="batch"), "axis_name expected None, got batch"),
        (
            layer(nnx.Conv, 3, 2, (3, 3)),
            "from_builtin expected one of .*got Conv",
        ),
        (jnp.ones(2), "from_builtin expected one of .*got ArrayImpl"),
    ]


def of_tf():
    from keras import layers, ops

    def built(layer, *shape):
        layer.build(*[shape] * (2 if "ttention" in layer.name else 1))
        return layer

    def dense(**options):
        return built(layers.Dense(2, **options), None, 3)

    def einsum(equation, shape, **options):
        made = layers.EinsumDense(equation, shape, **options)
        return built(made, None, 5, 3)

    def heads(**options):
        options = dict(num_heads=2, key_dim=3) | options
        made = layers.MultiHeadAttention(**options)
        return built(made, None, 5, 6)

    return [
        (layers.Dense(2), "dense.* has no weights yet: call it"),
        (
            dense(activation="relu"),
            "activation expected linear, got relu",
        ),
        (dense(kernel_constraint="non_neg"), "kernel_constraint expec"),
        (
            dense(bias_regularizer="l2"),
            "bias_regularizer expected None",
        ),
        (heads(dropout=0.1), "dropout expected 0.0, got 0.1"),
        (heads(key_dim=4), "key_dim expected 3, got 4"),
        (heads(value_dim=4), "value_dim expected 3, got 4"),
        (heads(output_shape=4), "output_shape expected None, got .4,"),
        (heads(use_gate=True), "use_gate expected False, got True"),
        (
            heads(sliding_window=2),
            "sliding_window expected None, got 2",
        ),
        (
            einsum("abc,cd->adb", (2, 5)),
            "equation expected None, got a",
        ),
        (
            einsum("abc,cde->abde", (5, 2, 4)),
            "equation expected None, g",
        ),
        (
            einsum("abc,cd->abd", (5, 2), bias_axes="bd"),
            "bias_axes expected",
        ),
        (
            built(layers.RMSNormalization(axis=1), None, 5, 3),
            "axis expected .-1., got .*1",
        ),
        (
            built(layers.Conv2D(2, 3), None, 7, 7, 3),
            "from_builtin expected one of .*got Conv2D",
        ),
        (ops.ones(2), "from_builtin expected one of .*got EagerTensor"),
    ]


def of_mxnet():
    from mxnet import np
    from mxnet.gluon import nn

    def dense(**options):
        made = nn.Dense(2, **dict(flatten=False, in_units=3) | options)
        made.initialize()
        return made

    conv = nn.Conv2D(2, 3, in_channels=3)
    conv.initialize()
    return [
        (dense(flatten=True), "_flatten expected False, got True"),
        (dense(activation="relu"), "act expected None, got relu"),
        (dense(in_units=0), "dense.* has no weights yet: call it"),
        (conv, "from_builtin expected one of Dense, got Conv2D"),
        (np.ones(2), "from_builtin expected one of Dense, got ndarray"),
    ]


BUILTIN = dict(pytorch=of_pytorch, jax=of_jax, tf=of_tf, mxnet=of_mxnet)


def test_options_that_ours_has_not(framework, package):
    wrong = []
    for builtin, words in BUILTIN[framework]():
        refused = (TypeError, ValueError)
        try:
            with pytest.raises(refused, match=words):
                package.from_builtin(builtin)
        except (Exception, pytest.fail.Exception) as error:
            wrong.append(f"{words}: {type(error).__name__} {error}")
    assert not wrong, "\n".join(wrong)


ODD = {
    "pytorch": [
        (dict(causal=True), "causal expected False, got True"),
        (dict(num_kv_heads=1), "num_kv_heads expected 2, got 1"),
        (dict(out_proj=False), "out.* expected"),
    ],
    "jax": [
        (dict(causal=True), "causal expected None, got True"),
        (
            dict(out_proj=False),
            "out.type expected Linear, got none",
        ),
    ],
    "tf": [
        (dict(causal=True), "causal expected False, got True"),
        (dict(num_kv_heads=1), "num_kv_heads expected 2, got 1"),
        (dict(out_proj=False), "out expected Linear, got NoneType"),
    ],
}


def test_options_that_they_have_not(framework, package, start):
    def make(*layer):
        if framework != "jax":
            return start(*layer)
        from flax import nnx  # without numbers

        return nnx.eval_shape(lambda: start(*layer))

    for config, words in ODD.get(framework, []):
        sizes = dict(embed_dim=6, num_heads=2)
        layer = make("MultiHeadAttention", sizes | config)
        with pytest.raises(ValueError, match=words):
            package.to_builtin(layer)
    other = importlib.import_module(f"{framework}_impl.attention_tiled")
    if framework in ODD:
        layer.attention = other.attention_tiled
        with pytest.raises(
            ValueError, match=r"attention expected .*att"
        ):
            package.to_builtin(layer)


def test_layers_that_they_have_not(framework, package, start):
    with pytest.raises(
        TypeError, match=r"a layer of ours, .*got Center"
    ):
        package.to_builtin(start("CenteredLayer", {}))
    sizes = dict(in_features=3, out_features=2)
    layer = start("Linear", sizes)
    with pytest.raises(
        ValueError, match=r"kind expected one of .*Other"
    ):
        package.to_builtin(layer, "Other")
    with pytest.raises(TypeError, match=r"a layer of ours, .*got"):
        package.to_builtin(package.to_builtin(layer))
    prepared = package.prepare(start("Linear", sizes), {"*": {}})
    with pytest.raises(TypeError, match="got QATLinear"):
        package.to_builtin(prepared)
    with pytest.raises(TypeError, match="from_builtin expected one of"):
        package.from_builtin(layer)


def test_the_layer_given_stays_as_it_is(
    framework, package, adapter, start, numbers
):
    """The new layer has copies."""
    layer = start("Linear", dict(in_features=3, out_features=2))
    arrays = importlib.import_module(
        f"{framework}_impl.builtins.arrays"
    )

    def numbers_of(found):
        read = arrays.read(found).items()
        return {n: adapter.to_numpy(a).tobytes() for n, a in read}

    before = numbers(layer)
    builtin = package.to_builtin(layer)
    ours, kept = package.from_builtin(builtin), numbers_of(builtin)
    for changed in (ours, builtin):
        assert numbers_of(builtin) == kept
        for name, parameter in arrays.named(changed).items():
            # in place: an array that is no copy shows it
            assign(parameter, 0 * arrays.read(changed)[name])
    assert numbers_of(builtin) != kept
    assert not any(a.any() for a in numbers(ours).values())
    for name, array in numbers(layer).items():
        assert array.any() or name == "bias"
        assert array.tobytes() == before[name].tobytes()

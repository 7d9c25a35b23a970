"""How a built-in layer is called to do what ours does, in each framework.

wrap(framework, kind, builtin, causal) -> (call, parameters): call takes
what our layer takes, x and attn_mask, with our axes and our meaning of a
mask; parameters are what an adapter asks gradients of, by their names in
LAYOUTS.
"""

import importlib


def wrap(framework, kind, builtin, causal=False):
    arrays = importlib.import_module(
        f"{framework}_impl.builtins.arrays"
    )
    call = WRAPS[framework](kind, builtin, causal)
    return call, arrays.named(builtin)


def of_pytorch(kind, builtin, causal):
    import torch

    def call(x, attn_mask=None):
        if kind == "Bilinear":
            return builtin(x, x)
        if kind != "MultiheadAttention":
            return builtin(x)
        tokens = x.shape[1]
        # True may not attend, there
        options = dict(need_weights=False)
        if attn_mask is not None:  # B 1 1 M: keys that are padding
            options["key_padding_mask"] = ~attn_mask[:, 0, 0]
        if causal:
            later = torch.ones(tokens, tokens, dtype=bool).triu(1)
            options["attn_mask"] = later
        return builtin(x, x, x, **options)[0]

    return call


def of_jax(kind, builtin, causal):
    import jax.numpy as jnp
    from flax import nnx

    class Wrapped(nnx.Module):
        """The adapter clones a Module and gives it parameters."""

        def __init__(self):
            self.builtin = builtin

        def __call__(self, x, attn_mask=None):
            if kind == "Conv":
                x = jnp.moveaxis(x, 1, -1)
                return jnp.moveaxis(self.builtin(x), -1, 1)
            if kind != "MultiHeadAttention":
                return self.builtin(x)
            if causal:
                attn_mask = jnp.tril(jnp.ones((x.shape[1],) * 2, bool))
            return self.builtin(x, mask=attn_mask)

    return Wrapped()


def of_tf(kind, builtin, causal):
    import tensorflow as tf

    def call(x, attn_mask=None):
        if kind == "Conv2D":
            y = builtin(tf.transpose(x, (0, 2, 3, 1)))
            return tf.transpose(y, (0, 3, 1, 2))
        if not kind.endswith("Attention"):
            return builtin(x)
        return builtin(
            x, x, attention_mask=attn_mask, use_causal_mask=causal
        )

    return call


def of_mxnet(kind, builtin, causal):
    return lambda x: builtin(x)


WRAPS = dict(pytorch=of_pytorch, jax=of_jax, tf=of_tf, mxnet=of_mxnet)

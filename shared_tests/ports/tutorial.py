"""Part "tutorial": a port by the public JAX tutorial, written anew.

The tutorial "Porting a PyTorch model to JAX" of the JAX AI stack ports a
vision transformer of torchvision to flax.nnx, checks its parts with a
tolerance of 1e-3 and the whole with 1e-1, and calls `nnx.gelu`, which is
the tanh approximation unless told otherwise, where PyTorch's is exact.
This is a port of the same kind, from its description: patches by a
convolution, a class token, pre-norm blocks, a head. `approximate` says
which gelu: "as described" has nnx's default, "repaired" the exact one.
"""

import numpy as np

from shared_tests.ports import inputs, measuring, to_jax, torch_models

NAMES = ("vision_transformer",)
SEEDS = (0, 1, 2)
FACTORS = (1.0, 6.0)


def dense(linear, x):
    return x @ to_jax.array(linear.weight).T + to_jax.array(linear.bias)


def norm(module, x):
    return to_jax.nnx_layer_norm(module, x, use_fast_variance=False)


class Wrapped:
    """What to_jax.py calls a module with an attention inside."""

    def __init__(self, layer):
        self.layer = layer


def block(module, x, approximate):
    from flax import nnx

    attended = Wrapped(module.self_attention)
    x = x + to_jax.nnx_attention(attended, norm(module.ln_1, x))
    first, last = module.mlp[0], module.mlp[3]
    hidden = dense(first, norm(module.ln_2, x))
    hidden = nnx.gelu(hidden, approximate=approximate)
    return x + dense(last, hidden)


def port(model, images, approximate):
    """{"out.tokens": ..., "out.block_n": ..., "out.y": logits}"""
    import jax
    import jax.numpy as jnp

    images = jnp.asarray(images).transpose(0, 2, 3, 1)
    patch = model.patch_size
    x = jax.lax.conv_general_dilated(
        images,
        to_jax.kernel(model.conv_proj),
        window_strides=(patch, patch),
        padding="VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    x = x + to_jax.array(model.conv_proj.bias)
    x = x.reshape(len(x), -1, x.shape[-1])
    token = to_jax.array(model.class_token)
    token = jnp.broadcast_to(token, (len(x), *token.shape[1:]))
    x = jnp.concatenate([token, x], axis=1)
    x = x + to_jax.array(model.encoder.pos_embedding)
    found = {"out.tokens": x}
    for number, module in enumerate(model.encoder.layers):
        x = block(module, x, approximate)
        found[f"out.block_{number}"] = x
    x = norm(model.encoder.ln, x)
    found["out.y"] = dense(model.heads.head, x[:, 0])
    return {k: np.asarray(v) for k, v in found.items()}


def torch_results(model, images, dtype):
    """The same arrays of the PyTorch model, taken by hooks."""
    import torch

    from shared_tests.ports import hugging

    found, encoder = {}, model.encoder

    def keep(name):
        def hook(module, given, result):
            found[name] = result

        return hook

    hooks = [encoder.dropout.register_forward_hook(keep("out.tokens"))]
    for number, layer in enumerate(encoder.layers):
        name = f"out.block_{number}"
        hooks.append(layer.register_forward_hook(keep(name)))
    with hugging.default_dtype(dtype), torch.no_grad():
        found["out.y"] = model(torch.tensor(images, dtype=dtype))
    for hook in hooks:
        hook.remove()
    return {k: v.numpy().copy() for k, v in found.items()}


def rows_of(seed, factor):
    import torch
    from torchvision import models

    from shared_tests.ports import hugging

    torch.manual_seed(seed)
    model = torch_models.vision_transformer(models).eval()
    hugging.spread(model, seed, factor)
    rng = np.random.default_rng(seed)
    images = inputs.image(rng)["pixel_values"]
    wide = measuring.double(model)
    wanted, sigma = measuring.estimate(
        lambda: torch_results(wide, images, torch.float64), seed
    )
    ports = {
        "torch": lambda: torch_results(model, images, torch.float32),
        "as described": lambda: port(model, images, True),
        "repaired": lambda: port(model, images, False),
    }
    for name, compute in ports.items():
        values = compute()
        found, missing = measuring.compared(values, wanted, sigma)
        error = np.abs(values["out.y"] - wanted["out.y"]).max()
        row = dict(port=name, seed=seed, factor=factor, arrays=found)
        row["passes 1e-1"] = bool(error <= 0.1)
        yield row | dict(missing=missing)


def run(name):
    return [
        row
        for factor in FACTORS
        for seed in SEEDS
        for row in rows_of(seed, factor)
    ]

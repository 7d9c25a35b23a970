"""Part "layers": torch.nn's layers against flax.nnx's and Keras'.

Forward, the gradient of the input, and for batch norm three steps of
training with the statistics that they leave. Keras 3 runs on JAX, so
that one jax.vjp serves both. Three kinds of input: with mean 0, and for
the norms with mean 10 and 100, where squares cancel.
"""

from typing import NamedTuple

import numpy as np

from shared_tests.ports import measuring, models, to_jax
from shared_tests.ports.inputs import floats

SEEDS = range(2)
INPUT = (  # torch's own layers call their argument so
    *("layer_norm", "group_norm"),
    *("convolution", "strided", "transposed"),
)
STEPS = 3


class Layer(NamedTuple):
    make: str  # a function of this file, which makes torch's
    shape: tuple
    ports: dict  # {port: function of to_jax.py: (module, x) to a nest}
    mean: float = 0.0
    training: bool = False


def layer_norm():
    from torch import nn

    return nn.LayerNorm(64)


def rms_norm():
    from torch import nn

    return nn.RMSNorm(64, eps=1e-6)


def group_norm():
    from torch import nn

    return nn.GroupNorm(2, 8)


def several_steps():
    """Batch norm in training, called once for each x[n]."""
    import torch
    from torch import nn

    class Steps(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(6)

        def forward(self, x):
            y = torch.stack([self.norm(part) for part in x])
            norm = self.norm
            return dict(
                y=y, mean=norm.running_mean, var=norm.running_var
            )

    return Steps()


def first_of(kind, *sizes, **options):
    """A layer of which only the first result counts."""
    from torch import nn

    class First(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = getattr(nn, kind)(*sizes, **options)

        def forward(self, x):
            given = [x] * (3 if kind == "MultiheadAttention" else 1)
            return self.layer(*given)[0]

    return First()


def attention():
    return first_of("MultiheadAttention", 32, 4, batch_first=True)


def lstm():
    return first_of("LSTM", 8, 12, batch_first=True)


def gru():
    return first_of("GRU", 8, 12, batch_first=True)


def gru_no_bias():
    return first_of("GRU", 8, 12, batch_first=True, bias=False)


def convolution():
    from torch import nn

    return nn.Conv2d(5, 7, 3, padding="same")


def strided():
    """SAME of XLA pads 9 rows for stride 2 by one on each side."""
    from torch import nn

    return nn.Conv2d(5, 7, 3, stride=2, padding=1)


def transposed():
    from torch import nn

    return nn.ConvTranspose2d(5, 7, 2, stride=2)


NORM_PORTS = {
    "nnx": to_jax.nnx_layer_norm,
    "nnx, default epsilon": to_jax.nnx_layer_norm_default,
    "nnx, use_fast_variance=False": to_jax.nnx_layer_norm_slow,
    "keras": to_jax.keras_layer_norm,
    "keras, default epsilon": to_jax.keras_layer_norm_default,
}
BATCH_PORTS = {
    "nnx": to_jax.nnx_batch_norm,
    "nnx, use_fast_variance=False": to_jax.nnx_batch_norm_slow,
    "keras": to_jax.keras_batch_norm,
}
CONVOLUTIONS = {
    "nnx": to_jax.nnx_convolution,
    "keras": to_jax.keras_convolution,
}
LAYERS = {
    f"{name}_mean_{mean}": Layer(make, shape, ports, mean, training)
    for name, make, shape, ports, training in (
        ("layer_norm", "layer_norm", (4, 9, 64), NORM_PORTS, False),
        (
            *("group_norm", "group_norm", (4, 8, 7, 7)),
            *({"nnx": to_jax.nnx_group_norm}, False),
        ),
        (
            *("batch_norm", "several_steps", (STEPS, 4, 6, 7, 7)),
            *(BATCH_PORTS, True),
        ),
    )
    for mean in (0, 10, 100)
} | {
    "rms_norm": Layer(
        "rms_norm", (4, 9, 64), {"nnx": to_jax.nnx_rms_norm}
    ),
    "attention": Layer(
        "attention",
        (2, 9, 32),
        {"nnx": to_jax.nnx_attention, "keras": to_jax.keras_attention},
    ),
    "lstm": Layer(
        "lstm",
        (2, 15, 8),
        {"nnx": to_jax.nnx_lstm, "keras": to_jax.keras_lstm},
    ),
    "gru": Layer(
        "gru",
        (2, 15, 8),
        {"nnx": to_jax.nnx_gru, "keras": to_jax.keras_gru},
    ),
    "gru_no_bias": Layer(
        "gru_no_bias",
        (2, 15, 8),
        {"nnx": to_jax.nnx_gru, "keras": to_jax.keras_gru},
    ),
    "convolution_same": Layer(
        "convolution", (2, 5, 9, 9), CONVOLUTIONS
    ),
    "strided_same_odd": Layer("strided", (2, 5, 9, 9), CONVOLUTIONS),
    "strided_same_even": Layer("strided", (2, 5, 8, 8), CONVOLUTIONS),
    "transposed_convolution": Layer(
        "transposed",
        (2, 5, 6, 6),
        {
            "nnx": to_jax.nnx_transposed,
            "keras": to_jax.keras_transposed,
        },
    ),
}
NAMES = tuple(LAYERS)


def port_results(port, module, x, upstream):
    """{name: array} of a port: its outputs, the gradient of x."""
    import jax

    def call(x):
        found = port(module, x)
        if not isinstance(found, dict):
            return {"out.y": found}
        return {f"out.{key}": value for key, value in found.items()}

    values, pull = jax.vjp(call, x)
    sent = {
        key: upstream.get(key, np.zeros_like(value))
        for key, value in values.items()
    }
    (grad,) = pull(sent)
    found = {**values, "grad.x": grad}
    return {key: np.asarray(value) for key, value in found.items()}


def rows_of(name, seed):
    import torch

    from shared_tests.ports import hugging

    layer = LAYERS[name]
    torch.manual_seed(seed)
    module = globals()[layer.make]()
    hugging.spread(module, seed, 1.0)
    module.train(layer.training)
    x = floats(np.random.default_rng(seed), *layer.shape)
    x = (x + layer.mean).astype(np.float32)
    argument = "input" if name.startswith(INPUT) else "x"

    def compute(dtype):
        found = models.results(module, {argument: x}, dtype, seed)
        found["grad.x"] = found.pop(f"grad.{argument}")
        shown = ("out.", "grad.x")
        return {k: v for k, v in found.items() if k.startswith(shown)}

    wanted, sigma = measuring.estimate(
        lambda: compute(torch.float64), seed
    )
    straight = compute(torch.float32)
    upstream = models.cotangents_of_shapes(
        {"out.y": straight["out.y"].shape}, seed
    )
    values = {"torch": lambda: straight}
    for port, function in layer.ports.items():
        values[port] = lambda f=function: port_results(
            f, module, x, upstream
        )
    for port, get in values.items():
        found, missing = measuring.compared(get(), wanted, sigma)
        row = dict(port=port, seed=seed, factor=1.0, arrays=found)
        yield row | dict(missing=missing)


def run(name):
    return [row for seed in SEEDS for row in rows_of(name, seed)]

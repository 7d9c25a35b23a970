"""Weights maps of PyTorch's built-in layers to those of others.

    layout("Linear", "keras", "encoder.fc", "dense_1")
    {"dense_1.kernel": {"from": "encoder.fc.weight", "transpose": [1, 0]},
     "dense_1.bias": "encoder.fc.bias"}

Frameworks: nnx, linen, keras (3), gluon (1.9). Layers: LAYERS. An LSTM or
GRU has one layer and one direction; in Flax it is the cell of an RNN.
Where a port has one bias for PyTorch's two, it is their sum. Measured
with flax 0.12.8, keras 3.15.1, mxnet 1.9.1 (test_layouts.py).

NumPy only, and Python 3.8 on.
"""

from .entries import renamed

TURNED = [1, 0]  # (out, in) to (in, out)


def layout(layer, framework, torch="", port="", **sizes):
    """{port's name: entry}.

    layer: a name of LAYERS, as in torch.nn; torch, port: the path of the
    layer on either side; sizes: embed_dim and num_heads of attention
    Raises: ValueError where there is none, and says which there are;
        TypeError for other sizes
    """
    if layer not in LAYERS:
        want = ", ".join(LAYERS)
        raise ValueError(
            f"layout: layer expected one of {want}, got {layer!r}"
        )
    if framework not in LAYERS[layer]:
        want = ", ".join(LAYERS[layer])
        raise ValueError(
            f"layout: {layer} is there for {want}, got {framework!r}"
        )
    found = LAYERS[layer][framework]
    if callable(found):
        found = found(**sizes)
    elif sizes:
        raise TypeError(f"layout: {layer} has no sizes, got {sizes}")
    torch, port = (f"{path}." if path else "" for path in (torch, port))
    return {
        named(name, port): renamed(entry, lambda n: torch + n)
        for name, entry in found.items()
    }


def named(name, port):
    """A collection of Linen's stands before the path of the module."""
    collection, _, rest = name.rpartition("/")
    return (
        f"{collection}.{port}{rest}" if collection else f"{port}{name}"
    )


def turned(weight):
    return {"from": weight, "transpose": TURNED}


def gate(i, n, name, **steps):
    """Gate i of n, which lie end to end."""
    return {"from": name, "split": [0, i, n], **steps}


def bias_of_gate(i, n):
    """One bias for two."""
    return {"add": [gate(i, n, "bias_ih_l0"), gate(i, n, "bias_hh_l0")]}


def convolution(rank):
    """(out, in, ...) to (..., in, out); the same with groups."""
    axes = [*range(2, rank + 2), 1, 0]
    channels_last = {
        "kernel": {"from": "weight", "transpose": axes},
        "bias": "bias",
    }
    return {
        **dict.fromkeys(("nnx", "linen", "keras"), channels_last),
        "gluon": {"weight": "weight", "bias": "bias"},
    }


def lstm_cell(forget):
    """Flax has a Dense for each gate, of the input and of the state."""
    found = {}
    for i, name in enumerate("ifgo"):
        of_input = forget if name == "f" else f"i{name}"
        for dense, weight in (
            (of_input, "weight_ih_l0"),
            (f"h{name}", "weight_hh_l0"),
        ):
            kernel = gate(i, 4, weight, transpose=TURNED)
            found[f"cell.{dense}.kernel"] = kernel
        found[f"cell.h{name}.bias"] = bias_of_gate(i, 4)
    return found


def gru_cell():
    """The two biases of the new state stay two: r stands between."""
    found = {}
    for i, name in enumerate("rzn"):
        for part, weight in (
            ("i", "weight_ih_l0"),
            ("h", "weight_hh_l0"),
        ):
            kernel = gate(i, 3, weight, transpose=TURNED)
            found[f"cell.{part}{name}.kernel"] = kernel
        found[f"cell.i{name}.bias"] = bias_of_gate(i, 3)
    found["cell.in.bias"] = gate(2, 3, "bias_ih_l0")
    found["cell.hn.bias"] = gate(2, 3, "bias_hh_l0")
    return found


def keras_gru():
    """Gates z, r, h for PyTorch's r, z, n; reset_after=True."""

    def reordered(name, **steps):
        gates = [gate(i, 3, name) for i in (1, 0, 2)]
        return {"concat": gates, **steps}

    biases = [
        reordered(f"bias_{part}_l0", reshape=[1, -1])
        for part in ("ih", "hh")
    ]
    return {
        "gru_cell.kernel": reordered("weight_ih_l0", transpose=TURNED),
        "gru_cell.recurrent_kernel": reordered(
            "weight_hh_l0", transpose=TURNED
        ),
        "gru_cell.bias": {"concat": biases},
    }


def unfused():
    """Gluon's own order of the gates is PyTorch's."""
    return {
        f"_unfused.0.{theirs}_{kind}": f"{kind}_{ours}_l0"
        for theirs, ours in (("i2h", "ih"), ("h2h", "hh"))
        for kind in ("weight", "bias")
    }


def attention(out):
    """Kernels are (in, heads, width), and that of the result, which has
    the name `out`, (heads, width, out)."""

    def make(embed_dim, num_heads):
        apart = [num_heads, embed_dim // num_heads]
        found = {}
        for i, name in enumerate(("query", "key", "value")):
            found[f"{name}.kernel"] = gate(
                i,
                3,
                "in_proj_weight",
                transpose=TURNED,
                reshape=[embed_dim, *apart],
            )
            found[f"{name}.bias"] = gate(
                i, 3, "in_proj_bias", reshape=apart
            )
        found[f"{out}.kernel"] = {
            **turned("out_proj.weight"),
            "reshape": [*apart, embed_dim],
        }
        found[f"{out}.bias"] = "out_proj.bias"
        return found

    return make


def norm(scale, shift, mean=None, variance=None):
    found = {scale: "weight", shift: "bias"}
    if mean:
        found.update({mean: "running_mean", variance: "running_var"})
    return found


DENSE = {"kernel": turned("weight"), "bias": "bias"}
SAME = {"weight": "weight", "bias": "bias"}
LAYERS = {
    "Linear": {
        "nnx": DENSE,
        "linen": DENSE,
        "keras": DENSE,
        "gluon": SAME,
    },
    **{f"Conv{rank}d": convolution(rank) for rank in (1, 2, 3)},
    "Embedding": {
        "nnx": {"embedding": "weight"},
        "linen": {"embedding": "weight"},
        "keras": {"embeddings": "weight"},
        "gluon": {"weight": "weight"},
    },
    "LayerNorm": {
        "nnx": norm("scale", "bias"),
        "linen": norm("scale", "bias"),
        "keras": norm("gamma", "beta"),
        "gluon": norm("gamma", "beta"),
    },
    # Gluon has none
    "RMSNorm": {
        "nnx": {"scale": "weight"},
        "linen": {"scale": "weight"},
        "keras": {"scale": "weight"},
    },
    "BatchNorm": {
        "nnx": norm("scale", "bias", "mean", "var"),
        "linen": norm(
            "scale", "bias", "batch_stats/mean", "batch_stats/var"
        ),
        "keras": norm(
            "gamma", "beta", "moving_mean", "moving_variance"
        ),
        "gluon": norm("gamma", "beta", "running_mean", "running_var"),
    },
    "LSTM": {
        "nnx": lstm_cell("if_"),
        "linen": lstm_cell("if"),
        "keras": {
            "lstm_cell.kernel": turned("weight_ih_l0"),
            "lstm_cell.recurrent_kernel": turned("weight_hh_l0"),
            "lstm_cell.bias": {"add": ["bias_ih_l0", "bias_hh_l0"]},
        },
        "gluon": unfused(),
    },
    # nnx.GRUCell has no bias where PyTorch's bias_hh_l0 has that of n
    "GRU": {
        "linen": gru_cell(),
        "keras": keras_gru(),
        "gluon": unfused(),
    },
    "MultiheadAttention": {
        "nnx": attention("out"),
        "linen": attention("out"),
        "keras": attention("attention_output"),
    },
}

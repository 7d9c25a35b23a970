"""Layer config: the arguments that would make a layer again.

config_of(layer)  {argument: value}, read from the layer as it is now

Raises: ValueError for a layer that is none of layer_arguments.py, and
        for an argument that a file cannot hold, as a scale that is an
        array, or a function of attention that is not of this folder
"""

# region imports
from jax_impl.portable.expect import expect
from jax_impl.portable.layer_arguments import ATTENTIONS, check_config
from jax_impl.portable.layer_parts import TEXT
from jax_impl.quantization.qat_config import (
    int8_config,
    qat_config,
    sizes,
)

# endregion


# region function
def step_config(layer):
    bits, signed, axis, num_elements = layer.options
    count = None if axis is None else layer.step.shape[0]
    found = dict(bits=bits, signed=signed, num_elements=num_elements)
    return found | dict(axis=axis, num_channels=count)


def conv_config(layer):
    out_channels, in_channels, kernel_size, _ = layer.weight.shape
    found = dict(in_channels=in_channels, out_channels=out_channels)
    names = "stride", "padding", "eps"
    own = {name: getattr(layer, name) for name in names}
    return found | dict(kernel_size=kernel_size) | own


def mlp_config(layer):
    hidden, features = layer.layer1.weight.shape
    found = dict(input_size=features, hidden_size=hidden)
    outputs = layer.layer2.weight.shape[0]
    return found | dict(output_size=outputs, scale=layer.relu.scale)


def attention_config(layer):
    got = [n for n, f in ATTENTIONS.items() if f is layer.attention]
    expect(got, "attention", " or ".join(ATTENTIONS), layer.attention)
    # an Int8Linear has a bias where the Linear before it had none
    parts = [p for p in (layer.qkv, layer.out) if p is not None]
    bias = all(part.bias is not None for part in parts)
    found = dict(embed_dim=layer.qkv.weight.shape[1], bias=bias)
    names = "num_heads", "num_kv_heads", "causal"
    own = {name: getattr(layer, name) for name in names}
    found |= dict(out_proj=len(parts) == 2, attention=got[0])
    return found | own


def transformer_config(layer):
    blocks, (width, inputs) = layer.blocks, layer.embed.weight.shape
    found = dict(input_dim=inputs, embed_dim=width)
    heads = [block.attention.num_heads for block in blocks]
    found |= dict(num_heads=max(heads, default=1))
    classes = layer.head.weight.shape[0]
    return found | dict(num_layers=len(heads), num_classes=classes)


READ = {
    **dict.fromkeys(("CenteredLayer", "HalfSpectrum"), lambda x: {}),
    "Linear": lambda x: sizes(x) | dict(bias=x.bias is not None),
    "LinearReLU": sizes,
    "ManualLinear": sizes,
    "WeightedSum": lambda x: dict(in_features=x.weight.shape[0]),
    "TensorReduction": lambda x: dict(
        in_features=x.weight.shape[0], out_features=x.weight.shape[2]
    ),
    "ScaledReLU": lambda x: dict(scale=x.scale),
    "EmbeddingBag": lambda x: dict(zip(TEXT, x.weight.shape)),
    "RMSNorm": lambda x: dict(dim=x.weight.shape[0], eps=x.eps),
    "StandardizedConv2d": conv_config,
    "PACT": lambda x: dict(bits=x.codes.bits),
    "LSQ": step_config,
    "LSQPlus": step_config,
    "QATLinear": qat_config,
    "Int8Linear": int8_config,
    "MLP": mlp_config,
    "TiedMLP": lambda x: dict(features=x.layer1.weight.shape[0]),
    "MultiHeadAttention": attention_config,
    "TextClassifier": lambda x: dict(
        zip(TEXT, (*x.bag.weight.shape, x.linear.weight.shape[0]))
    ),
    "TransformerClassifier": transformer_config,
}


def config_of(layer):
    name = type(layer).__name__
    expect(name in READ, "the layer", f"one of {', '.join(READ)}", name)
    try:
        config = READ[name](layer)
    except AttributeError as error:
        raise ValueError(
            f"{name} expected its parts: {error}"
        ) from error
    check_config(name, config)
    return config


# endregion


# region try
if __name__ == "__main__":
    from flax import nnx

    from jax_impl.mlp import MLP

    print(config_of(MLP(3, 5, 2, rngs=nnx.Rngs(0))))
# endregion

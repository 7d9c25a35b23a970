"""Layer parts: which layers are in a layer, from its arguments alone.

Nothing is made for that: so a file can be held against what its own
words ask for, before memory is taken for it
parts_of(name, config)  {place: [name, config]} of all layers in that
    layer; it is itself at "", and "blocks.0.mlp" is a place

Raises: ValueError for no heads
"""

# region imports
from mxnet_impl.portable.expect import expect

MLP = "input_size", "hidden_size", "output_size", "scale"
TEXT = "num_embeddings", "embedding_dim", "num_classes"
CLASSIFIER = "input_dim", "embed_dim", "num_heads", "num_layers"
# endregion


# region function
def parts_of(name: str, config):
    found = {"": [name, config]}
    inside = INSIDE[name](config) if name in INSIDE else {}
    for place, part in inside.items():
        for below, what in parts_of(*part).items():
            found[f"{place}.{below}".strip(".")] = what
    return found


def linear(columns, rows, bias=True):
    sizes = dict(in_features=columns, out_features=rows)
    return ["Linear", sizes | dict(bias=bias)]


def mlp(config):
    columns, hidden, rows, scale = (config[n] for n in MLP)
    return {
        "layer1": linear(columns, hidden),
        "relu": ["ScaledReLU", dict(scale=scale)],
        "layer2": linear(hidden, rows),
    }


def tied_mlp(config):
    size = config["features"]
    return {name: linear(size, size) for name in ("layer1", "layer2")}


def text(config):
    *sizes, classes = (config[n] for n in TEXT)
    bag = ["EmbeddingBag", dict(zip(TEXT, sizes))]
    return {"bag": bag, "linear": linear(sizes[1], classes)}


def multi_head(config):
    width, heads = config["embed_dim"], config["num_heads"]
    groups = config["num_kv_heads"] or heads
    expect(heads > 0, "num_heads", "at least 1", heads)
    rows = width // heads * (heads + 2 * groups)
    found = {"qkv": linear(width, rows, config["bias"])}
    if config["out_proj"]:
        found["out"] = linear(width, width, config["bias"])
    return found


def transformer(config):
    columns, width, heads, layers = (config[n] for n in CLASSIFIER)
    norm = ["RMSNorm", dict(dim=width, eps=1e-6)]
    sizes = dict(embed_dim=width, num_heads=heads, num_kv_heads=heads)
    rest = dict(bias=True, out_proj=True, causal=False)
    rest |= dict(attention="attention")
    inner = dict(input_size=width, hidden_size=4 * width)
    inner |= dict(output_size=width, scale=1.0)
    block = {
        "norm1": norm,
        "attention": ["MultiHeadAttention", sizes | rest],
        "norm2": norm,
        "mlp": ["MLP", inner],
    }
    found = {"embed": linear(columns, width)}
    for place in range(layers):
        found |= {f"blocks.{place}.{n}": p for n, p in block.items()}
    head = linear(width, config["num_classes"])
    return found | {"norm": norm, "head": head}


INSIDE = {
    "MLP": mlp,
    "TiedMLP": tied_mlp,
    "MultiHeadAttention": multi_head,
    "TextClassifier": text,
    "TransformerClassifier": transformer,
}
# endregion


# region try
if __name__ == "__main__":
    config = dict(input_size=3, hidden_size=5, output_size=2, scale=0.5)
    for place, part in parts_of("MLP", config).items():
        print(repr(place), *part)
# endregion

"""Layer arrays: the names and shapes of the arrays that a layer has.

That is the format of a checkpoint: parameters, and the state of what
quantizes. Nothing is made for it.
arrays_of(name, config)  {array: shape} of that layer alone: one that is
    made of layers (layer_parts.py) has none of its own
dtypes_of(name, array)   the dtypes that it may have
"""

# region imports
FLOATS = "float64", "float32", "bfloat16", "float16"
INT8 = {"weight": ("int8",), "bias": ("int32",)}
INT8 |= {"zero_point": ("int32",)}
# endregion


# region function
def arrays_of(name: str, config):
    return ARRAYS[name](config) if name in ARRAYS else {}


def dtypes_of(name: str, array: str):
    return INT8.get(array, FLOATS) if name == "Int8Linear" else FLOATS


def dense(config):
    shape = config["out_features"], config["in_features"]
    bias = {"bias": shape[:1]} if config.get("bias", True) else {}
    return {"weight": shape} | bias


def vector(config):
    (size,) = (config[n] for n in ("in_features", "dim") if n in config)
    return {"weight": (size,)}


def bilinear(config):
    size = config["in_features"]
    return {"weight": (size, size, config["out_features"])}


def embedding(config):
    names = "num_embeddings", "embedding_dim"
    return {"weight": tuple(config[n] for n in names)}


def conv(config):
    rows, size = config["out_channels"], config["kernel_size"]
    shape = rows, config["in_channels"], size, size
    return {"weight": shape, "bias": (rows,)}


def pact(config):
    return {"alpha": ()}


def lsq(config):
    by_channel = config["axis"] is not None
    return {"step": (config["num_channels"],) if by_channel else ()}


def lsq_plus(config):
    return lsq(config) | {"offset": lsq(config)["step"]}


def qat(config):
    rows = (config["out_features"],)
    kinds = config["weight_quantizer"], config["input_quantizer"]
    found = dense(config)
    for what, kind, shape in zip(
        ("weight", "input"), kinds, (rows, ())
    ):
        own = {"lsq": {"step": shape}, "pact": {"alpha": shape}}
        state = own.get(kind, {"observer.bounds": (2, *shape)})
        found |= {f"{what}_quantizer.{n}": s for n, s in state.items()}
    return found


def int8(config):
    found = dense(config) | {"out_scale": (config["out_features"],)}
    return found | {"scale": (), "zero_point": ()}


ARRAYS = {
    "Linear": dense,
    "LinearReLU": dense,
    "ManualLinear": dense,
    "WeightedSum": vector,
    "TensorReduction": bilinear,
    "EmbeddingBag": embedding,
    "RMSNorm": vector,
    "StandardizedConv2d": conv,
    "PACT": pact,
    "LSQ": lsq,
    "LSQPlus": lsq_plus,
    "QATLinear": qat,
    "Int8Linear": int8,
}
# endregion


# region try
if __name__ == "__main__":
    print(arrays_of("Linear", dict(in_features=3, out_features=2)))
# endregion

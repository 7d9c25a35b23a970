"""Layer arguments: which layers a file may name, and what makes them.

LAYERS      {name: class}: all that a file can ask for, and nothing else
ATTENTIONS  {name: function}: the same for attention=
arguments(name)  {argument: its type}, without what a learned number
    starts from, alpha_init: the number itself is in the file
check_config(name, config)  those arguments and no others, of that type
new(name, config)  such a layer; its numbers have no meaning yet

Raises: ValueError that names the argument, what was expected and got
"""

# region imports
import inspect

from mxnet import np

import mxnet_impl
from mxnet_impl.portable.expect import expect
from mxnet_impl.quantization.codes import Codes
from mxnet_impl.quantization.int8_linear import Int8Linear

NAMES = """
CenteredLayer EmbeddingBag HalfSpectrum LSQ LSQPlus Linear LinearReLU
MLP ManualLinear MultiHeadAttention PACT QATLinear RMSNorm ScaledReLU
StandardizedConv2d TensorReduction TextClassifier TiedMLP
TransformerClassifier WeightedSum
""".split()
LAYERS = {name: getattr(mxnet_impl, name) for name in NAMES}
LAYERS |= dict(Int8Linear=Int8Linear)
ATTENTIONS = {
    "attention": mxnet_impl.attention,
    "attention_tiled": mxnet_impl.attention_tiled,
}
# an Int8Linear is made of arrays: this says of which
INT8 = dict(in_features=int, out_features=int, bits=int)
INT8 |= dict(signed=bool, narrow_range=bool)
LEFT_OUT = "self", "alpha_init", "rngs", "kwargs"
# the values that a type takes: True is no number here
TAKES = {bool: (bool,), int: (int,), float: (int, float), str: (str,)}
# endregion


# region function
def arguments(name: str):
    if name == "Int8Linear":
        return INT8
    made = inspect.signature(LAYERS[name].__init__).parameters
    found = {n: p.annotation for n, p in made.items()}
    return {n: t for n, t in found.items() if n not in LEFT_OUT}


def check_config(name: str, config):
    known = ", ".join(LAYERS)
    expect(name in LAYERS, "the layer", f"one of {known}", name)
    want = arguments(name)
    right = isinstance(config, dict) and config.keys() == want.keys()
    listed = ", ".join(want) or "no arguments"
    expect(right, f"{name}: config", listed, config)
    for argument, value in config.items():
        what, kind = f"{name}: {argument}", want[argument]
        if argument == "attention":
            known = isinstance(value, str) and value in ATTENTIONS
            expect(known, what, " or ".join(ATTENTIONS), value)
            continue
        takes = TAKES.get(kind, (int, type(None)))
        listed = " or ".join(t.__name__ for t in takes)
        expect(type(value) in takes, what, listed, value)


def new(name: str, config):
    if name == "Int8Linear":
        *sizes, bits, signed, narrow_range = map(config.get, INT8)
        rows, one = np.ones(sizes[1]), np.ones(())
        weight = np.ones(sizes[::-1])
        given = weight, rows, rows, one, one.astype(np.int32)
        codes = Codes(bits, signed, None, narrow_range)
        return Int8Linear(*given, codes)
    given = dict(config)
    if "attention" in given:
        given["attention"] = ATTENTIONS[given["attention"]]
    return LAYERS[name](**given)


# endregion


# region try
if __name__ == "__main__":
    print(arguments("MLP"))
    check_config("ScaledReLU", dict(scale=0.5))
# endregion

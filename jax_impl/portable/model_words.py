"""Model words: what a model is, in words that each framework reads.

describe(model)   layer: its class; config: its arguments; replaced:
    {place: [class, arguments]} of what prepare and convert have put in
    it; modes: {place: mode} of each QATLinear
check(words, most)  {place: [class, arguments]} of all layers in it, if
    those words are right, from a file too; most: layers, at most
build(words)      a model of that kind, with numbers of no meaning

Raises: ValueError for a model that differs in another way from what its
        class and arguments make, and for words that are wrong
"""

# region imports
import math

from jax_impl.portable.expect import expect
from jax_impl.portable.layer_arguments import LAYERS, check_config, new
from jax_impl.portable.layer_config import config_of
from jax_impl.portable.layer_parts import parts_of
from jax_impl.portable.model_layers import find_layers
from jax_impl.quantization.modes import place_of
from jax_impl.quantization.places import find, replace
from jax_impl.quantization.qat_linear import QATLinear

SIZES = "in_features", "out_features"
WORDS = "layer", "config", "replaced", "modes"
# endregion


# region function
def describe(model):
    layers = find_layers(model)
    every = layers.items()
    own = {p: [type(x).__name__, config_of(x)] for p, x in every}
    name, config = own[""]
    parts = parts_of(name, config)
    replaced = {p: own[p] for p in own if own[p] != parts.get(p)}
    modes = {p: x.mode for p, x in find(model, QATLinear).items()}
    words = dict(zip(WORDS, (name, config, replaced, modes)))
    got = check(words)
    expect(got.keys() == own.keys(), "layers", list(got), list(own))
    return words


def check(words, most=math.inf):
    name, config = words["layer"], words["config"]
    check_config(name, config)
    got = config.get("num_layers", 0)
    expect(got <= most, f"{name}: num_layers", f"at most {most}", got)
    parts = parts_of(name, config)
    for place, part in words["replaced"].items():
        check_replaced(place, parts.get(place), part)
        parts[place] = part
    quantized = [p for p in parts if parts[p][0] == "QATLinear"]
    modes = words["modes"]
    expect(modes.keys() == set(quantized), "modes", quantized, modes)
    for mode in modes.values():
        place_of(mode)
    return parts


def check_replaced(place, was, part):
    expect(was and was[0] == "Linear", place, "no other", part)
    pair = isinstance(part, list) and len(part) == 2
    right = pair and part[0] in ("QATLinear", "Int8Linear")
    expect(right, place, "QATLinear or Int8Linear", part)
    check_config(*part)
    same = SIZES if part[0] == "Int8Linear" else (*SIZES, "bias")
    want, got = ({n: c[n] for n in same} for c in (was[1], part[1]))
    expect(want == got, place, want, got)


def build(words):
    model = new(words["layer"], words["config"])
    for place, part in words["replaced"].items():
        model = replace(model, place, new(*part))
    for place, layer in find(model, QATLinear).items():
        layer.mode = words["modes"][place]
    return model


# endregion


# region try
if __name__ == "__main__":
    from flax import nnx

    print(describe(LAYERS["MLP"](3, 5, 2, rngs=nnx.Rngs(0))))
# endregion

"""Convert: a model that has learned with quantizers, in whole numbers.

convert(model)  every QATLinear becomes the Int8Linear that gives the
    same numbers, bit for bit, as in mode "frozen"
W_oi = quantize(weight_oi, w_scale_o), B_o = round(bias_o / s_o), with
s_o = scale w_scale_o, each quantizer's grid as it is now

It changes the model and returns it; a model that is a QATLinear comes
back as another

Raises: ValueError for a model without QATLinear, quantizers that have
        seen nothing yet, and a bias of 2^30 steps or more
Ref:    Jacob et al. 2018, CVPR, 2.4 and 3 (alg. 1)
"""

# region imports
import torch

from pytorch_impl.quantization.fake_quantize import quantize
from pytorch_impl.quantization.int8_linear import Int8Linear
from pytorch_impl.quantization.prepare import find, replace, set_mode
from pytorch_impl.quantization.qat_linear import QATLinear
from pytorch_impl.quantization.qat_quantizer import grid_of

# endregion


# region function
def to_int8(name, layer):
    w_scale, *rest = grid_of(layer.weight_quantizer)
    scale, zero_point, options = grid_of(layer.input_quantizer)
    out_scale = scale * w_scale
    bias = (
        torch.zeros_like(w_scale) if layer.bias is None else layer.bias
    )
    bias = torch.round(bias * (1 / out_scale))
    if not (torch.abs(bias) < 2**30).all():
        want, got = "under 2^30 steps", float(torch.abs(bias).max())
        raise ValueError(f"{name}: bias expected {want}, got {got}")
    weight = quantize(layer.weight, w_scale, rest[0], *rest[1])
    return Int8Linear(
        weight, bias, out_scale, scale, zero_point, options
    )


def convert(model):
    found = find(model, QATLinear)
    if not found:
        want, got = "a prepared model", type(model).__name__
        raise ValueError(f"convert: model expected {want}, got {got}")
    set_mode(model, "frozen")
    with torch.no_grad():
        for name, layer in found.items():
            model = replace(model, name, to_int8(name, layer))
    return model


# endregion


# region try
if __name__ == "__main__":
    from pytorch_impl.mlp import MLP
    from pytorch_impl.quantization.prepare import prepare

    x = torch.linspace(-1.0, 1.0, 12).reshape(4, 3)
    model = prepare(MLP(3, 5, 2), {"*": dict(weight_bits=4)})
    set_mode(model, "observe")(x)
    y = set_mode(model, "frozen")(x)
    print((convert(model)(x) == y).all())
# endregion

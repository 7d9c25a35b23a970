"""Convert: make a model that was trained in few bits compute in int8.

convert(model)  every QATLinear becomes the Int8Linear that gives the
    same numbers, bit for bit, as the QATLinear in mode "frozen"
W_oi = quantize(weight_oi, w_scale_o), B_o = round(bias_o / s_o), with
s_o = scale w_scale_o, the scales that the quantizers have now

It changes the model and returns it; a model that is a QATLinear itself
comes back as a new layer

Raises: ValueError for a model without QATLinear, a QATLinear with more
        than its page gives it, quantizers that have seen nothing yet, a
        bias of 2^30 steps or more, and weights for which a sum can get
        to 2^31, which int32 does not hold
Ref:    Jacob et al. 2018, CVPR, 2.4 and 3 (alg. 1)
"""

# region imports
import torch

from pytorch_impl.checks import has_numbers
from pytorch_impl.precision import widen
from pytorch_impl.quantization.attached import check_attached
from pytorch_impl.quantization.codes import code_range
from pytorch_impl.quantization.fake_quantize import quantize
from pytorch_impl.quantization.int8_linear import Int8Linear
from pytorch_impl.quantization.places import find, replace, together
from pytorch_impl.quantization.prepare import set_mode
from pytorch_impl.quantization.qat_linear import QATLinear

# endregion


# region function
def largest_sum(weight, bias, zero_point, codes):
    """|a_o| at its largest, whatever codes x has."""
    bits, signed, _, narrow_range = codes
    low, high = code_range(bits, signed, narrow_range)
    weight = weight.double()
    ends = weight * (low - zero_point), weight * (high - zero_point)
    least = torch.sum(torch.minimum(*ends), axis=1) + bias
    most = torch.sum(torch.maximum(*ends), axis=1) + bias
    return torch.max(torch.maximum(-least, most))


def to_int8(name, layer):
    w_scale, w_zero_point = layer.weight_quantizer.qparams()
    scale, zero_point = layer.input_quantizer.qparams()
    out_scale = scale * w_scale
    bias = layer.bias
    bias = torch.zeros_like(w_scale) if bias is None else bias
    bias = torch.round(widen(bias) * (1 / out_scale))
    if has_numbers(bias) and not (torch.abs(bias) < 2**30).all():
        want, got = "under 2^30 steps", float(torch.abs(bias).max())
        raise ValueError(f"{name}: bias expected {want}, got {got}")
    w_codes = layer.weight_quantizer.codes
    weight = quantize(layer.weight, w_scale, w_zero_point, *w_codes)
    codes = layer.input_quantizer.codes
    got = largest_sum(weight, bias, zero_point, codes)
    if has_numbers(got) and got >= 2**31:
        want = "to stay under 2^31, as int32 does"
        raise ValueError(f"{name}: sums expected {want}, got {got:.0f}")
    given = out_scale, scale, zero_point, codes
    return Int8Linear(weight, bias, *given).train(layer.training)


def convert(model):
    found, made = find(model, QATLinear), []
    if not found:
        want, got = "a prepared model", type(model).__name__
        raise ValueError(f"convert: model expected {want}, got {got}")
    for name, layer in found.items():
        way = "take it off before"
        check_attached("convert", name, layer, QATLinear, way)
    set_mode(model, "frozen")
    with torch.no_grad():
        for names, layer in together(found):
            name = names[0] or "the model"
            made += [(names, to_int8(name, layer))]
    for names, new in made:
        for name in names:
            model = replace(model, name, new)
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

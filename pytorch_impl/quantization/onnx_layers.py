"""Quantizers in ONNX's own operators, with the same codes.

for_onnx(layer)  with OnnxQuantizer in place of each of its quantizers,
    and OnnxLinear in place of each Int8Linear. ONNX has no codes of
    float64: a quantizer of float64 keeps its plain operations
OnnxQuantizer    codes and scales as they are now:
    Mul(x, inv), Max, Min, QuantizeLinear   the codes; why its scale
        is 1, export says
    DequantizeLinear, Where                 times scale; NaN stays NaN

Axes:   x any shape; scale and zero () or, along axis, (C)
Ref:    ONNX operators QuantizeLinear 21, DequantizeLinear 21
"""

# region imports
import torch
from torch import nn

from pytorch_impl.precision import cast_like, widen
from pytorch_impl.quantization.codes import along, code_range
from pytorch_impl.quantization.export import OnnxLinear, onnx_op
from pytorch_impl.quantization.int8_linear import Int8Linear
from pytorch_impl.quantization.lsq import LSQ
from pytorch_impl.quantization.lsq_plus import LSQPlus
from pytorch_impl.quantization.pact import PACT
from pytorch_impl.quantization.places import find, replace
from pytorch_impl.quantization.quantizers import FakeQuantizer

CODES = {
    (8, True): torch.int8,
    (8, False): torch.uint8,
    (16, True): torch.int16,
    (16, False): torch.uint16,
}
# endregion


# region function
def for_onnx(layer):
    kinds = FakeQuantizer, PACT, LSQ, LSQPlus
    made = {
        n: OnnxLinear(p) for n, p in find(layer, Int8Linear).items()
    }
    for name, part in find(layer, kinds).items():
        quantizer = OnnxQuantizer(part)
        if quantizer.scale.dtype == torch.float32:
            made[name] = quantizer
    for name, new in made.items():
        layer = replace(layer, name, new)
    return layer


# endregion


# region layer
class OnnxQuantizer(nn.Module):
    observes = False

    def __init__(self, quantizer):
        super().__init__()
        bits, signed, self.axis, narrow_range = quantizer.codes
        low, high = code_range(bits, signed, narrow_range)
        self.offset = getattr(quantizer, "offset", None)
        if self.offset is None:
            scale, zero = quantizer.qparams()
        else:
            scale = widen(quantizer.step)
            zero = torch.zeros_like(scale)
        zero = zero.to(CODES[max(bits, 8), signed])
        self.register_buffer("scale", scale.detach())
        self.register_buffer("zero", zero)
        self.register_buffer("inv", 1 / self.scale)
        self.register_buffer("one", torch.ones_like(self.scale))
        self.register_buffer("low", low - cast_like(zero, scale))
        self.register_buffer("high", high - cast_like(zero, scale))

    def qparams(self):
        return self.scale, cast_like(self.zero, self.scale)

    def forward(self, x):
        wide, shape, axis = widen(x), x.shape, self.axis
        each = self.inv, self.low, self.high, self.offset
        each = [e if e is None else along(e, x, axis) for e in each]
        inv, low, high, offset = each
        wide = wide if offset is None else wide - offset
        u = torch.minimum(torch.maximum(wide * inv, low), high)
        more = {} if axis is None else {"axis": axis}
        q = u, self.one, self.zero
        q = onnx_op("QuantizeLinear", q, self.zero.dtype, shape, **more)
        q = q, self.scale, self.zero
        y = onnx_op("DequantizeLinear", q, wide.dtype, shape, **more)
        y = y if offset is None else y + offset
        return cast_like(torch.where(wide == wide, y, wide), x)


# endregion


# region try
if __name__ == "__main__":
    x = torch.tensor([-9.0, 0.3, 0.4, torch.nan])
    print(PACT(bits=2)(x), for_onnx(PACT(bits=2)))
# endregion

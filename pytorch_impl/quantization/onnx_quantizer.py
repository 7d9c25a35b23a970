"""OnnxQuantizer: a quantizer in ONNX's own operators, same codes.

It takes the place of one in a layer that is exported; its codes and its
scale are those that the quantizer has now:
    Mul(x, inv), Max, Min, QuantizeLinear   the codes; why its scale is
        1, export says
    DequantizeLinear, Where                 times scale; NaN stays NaN

Axes:   x any shape; scale and zero () or, along axis, (C)
Ref:    ONNX operators QuantizeLinear 21, DequantizeLinear 21
"""

# region imports
import torch
from torch import nn

from pytorch_impl.precision import cast_like, widen
from pytorch_impl.quantization.codes import along, code_range
from pytorch_impl.quantization.export import onnx_op

CODES = {
    (8, True): torch.int8,
    (8, False): torch.uint8,
    (16, True): torch.int16,
    (16, False): torch.uint16,
}
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
    from pytorch_impl.quantization.pact import PACT

    x = torch.tensor([-9.0, 0.3, 0.4, torch.nan])
    layer = PACT(bits=2)
    print(layer(x), OnnxQuantizer(layer).qparams())
# endregion

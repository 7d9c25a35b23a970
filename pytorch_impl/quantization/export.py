"""Int8Linear in ONNX's own operators, with the same codes.

to_onnx(model, x, path)  a converted model as a file; x is an example,
    the size of its first axis may change. See export for any layer
OnnxLinear  takes the place of an Int8Linear there:
    Mul(x, inv), Clip, QuantizeLinear   the codes: its own scale is 1,
        since ONNX divides by a scale where the pages multiply by inv,
        which gives other codes at half steps
    MatMulInteger, Add                  the sums, exact in int32
    DequantizeLinear                    times out_scale, rounded once
    IsNaN, Where, ReduceSum, Add        NaN in the rows of x that have it

Raises: ValueError for a model without Int8Linear
Ref:    ONNX operators QuantizeLinear 21, MatMulInteger 10
"""

# region imports
import os
import tempfile

import torch
from torch import nn
from torch.onnx.ops import symbolic

from pytorch_impl.quantization.codes import code_range
from pytorch_impl.quantization.int8_linear import Int8Linear
from pytorch_impl.quantization.places import find

OPSET = 21
# endregion


# region function
def onnx_op(name: str, inputs, dtype, shape, **attributes):
    return symbolic(
        name,
        inputs,
        attributes,
        dtype=dtype,
        shape=shape,
        version=OPSET,
    )


def to_onnx(model, x, path):
    from pytorch_impl import export  # it imports this page

    if not find(model, Int8Linear):
        want, got = "a converted model", type(model).__name__
        raise ValueError(f"to_onnx: model expected {want}, got {got}")
    export.to_onnx(model, {"x": x}, path)


# endregion


# region layer
class OnnxLinear(nn.Module):
    def __init__(self, layer):
        super().__init__()
        bits, signed, _, narrow_range = layer.codes
        qmin, qmax = code_range(bits, signed, narrow_range)
        zero_point = layer.zero_point - layer.shift
        self.low = float(qmin - layer.zero_point)
        self.high = float(qmax - layer.zero_point)
        self.register_buffer("inv", 1 / layer.scale.detach())
        self.register_buffer("one", torch.ones_like(self.inv))
        self.register_buffer("zero_point", zero_point.to(torch.int8))
        self.register_buffer("weight", layer.weight)
        self.register_buffer(
            "weight_zero", torch.zeros((), dtype=torch.int8)
        )
        self.register_buffer("bias", layer.bias)
        self.register_buffer("out_scale", layer.out_scale.detach())
        self.register_buffer("out_zero", torch.zeros_like(layer.bias))

    def forward(self, x):
        u = torch.clip(x * self.inv, self.low, self.high)
        scaled = u, self.one, self.zero_point
        q = onnx_op("QuantizeLinear", scaled, torch.int8, x.shape)
        shape = (*x.shape[:-1], self.weight.shape[0])
        factors = q, self.weight.T, self.zero_point, self.weight_zero
        total = onnx_op("MatMulInteger", factors, torch.int32, shape)
        steps = total + self.bias, self.out_scale, self.out_zero
        y = onnx_op("DequantizeLinear", steps, x.dtype, shape, axis=-1)
        known = torch.where(torch.isnan(x), x, torch.zeros_like(x))
        return y + torch.sum(known, dim=-1, keepdim=True)


# endregion


# region try
if __name__ == "__main__":
    from pytorch_impl.quantization.convert import convert
    from pytorch_impl.quantization.qat_linear import QATLinear

    layer, x = QATLinear(3, 2, weight_bits=4), torch.ones((4, 3))
    layer(x)
    with tempfile.TemporaryDirectory() as folder:
        to_onnx(convert(layer), x, f"{folder}/linear.onnx")
        print(os.listdir(folder))
# endregion

"""What to_onnx changes in a layer, so that ONNX computes the same.

for_onnx(layer)  with these in it instead:
    OnnxHalfSpectrum  for HalfSpectrum: a product with the cosines and
        sines. onnxruntime 1.31.1 computes ONNX's DFT in float32 up to
        1.8 budgets off, and OpenVINO 2026.4.1 gives it another shape
    OnnxQuantizer     for each quantizer, of float32: ONNX has no codes
        of float64, there the plain operations stay
    OnnxLinear        for each Int8Linear

y_f = sum_n x_n (cos, -sin)(tau (f n mod N) / N), in float64

Axes:   N samples, F = floor(N/2) + 1 bins, 2 (re, im), ... leading
"""

# region imports
import math

import torch
from torch import nn

from pytorch_impl.half_spectrum import HalfSpectrum
from pytorch_impl.precision import cast_like
from pytorch_impl.quantization.export import OnnxLinear
from pytorch_impl.quantization.int8_linear import Int8Linear
from pytorch_impl.quantization.lsq import LSQ
from pytorch_impl.quantization.lsq_plus import LSQPlus
from pytorch_impl.quantization.onnx_quantizer import OnnxQuantizer
from pytorch_impl.quantization.pact import PACT
from pytorch_impl.quantization.places import find, replace
from pytorch_impl.quantization.quantizers import FakeQuantizer

# endregion


# region function
def for_onnx(layer):
    made = {}
    for name in find(layer, HalfSpectrum):
        made[name] = OnnxHalfSpectrum()
    for name, part in find(layer, Int8Linear).items():
        made[name] = OnnxLinear(part)
    kinds = FakeQuantizer, PACT, LSQ, LSQPlus
    for name, part in find(layer, kinds).items():
        quantizer = OnnxQuantizer(part)
        if quantizer.scale.dtype == torch.float32:
            made[name] = quantizer
    for name, new in made.items():
        layer = replace(layer, name, new)
    return layer


# endregion


# region layer
class OnnxHalfSpectrum(nn.Module):
    def __init__(self):
        super().__init__()
        tau = torch.tensor(2 * math.pi, dtype=torch.float64)
        self.register_buffer("tau", tau)  # a number would be float32

    def forward(self, x):
        n = torch.arange(x.shape[-1])
        f = torch.arange(x.shape[-1] // 2 + 1)
        size = n[-1:] + 1  # an array: a file has no use for a number
        turns = (n[:, None] * f) % size  # N F
        angles = self.tau * turns.double() / size.double()
        re = torch.matmul(x.double(), torch.cos(angles))
        im = torch.matmul(x.double(), -torch.sin(angles))
        return cast_like(torch.stack((re, im), dim=-1), x)  # ... F 2


# endregion


# region try
if __name__ == "__main__":
    layer = HalfSpectrum()
    x = torch.linspace(1.0, 4.0, 4)
    print(layer(x), for_onnx(layer)(x))
# endregion

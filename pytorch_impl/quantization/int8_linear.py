"""Int8Linear: the layer that runs when training is over, in integers.

convert makes it of a QATLinear; its weight takes a byte a number
q_i = quantize(x_i, scale, zero_point);  x_i is about (q_i - z) scale
a_o = sum_i q_i W_oi - z sum_i W_oi + B_o, exact
y_o = a_o out_scale_o, rounded once (twice where |a_o| is above 2^24);
NaN where an x_i is NaN, which no code is, as QATLinear has it

Axes:   I in_features, O out_features, ... any leading axes
State:  weight (O, I), its codes in int8; bias (O) in int32, in steps of
        out_scale (O), the product of both scales; scale, zero_point ()
        codes: a Codes; unsigned ones are moved to begin at -128
Raises: TypeError, ValueError as quantize and linear
Ref:    Jacob et al. 2018, CVPR, 2.2 to 2.4
"""

# region imports
import torch
from torch import nn

from pytorch_impl.checks import check_input
from pytorch_impl.precision import cast_like, widen
from pytorch_impl.quantization.codes import Codes
from pytorch_impl.quantization.fake_quantize import quantize

# endregion


# region function
def int8_matmul(q, weight):
    """int8 by int8; the sums are exact, and int32."""
    rows = torch.reshape(q, (-1, q.shape[-1]))
    total = torch._int_mm(rows, weight.T)
    return torch.reshape(total, (*q.shape[:-1], weight.shape[0]))


def unknown(x):
    """NaN for a row of x that has one, 0 for the others."""
    known = torch.where(x == x, torch.zeros_like(x), x)
    return torch.sum(known, axis=-1, keepdims=True)


def int8_linear(q, zero_point, weight, bias):
    total = int8_matmul(q, weight)  # ... O
    ones = torch.sum(weight, axis=1, dtype=torch.int32)  # O
    return total - zero_point * ones + bias


# endregion


# region layer
class Int8Linear(nn.Module):
    def __init__(
        self, weight, bias, out_scale, scale, zero_point, codes
    ):
        super().__init__()
        self.codes = codes
        self.shift = 0 if codes.signed else 2 ** (codes.bits - 1)
        self.register_buffer("weight", weight.to(torch.int8))
        self.register_buffer("bias", bias.to(torch.int32))
        self.register_buffer("out_scale", out_scale)
        self.register_buffer("scale", scale.detach().clone())
        self.register_buffer("zero_point", zero_point)

    def input_codes(self, x):
        check_input("Int8Linear", x, "... I", I=self.weight.shape[1])
        q = quantize(x, self.scale, self.zero_point, *self.codes)
        return (q - self.shift).to(torch.int8)

    def total(self, x):
        """The exact sums, int32, in steps of out_scale."""
        zero_point = self.zero_point - self.shift
        return int8_linear(
            self.input_codes(x), zero_point, self.weight, self.bias
        )

    def forward(self, x):
        scale = widen(self.out_scale)
        y = cast_like(self.total(x), scale) * scale
        return cast_like(y, x) + unknown(x)


# endregion


# region try
if __name__ == "__main__":
    weight, bias = torch.tensor([[1, -2, 3]]), torch.tensor([7])
    scale, zero_point = torch.tensor(0.5), torch.tensor(-1).int()
    given = torch.tensor([0.25]), scale, zero_point, Codes(bits=4)
    layer = Int8Linear(weight, bias, *given)
    x = torch.tensor([[1.0, 0.0, -1.0]])
    print(layer.input_codes(x), layer.total(x), layer(x))
# endregion

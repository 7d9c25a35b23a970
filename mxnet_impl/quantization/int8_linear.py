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
from mxnet import np
from mxnet.gluon import nn

from mxnet_impl.checks import check_input
from mxnet_impl.precision import cast_like, widen
from mxnet_impl.quantization.code_linear import exact_matmul
from mxnet_impl.quantization.codes import Codes
from mxnet_impl.quantization.fake_quantize import quantize

# endregion


# region function
def int8_matmul(q, weight):
    """int8 by int8; the sums are exact, and int32."""
    if 0 in q.shape:
        shape = (*q.shape[:-1], weight.shape[0])
        return np.zeros(shape, dtype=np.int32)
    return exact_matmul(q, weight).astype(np.int32)


def unknown(x):
    """NaN for a row of x that has one, 0 for the others."""
    if 0 in x.shape:
        return 0
    known = np.where(x == x, np.zeros_like(x), x)
    return np.sum(known, axis=-1, keepdims=True)


def int8_linear(q, zero_point, weight, bias):
    total = int8_matmul(q, weight)  # ... O
    ones = np.sum(weight, axis=1, dtype=np.int32)  # O
    return total - zero_point * ones + bias


# endregion


# region layer
class Int8Linear(nn.Block):
    def __init__(
        self, weight, bias, out_scale, scale, zero_point, codes
    ):
        super().__init__()
        self.codes = codes
        self.shift = 0 if codes.signed else 2 ** (codes.bits - 1)
        self.weight = self.state("weight", weight.astype(np.int8))
        self.bias = self.state("bias", bias.astype(np.int32))
        self.out_scale = self.state("out_scale", out_scale)
        self.scale = self.state("scale", scale)
        self.zero_point = self.state("zero_point", zero_point)

    def state(self, name, value):
        options = dict(shape=value.shape, dtype=value.dtype)
        made = self.params.get(name, differentiable=False, **options)
        made._load_init(value, None)
        return made

    def cast(self, dtype):
        """Codes and sums stay whole numbers."""
        self.out_scale.cast(dtype)
        self.scale.cast(dtype)

    def input_codes(self, x):
        check_input("Int8Linear", x, "... I", I=self.weight.shape[1])
        scale, zero_point = self.scale.data(), self.zero_point.data()
        q = quantize(x, scale, zero_point, *self.codes)
        return (q - self.shift).astype(np.int8)

    def total(self, x):
        """The exact sums, int32, in steps of out_scale."""
        weight, bias = self.weight.data(), self.bias.data()
        zero_point = self.zero_point.data() - self.shift
        return int8_linear(
            self.input_codes(x), zero_point, weight, bias
        )

    def forward(self, x):
        scale = widen(self.out_scale.data())
        y = cast_like(self.total(x), scale) * scale
        return cast_like(y, x) + unknown(x)


# endregion


# region try
if __name__ == "__main__":
    weight, bias = np.array([[1, -2, 3]]), np.array([7])
    scale, zero_point = np.array(0.5), np.array(-1, dtype=np.int32)
    given = np.array([0.25]), scale, zero_point, Codes(bits=4)
    layer = Int8Linear(weight, bias, *given)
    x = np.array([[1.0, 0.0, -1.0]])
    print(layer.input_codes(x), layer.total(x), layer(x))
# endregion


# region what differs here
# alignment: a buffer is a Parameter, not differentiable, which is made
# and filled as load_parameters does it; Block.cast would cast them all
# mxnet 1.9.1: dot and matmul refuse integers on the CPU; in float64
# their sums are exact below 2^53; dot and sum refuse no rows
# endregion

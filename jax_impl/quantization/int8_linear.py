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
import jax.numpy as jnp
from flax import nnx

from jax_impl.checks import check_input
from jax_impl.precision import cast_like, widen
from jax_impl.quantization.codes import Codes
from jax_impl.quantization.fake_quantize import quantize

# endregion


# region function
def int8_matmul(q, weight):
    """int8 by int8; the sums are exact, and int32."""
    wide = jnp.int32
    return jnp.matmul(q, weight.T, preferred_element_type=wide)


def unknown(x):
    """NaN for a row of x that has one, 0 for the others."""
    known = jnp.where(x == x, jnp.zeros_like(x), x)
    return jnp.sum(known, axis=-1, keepdims=True)


def int8_linear(q, zero_point, weight, bias):
    total = int8_matmul(q, weight)  # ... O
    ones = jnp.sum(weight, axis=1, dtype=jnp.int32)  # O
    return total - zero_point * ones + bias


# endregion


# region layer
class Int8Linear(nnx.Module):
    def __init__(
        self, weight, bias, out_scale, scale, zero_point, codes
    ):
        super().__init__()
        self.codes = codes
        self.shift = 0 if codes.signed else 2 ** (codes.bits - 1)
        self.weight = nnx.Variable(weight.astype(jnp.int8))
        self.bias = nnx.Variable(bias.astype(jnp.int32))
        self.out_scale = nnx.Variable(out_scale)
        self.scale = nnx.Variable(scale)
        self.zero_point = nnx.Variable(zero_point)

    def input_codes(self, x):
        check_input("Int8Linear", x, "... I", I=self.weight.shape[1])
        qparams = self.scale[...], self.zero_point[...]
        q = quantize(x, *qparams, *self.codes)
        return (q - self.shift).astype(jnp.int8)

    def total(self, x):
        """The exact sums, int32, in steps of out_scale."""
        zero_point = self.zero_point[...] - self.shift
        return int8_linear(
            self.input_codes(x),
            zero_point,
            self.weight[...],
            self.bias[...],
        )

    def __call__(self, x):
        scale = widen(self.out_scale[...])
        y = cast_like(self.total(x), scale) * scale
        return cast_like(y, x) + unknown(x)


# endregion


# region try
if __name__ == "__main__":
    weight, bias = jnp.asarray([[1, -2, 3]]), jnp.asarray([7])
    scale, zero_point = jnp.asarray(0.5), jnp.asarray(-1, jnp.int32)
    given = jnp.asarray([0.25]), scale, zero_point, Codes(bits=4)
    layer = Int8Linear(weight, bias, *given)
    x = jnp.asarray([[1.0, 0.0, -1.0]])
    print(layer.input_codes(x), layer.total(x), layer(x))
# endregion


# region what differs here
# jax 0.10.2: int8 by int8 is int8 again, and wraps, where no
# preferred_element_type says more
# endregion

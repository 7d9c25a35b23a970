"""QATLinear: a linear layer that trains with its quantization errors.

x and weight pass through quantizers: quantization-aware training
y = code_linear(input_quantizer(x), weight_quantizer(weight), bias)
When it is trained, convert makes it an Int8Linear with the same y

Axes:   I in_features, O out_features, ... any leading axes
Params: weight (O, I), starts as glorot; bias (O), starts as zeros
        those of the quantizers; the weight has a scale for each o
Kinds:  weight_quantizer absmax or lsq; input_quantizer any, of signed
        codes if input_signed; bits 2 to 8
mode:   "observe", "quantize" or "frozen", see modes
Raises: TypeError, ValueError as linear and the quantizers
Ref:    Jacob et al. 2018, CVPR, 3; Krishnamoorthi 2018, 1806.08342
"""

# region imports
import jax.numpy as jnp
from flax import nnx

from jax_impl.checks import check_input
from jax_impl.glorot import glorot, sizes
from jax_impl.linear import linear
from jax_impl.precision import cast_like, widen
from jax_impl.quantization.code_linear import code_linear
from jax_impl.quantization.modes import Mode, in_state, show
from jax_impl.quantization.quantizers import make_quantizer, on_codes

# endregion


# region function
def check_choice(weight_quantizer: str, *bits: int):
    """A weight has codes around 0, and all codes fit into int8."""
    if weight_quantizer not in ("absmax", "lsq"):
        want, got = "absmax or lsq", repr(weight_quantizer)
        raise ValueError(f"weight_quantizer expected {want}, got {got}")
    for count in bits:
        if count not in range(2, 9):
            raise ValueError(f"bits expected 2 to 8, got {count!r}")


# endregion


# region layer
class QATLinear(nnx.Module):
    mode = in_state

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        weight_bits: int = 8,
        input_bits: int = 8,
        weight_quantizer: str = "absmax",
        input_quantizer: str = "moving_average",
        input_signed: bool = True,
        *,
        rngs,
    ):
        super().__init__()
        check_choice(weight_quantizer, weight_bits, input_bits)
        shape = sizes(out_features, in_features)
        start = glorot(*shape, rngs=rngs)
        self.weight = nnx.Param(start)
        self.bias = nnx.data(None)
        if bias:
            self.bias = nnx.Param(jnp.zeros(out_features))
        self.weight_quantizer = make_quantizer(
            weight_quantizer, weight_bits, True, 0, shape
        )
        self.input_quantizer = make_quantizer(
            input_quantizer, input_bits, input_signed
        )
        self.state = Mode()

    def __call__(self, x):
        size, like = self.weight.shape[1], [self.weight]
        check_input("QATLinear", x, "... I", like=like, I=size)
        wide, weight = widen(x), widen(self.weight[...])
        bias = None if self.bias is None else widen(self.bias[...])
        mode, training = self.mode, not self.state.use_running_average
        show(self.input_quantizer, wide, mode, training)
        show(self.weight_quantizer, weight, mode, training)
        if mode == "observe":
            return cast_like(linear(wide, weight, bias), x)
        wide, x_scale = on_codes(self.input_quantizer, wide)
        weight, w_scale = on_codes(self.weight_quantizer, weight)
        y = code_linear(wide, weight, bias, x_scale, w_scale)
        return cast_like(y, x)


# endregion


# region try
if __name__ == "__main__":
    layer = QATLinear(3, 2, weight_bits=4, rngs=nnx.Rngs(0))
    x = jnp.ones((4, 3))
    print(layer(x))
    layer.mode = "frozen"
    print(layer(2 * x))
# endregion


# region what differs here
# flax 0.12.8: ranges are nnx.BatchStat, not nnx.Param: nnx.grad leaves
# them alone and nnx.jit hands them back; another mode compiles again
# jax 0.10.2: compiled, a * b + c is rounded once on the CPU: a moving
# average may have another last bit than op by op
# endregion

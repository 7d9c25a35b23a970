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
import tensorflow as tf

from tf_impl.checks import check_input
from tf_impl.exact_weight import exact_weight
from tf_impl.glorot import glorot, sizes
from tf_impl.linear import linear
from tf_impl.precision import cast_like, widen
from tf_impl.quantization.code_linear import code_linear
from tf_impl.quantization.modes import OBSERVE, Mode, in_state, show
from tf_impl.quantization.quantizers import make_quantizer, on_codes

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
class QATLinear(tf.keras.layers.Layer):
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
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.built = True
        policy = "float64" if "64" in self.variable_dtype else "float32"
        check_choice(weight_quantizer, weight_bits, input_bits)
        shape = sizes(out_features, in_features)
        start = glorot(*shape)
        self.weight = exact_weight(self, shape, start, "weight")
        self.bias = None
        if bias:
            self.bias = exact_weight(self, shape[:1], "zeros", "bias")
        self.weight_quantizer = make_quantizer(
            weight_quantizer, weight_bits, True, 0, shape, dtype=policy
        )
        self.input_quantizer = make_quantizer(
            input_quantizer, input_bits, input_signed, dtype=policy
        )
        self.state = Mode(dtype=policy)

    def call(self, x, training=None):
        check_input("QATLinear", x, "... I", I=self.weight.shape[1])
        wide, weight = widen(x), widen(self.weight.value)
        bias = None if self.bias is None else widen(self.bias.value)
        mode = self.state.place.value
        show(self.input_quantizer, wide, mode, training)
        show(self.weight_quantizer, weight, mode, training)
        y = tf.cond(
            mode == OBSERVE,
            lambda: linear(wide, weight, bias),
            lambda: self.from_codes(wide, weight, bias),
        )
        return cast_like(y, x)

    def from_codes(self, x, weight, bias):
        x, x_scale = on_codes(self.input_quantizer, x)
        weight, w_scale = on_codes(self.weight_quantizer, weight)
        return code_linear(x, weight, bias, x_scale, w_scale)


# endregion


# region try
if __name__ == "__main__":
    layer, x = QATLinear(3, 2, weight_bits=4), tf.ones((4, 3))
    print(layer(x))
    layer.mode = "frozen"
    print(layer(2 * x))
# endregion


# region what differs here
# keras 3.15.1: sublayers follow the global dtype policy, not that of
# the layer which holds them: it is handed on. built: see modes
# endregion

"""LSQPlus: a quantizer that learns its step and its offset.

u_i = (x_i - offset) inv, inv = 1 / step rounded once
y_i = step round(clip(u_i, qmin, qmax)) + offset

Axes:   x any shape; C its size along axis, num_channels
Params: step, offset () or, along axis, (C); start as NaN and as 0:
        start(x) sets step to 2 mean |x| / sqrt(qmax)
Grads:  as lsq; the factor g applies to both, step and offset
Raises: TypeError, ValueError as lsq
Ref:    Bhalgat et al. 2020, CVPRW, eq. 1 to 5
"""

# region imports
import tensorflow as tf

from tf_impl.quantization.codes import code_range, first_step
from tf_impl.quantization.lsq import lsq

# endregion


# region layer
class LSQPlus(tf.keras.layers.Layer):
    def __init__(
        self,
        bits: int = 4,
        signed: bool = True,
        num_elements=None,
        axis=None,
        num_channels=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        code_range(bits, signed)
        shape = () if axis is None else (num_channels,)
        self.options = bits, signed, num_elements, axis
        start = tf.keras.initializers.Constant(float("nan"))
        self.step = self.add_weight(shape, start, name="step")
        self.offset = self.add_weight(shape, "zeros", name="offset")

    def start(self, x):
        bits, signed, _, axis = self.options
        self.step.assign(first_step(x, bits, signed, axis))

    def call(self, x):
        pair = self.step.value, self.offset.value
        return lsq(x, *pair, *self.options)


# endregion


# region try
if __name__ == "__main__":
    layer, x = LSQPlus(bits=3), tf.constant([-2.0, -0.4, 0.1, 0.9])
    layer.start(x)
    print(layer.step.value, layer.offset.value, layer(x))
# endregion


# region what differs here
# tensorflow 2.21.0, jit_compile=True: step round(u) + offset is rounded
# once: 224,582 of 1,048,576 float32 results differ in the last place
# keras 3.15.1: a layer casts a floating x to its own dtype, float32
# unless dtype= or the global policy says otherwise; lsq itself
# refuses float16
# endregion

"""FakeQuantizer: fake_quantize on the grid of what was observed.

y = fake_quantize(x, scale, zero_point, bits, signed, axis, symmetric),
scale and zero_point of the grid that covers observer.bounds

Axes:   x any shape; C its size along observer.axis
State:  observer.bounds
Grads:  as fake_quantize: none through the range
Raises: ValueError before start(x), which lets the observer see x
        TypeError, ValueError as fake_quantize and observers
Ref:    Jacob et al. 2018, CVPR, 3.1
"""

# region imports
import tensorflow as tf

from tf_impl.quantization.codes import code_range
from tf_impl.quantization.fake_quantize import fake_quantize
from tf_impl.quantization.observers import MinMaxObserver
from tf_impl.quantization.qparams import affine_grid, symmetric_grid

# endregion


# region layer
class FakeQuantizer(tf.keras.layers.Layer):
    def __init__(
        self,
        observer,
        bits: int = 8,
        signed: bool = True,
        symmetric: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.built = True  # keras 3.15.1: observers are not called
        code_range(bits, signed, symmetric)
        self.observer, self.symmetric = observer, symmetric
        self.options = bits, signed, observer.axis, symmetric

    def start(self, x):
        self.observer.observe(x)

    def grid(self):
        make = symmetric_grid if self.symmetric else affine_grid
        return make(self.observer.bounds.value, *self.options[:2])

    def call(self, x):
        scale, zero_point = self.grid()
        return fake_quantize(x, scale, zero_point, *self.options)


# endregion


# region try
if __name__ == "__main__":
    quantizer, x = (
        FakeQuantizer(MinMaxObserver(), bits=3),
        tf.ones((2,)),
    )
    quantizer.start(tf.linspace(-1.0, 2.0, 7))
    print(quantizer.grid(), quantizer(x))
# endregion

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
from flax import nnx

from jax_impl.quantization.codes import code_range
from jax_impl.quantization.fake_quantize import fake_quantize
from jax_impl.quantization.observers import MinMaxObserver
from jax_impl.quantization.qparams import affine_grid, symmetric_grid

# endregion


# region layer
class FakeQuantizer(nnx.Module):
    def __init__(
        self,
        observer,
        bits: int = 8,
        signed: bool = True,
        symmetric: bool = False,
    ):
        super().__init__()
        code_range(bits, signed, symmetric)
        self.observer, self.symmetric = observer, symmetric
        self.options = bits, signed, observer.axis, symmetric

    def start(self, x):
        self.observer.observe(x)

    def grid(self):
        make = symmetric_grid if self.symmetric else affine_grid
        return make(self.observer.bounds[...], *self.options[:2])

    def __call__(self, x):
        scale, zero_point = self.grid()
        return fake_quantize(x, scale, zero_point, *self.options)


# endregion


# region try
if __name__ == "__main__":
    import jax.numpy as jnp

    quantizer, x = (
        FakeQuantizer(MinMaxObserver(), bits=3),
        jnp.ones(2),
    )
    quantizer.start(jnp.linspace(-1.0, 2.0, 7))
    print(quantizer.grid(), quantizer(x))
# endregion

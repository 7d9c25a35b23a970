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
import jax.numpy as jnp
from flax import nnx

from jax_impl.quantization.codes import code_range, first_step
from jax_impl.quantization.lsq import lsq

# endregion


# region layer
class LSQPlus(nnx.Module):
    def __init__(
        self,
        bits: int = 4,
        signed: bool = True,
        num_elements=None,
        axis=None,
        num_channels=None,
    ):
        super().__init__()
        code_range(bits, signed)
        shape = () if axis is None else (num_channels,)
        self.options = bits, signed, num_elements, axis
        self.step = nnx.Param(jnp.full(shape, jnp.nan))
        self.offset = nnx.Param(jnp.zeros(shape))

    def start(self, x):
        bits, signed, _, axis = self.options
        self.step.set_value(first_step(x, bits, signed, axis))
        self.offset.set_value(self.offset[...].astype(x.dtype))

    def __call__(self, x):
        return lsq(x, self.step[...], self.offset[...], *self.options)


# endregion


# region try
if __name__ == "__main__":
    layer, x = LSQPlus(bits=3), jnp.asarray([-2.0, -0.4, 0.1, 0.9])
    layer.start(x)
    print(layer.step[...], layer.offset[...], layer(x))
# endregion


# region what differs here
# flax 0.12.8: step[...] = a keeps the old dtype and set_value does not;
# no layer.to(dtype), so start gives the parameters the dtype of x
# endregion

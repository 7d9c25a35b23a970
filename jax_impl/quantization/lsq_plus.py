"""LSQPlus: LSQ for numbers that are not around 0: it learns an offset.

u_i = (x_i - offset) inv, inv = 1 / step rounded once
y_i = step round(clip(u_i, qmin, qmax)) + offset

Axes:   x any shape; C its size along axis, num_channels
Params: step, offset () or, along axis, (C); start as NaN and as 0:
        start(x) sets step to 2 mean |x| / sqrt(qmax)
Grads:  x and step as lsq, of x - offset; offset receives g sum dy over
        the numbers that are outside; g, as in lsq, applies to both
Raises: TypeError, ValueError as lsq
Ref:    Bhalgat et al. 2020, CVPRW, eq. 1 to 5
"""

# region imports
import jax
import jax.numpy as jnp
from flax import nnx

from jax_impl.arguments import channels, counted
from jax_impl.precision import cast_like, widen
from jax_impl.quantization.codes import (
    along,
    check_quantizer,
    code_range,
    make_codes,
    rows,
)
from jax_impl.quantization.lsq import lsq_backward, lsq_forward
from jax_impl.quantization.qparams import count, first_step

# endregion


# region gradient rule
def lsq_plus_forward(x, step, offset, qmin, qmax):
    return lsq_forward(x - offset, step, qmin, qmax) + offset


def lsq_plus_backward(dy, x, step, offset, qmin, qmax):
    dx, dstep = lsq_backward(dy, x - offset, step, qmin, qmax)
    return dx, dstep, dy - dx


def lsq_plus_primal(x, step, offset, g, qmin, qmax, axis):
    step, offset = along(step, x, axis), along(offset, x, axis)
    return lsq_plus_forward(x, step, offset, qmin, qmax)


def lsq_plus_fwd(*inputs):
    return lsq_plus_rule(*inputs), inputs[:4]


def lsq_plus_bwd(qmin, qmax, axis, saved, dy):
    x, step, offset, g = saved
    step, offset = along(step, x, axis), along(offset, x, axis)
    dx, *terms = lsq_plus_backward(dy, x, step, offset, qmin, qmax)
    return dx, *(jnp.sum(rows(t, axis), -1) * g for t in terms), None


lsq_plus_rule = jax.custom_vjp(lsq_plus_primal, (4, 5, 6))
lsq_plus_rule.defvjp(lsq_plus_fwd, lsq_plus_bwd)
# endregion


# region function
def lsq_plus(
    x, step, offset, bits=4, signed=True, axis=None, num_elements=None
):
    qmin, qmax = code_range(bits, signed)
    wx, step, axis = check_quantizer("lsq_plus", x, step, axis, "step")
    n = count(num_elements, wx, axis)
    every = wx, step, widen(offset), (n * qmax) ** -0.5
    return cast_like(lsq_plus_rule(*every, qmin, qmax, axis), x)


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
        self.codes = make_codes(bits, signed, axis)
        shape = channels(axis, num_channels)
        self.options = *self.codes[:3], counted(num_elements)
        self.step = nnx.Param(jnp.full(shape, jnp.nan))
        self.offset = nnx.Param(jnp.zeros(shape))

    def start(self, x):
        self.step.set_value(first_step(x, self.codes))
        self.offset.set_value(self.offset[...].astype(x.dtype))

    def __call__(self, x):
        step, offset = self.step[...], self.offset[...]
        return lsq_plus(x, step, offset, *self.options)


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

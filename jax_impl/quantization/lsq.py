"""LSQ: a quantizer that learns its step.

u_i = (x_i - offset) inv, inv = 1 / step rounded once
y_i = step round(clip(u_i, qmin, qmax)) + offset; LSQ has offset 0

Axes:   x any shape; C its size along axis, num_channels
Params: step () or, along axis, (C); starts as NaN, start(x) sets it to
        2 mean |x| / sqrt(qmax) over what shares a step
Grads:  x receives dy where qmin < u < qmax, else 0
        step receives g sum dy d; d = round(u) - u inside, else qmin or
        qmax; offset receives g sum dy over what is outside
        g = 1 / sqrt(num_elements qmax); None: all that share a step
Raises: TypeError, ValueError as quantizer
Ref:    Esser et al. 2020, ICLR, eq. 1 to 5
"""

# region imports
import jax
import jax.numpy as jnp
from flax import nnx

from jax_impl.quantization.codes import (
    along,
    check_quantizer,
    code_range,
    first_step,
    rows,
)

# endregion


# region gradient rule
def scaled(x, step, offset):
    inv = 1 / jnp.where(step > 0, step, jnp.nan)
    return (x if offset is None else x - offset) * inv


def lsq_forward(x, step, offset, qmin, qmax):
    u = scaled(x, step, offset)
    y = jnp.round(jnp.clip(u, qmin, qmax)) * step
    return y if offset is None else y + offset


def lsq_backward(dy, x, step, offset, qmin, qmax):
    u = scaled(x, step, offset)
    inside = (qmin < u) & (u < qmax)
    bound = jnp.clip(u, qmin, qmax)
    d = jnp.where(inside, jnp.round(u) - u, bound)
    dx = jnp.where(inside, dy, jnp.zeros_like(dy))
    return dx, dy * d, dy - dx


def push(x, step, offset, qmin, qmax, axis, g):
    step, offset = along(step, x, axis), along(offset, x, axis)
    return lsq_forward(x, step, offset, qmin, qmax)


def pull(qmin, qmax, axis, g, saved, dy):
    x, step, offset = saved
    pair = along(step, x, axis), along(offset, x, axis)
    dx, *each = lsq_backward(dy, x, *pair, qmin, qmax)
    each = [jnp.sum(rows(d, axis), axis=-1) * g for d in each]
    return dx, each[0], None if offset is None else each[1]


lsq_rule = jax.custom_vjp(push, nondiff_argnums=(3, 4, 5, 6))
lsq_rule.defvjp(lambda *inputs: (push(*inputs), inputs[:3]), pull)
# endregion


# region function
def lsq(
    x, step, offset=None, bits=4, signed=True, count=None, axis=None
):
    qmin, qmax = code_range(bits, signed)
    check_quantizer("lsq", x, step, axis, "step")
    n = rows(x, axis).shape[-1] if count is None else count
    g = (max(n, 1) * qmax) ** -0.5
    return lsq_rule(x, step, offset, qmin, qmax, axis, g)


# endregion


# region layer
class LSQ(nnx.Module):
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

    def start(self, x):
        bits, signed, _, axis = self.options
        self.step.set_value(first_step(x, bits, signed, axis))

    def __call__(self, x):
        return lsq(x, self.step[...], None, *self.options)


# endregion


# region try
if __name__ == "__main__":
    layer, x = LSQ(bits=3), jnp.asarray([-2.0, -0.4, 0.1, 0.9])
    layer.start(x)
    print(layer.step[...], layer(x))
# endregion

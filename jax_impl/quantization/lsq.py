"""LSQ: a quantizer whose step is learned, like a weight.

u_i = x_i inv, inv = 1 / step rounded once
y_i = step round(clip(u_i, qmin, qmax))

Axes:   x any shape; C its size along axis, num_channels
Params: step () or, along axis, (C); starts as NaN, start(x) sets it to
        2 mean |x| / sqrt(qmax) over the numbers that share a step
Grads:  x receives dy where qmin < u < qmax, else 0
        step receives g sum dy d; d = round(u) - u inside, else qmin or
        qmax; g = 1 / sqrt(num_elements qmax), where None counts all
        that share the step
Raises: TypeError, ValueError as codes, and as qparams for start(x)
Ref:    Esser et al. 2020, ICLR, eq. 1 to 5
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
from jax_impl.quantization.qparams import count, first_step, inverse

# endregion


# region gradient rule
def lsq_forward(x, step, qmin, qmax):
    u = x * inverse(step)
    return jnp.round(jnp.clip(u, qmin, qmax)) * step


def lsq_backward(dy, x, step, qmin, qmax):
    u = x * inverse(step)
    inside = (qmin < u) & (u < qmax)
    bound = jax.lax.stop_gradient(jnp.clip(u, qmin, qmax))
    d = jnp.where(inside, jnp.round(u) - u, bound)
    dx = jnp.where(inside, dy, jnp.zeros_like(dy))
    return dx, dy * d


def lsq_primal(x, step, g, qmin, qmax, axis):
    return lsq_forward(x, along(step, x, axis), qmin, qmax)


def lsq_fwd(*inputs):
    return lsq_rule(*inputs), inputs[:3]


def lsq_bwd(qmin, qmax, axis, saved, dy):
    x, step, g = saved
    dx, terms = lsq_backward(dy, x, along(step, x, axis), qmin, qmax)
    return dx, jnp.sum(rows(terms, axis), axis=-1) * g, None


lsq_rule = jax.custom_vjp(lsq_primal, nondiff_argnums=(3, 4, 5))
lsq_rule.defvjp(lsq_fwd, lsq_bwd)
# endregion


# region function
def lsq(x, step, bits=4, signed=True, axis=None, num_elements=None):
    qmin, qmax = code_range(bits, signed)
    wide, step, axis = check_quantizer("lsq", x, step, axis, "step")
    n = count(num_elements, wide, axis)
    g = (n * qmax) ** -0.5
    return cast_like(lsq_rule(wide, step, g, qmin, qmax, axis), x)


# endregion


# region layer
class LSQ(nnx.Module):
    observes = False  # the step is learned

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

    def start(self, x):
        self.step.set_value(first_step(x, self.codes))

    def qparams(self):
        step = widen(self.step[...])
        return step, jnp.zeros_like(step, dtype=jnp.int32)

    def __call__(self, x):
        return lsq(x, self.step[...], *self.options)


# endregion


# region try
if __name__ == "__main__":
    layer, x = LSQ(bits=3), jnp.asarray([-2.0, -0.4, 0.1, 0.9])
    layer.start(x)
    print(layer.step[...], layer(x))
# endregion

"""PACT: clip activations to a level that is learned, then quantize.

step = alpha / L, L = 2^bits - 1; inv = 1 / step, each rounded once
y_i = step * round(min(max(x_i, 0), alpha) inv), at most L steps

Axes:   x any shape
Params: alpha (), starts as alpha_init; start(x) sets it to
        2 mean |x| sqrt(L), L steps of LSQ, where an x is not 0
Grads:  x receives dy where 0 <= x < alpha, else 0
        alpha receives the sum of dy over x >= alpha, without a factor
Raises: TypeError if x is not of float32 or float64
        ValueError for other bits, or an alpha that is not positive and
        finite; compiled, such an alpha gives NaN
Ref:    Choi et al. 2018, arXiv 1805.06085, eq. 1 to 3
"""

# region imports
import jax
import jax.numpy as jnp
from flax import nnx

from jax_impl.arguments import real
from jax_impl.precision import cast_like, widen
from jax_impl.quantization.codes import (
    check_quantizer,
    code_range,
    make_codes,
)
from jax_impl.quantization.qparams import first_step

# endregion


# region gradient rule
def pact_forward(x, alpha, levels):
    step = alpha * (1 / levels)
    step = jnp.where(alpha > 0, step, step * jnp.nan)
    inv = 1 / step
    inside = jnp.minimum(jnp.maximum(x, 0 * alpha), alpha)
    code = jnp.clip(jnp.round(inside * inv), 0, levels)
    return code * step


def pact_backward(dy, x, alpha):
    zeros = jnp.zeros_like(dy)
    dx = jnp.where((x >= 0) & (x < alpha), dy, zeros)
    dalpha = jnp.sum(jnp.where(x >= alpha, dy, zeros))
    return dx, dalpha


pact_rule = jax.custom_vjp(pact_forward, nondiff_argnums=(2,))


def pact_fwd(x, alpha, levels):
    # the rule again: a second derivative goes through y as well
    return pact_rule(x, alpha, levels), (x, alpha)


def pact_bwd(levels, saved, dy):
    return pact_backward(dy, *saved)


pact_rule.defvjp(pact_fwd, pact_bwd)
# endregion


# region function
def pact(x, alpha, bits: int = 4):
    _, levels = code_range(bits, signed=False)
    checked = check_quantizer("pact", x, alpha, array="alpha")
    wide, alpha, _ = checked
    y = pact_rule(wide, alpha, levels)
    return cast_like(y, x)


# endregion


# region layer
class PACT(nnx.Module):
    observes = False  # alpha is learned

    def __init__(self, bits: int = 4, alpha_init: float = 6.0):
        super().__init__()
        self.codes = make_codes(bits, signed=False)
        self.levels = code_range(bits, signed=False)[1]
        start = real("alpha_init", alpha_init)
        self.alpha = nnx.Param(jnp.asarray(start, float))

    def start(self, x):
        step = first_step(x, self.codes)
        peak = jnp.max(jnp.abs(x))
        new = jnp.where(
            peak > 0, step * self.levels, widen(self.alpha[...])
        )
        self.alpha.set_value(new.astype(step.dtype))

    def qparams(self):
        scale = widen(self.alpha[...]) * (1 / self.levels)
        return scale, jnp.zeros_like(scale, dtype=jnp.int32)

    def __call__(self, x):
        return pact(x, self.alpha[...], self.codes.bits)


# endregion


# region try
if __name__ == "__main__":
    layer = PACT(bits=2)
    print(layer(jnp.asarray([-1.0, 0.9, 1.1, 5.9, 6.0])))
# endregion


# region what differs here
# jax 0.10.2: with jax_enable_x64 alpha starts as float64, and then a
# float32 x raises TypeError
# endregion

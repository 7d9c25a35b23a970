"""fake_quantize: what is left of x when it is stored in a few bits.

u_i = x_i inv, inv = 1 / scale rounded once; ties go to even numbers
quantize: code_i = clip(round(u_i) + zero_point, qmin, qmax)
fake_quantize: y_i = (code_i - zero_point) scale; NaN stays NaN, and
    quantize gives it the code of 0

Axes:   x any shape; scale and zero_point () or, along axis, (C)
        zero_point and codes are int32; qmin, qmax: of code_range
Grads:  x receives dy where qmin <= round(u) + zero_point <= qmax, the
        code before it is clipped, else 0: straight through
        scale receives 0: it is data here; lsq learns it
Ladder: codes, qparams, fake_quantize, observers, pact, lsq, lsq_plus,
        quantizers, code_linear, qat_linear, prepare, convert
Raises: TypeError, ValueError for dtypes and sizes that do not fit
Ref:    Jacob et al. 2018, CVPR, eq. 1 and 12; Bengio et al. 2013, 4
"""

# region imports
import jax
import jax.numpy as jnp

from jax_impl.checks import check_input
from jax_impl.precision import cast_like
from jax_impl.quantization.codes import (
    along,
    check_quantizer,
    code_range,
)

# endregion


# region gradient rule
def unclipped_code(x, scale, zero_point):
    inv = 1 / scale
    return jnp.round(x * inv) + zero_point


def fake_quantize_forward(x, scale, zero_point, qmin, qmax):
    code = unclipped_code(x, scale, zero_point)
    return (jnp.clip(code, qmin, qmax) - zero_point) * scale


def fake_quantize_backward(dy, x, scale, zero_point, qmin, qmax):
    code = unclipped_code(x, scale, zero_point)
    inside = (qmin <= code) & (code <= qmax)
    return jnp.where(inside, dy, jnp.zeros_like(dy))


fake_quantize_rule = jax.custom_vjp(
    fake_quantize_forward, nondiff_argnums=(3, 4)
)


def fake_quantize_fwd(x, scale, zero_point, *bounds):
    # the rule again: a second derivative goes through y as well
    y = fake_quantize_rule(x, scale, zero_point, *bounds)
    return y, (x, scale, zero_point)


def fake_quantize_bwd(qmin, qmax, saved, dy):
    dx = fake_quantize_backward(dy, *saved, qmin, qmax)
    return dx, jnp.zeros_like(saved[1]), None


fake_quantize_rule.defvjp(fake_quantize_fwd, fake_quantize_bwd)
# endregion


# region function
def expand(caller: str, x, scale, zero_point, axis):
    """All checked, both in a shape that broadcasts against x."""
    x, scale, axis = check_quantizer(caller, x, scale, axis)
    sizes = dict(zip("C", scale.shape))
    axes, only = " ".join(sizes), ["int32"]
    check_input(caller, zero_point, axes, only, "zero_point", **sizes)
    zero_point = along(zero_point, x, axis).astype(x.dtype)
    return x, along(scale, x, axis), zero_point


def quantize(
    x,
    scale,
    zero_point,
    bits: int = 8,
    signed: bool = True,
    axis=None,
    narrow_range: bool = False,
):
    qmin, qmax = code_range(bits, signed, narrow_range)
    x, *qparams = expand("quantize", x, scale, zero_point, axis)
    x = jnp.where(x == x, x, jnp.zeros_like(x))  # NaN: as 0
    code = unclipped_code(x, *qparams)
    return jnp.clip(code, qmin, qmax).astype(jnp.int32)


def fake_quantize(
    x,
    scale,
    zero_point,
    bits: int = 8,
    signed: bool = True,
    axis=None,
    narrow_range: bool = False,
):
    qmin, qmax = code_range(bits, signed, narrow_range)
    inputs = expand("fake_quantize", x, scale, zero_point, axis)
    return cast_like(fake_quantize_rule(*inputs, qmin, qmax), x)


# endregion


# region try
if __name__ == "__main__":
    x = jnp.asarray([-9.0, -0.25, 0.25, 0.75, 9.0])
    qparams = jnp.asarray(0.5), jnp.asarray(0, jnp.int32)
    print(quantize(x, *qparams, 4), fake_quantize(x, *qparams, 4))
# endregion

"""fake_quantize: to the nearest of a few equal steps, and back.

u_i = x_i inv, inv = 1 / scale rounded once; ties go to the even one
quantize: code_i = clip(round(u_i) + zero_point, qmin, qmax)
fake_quantize: y_i = (code_i - zero_point) scale

Axes:   x any shape; scale and zero_point () or, along axis, (C)
        zero_point and the codes are int32; qmin, qmax as code_range
Grads:  x receives dy where qmin <= round(u) + zero_point <= qmax, the
        code before it is clipped, else 0: straight through
        scale receives 0: it is data here; lsq learns it
Raises: TypeError if x is not of float32 or float64, scale of another
        dtype than x, or zero_point not of int32
        ValueError for scale, shapes, axis or bits that do not fit
Ref:    Jacob et al. 2018, CVPR, eq. 1 and 12; Bengio et al. 2013, 4
"""

# region imports
import jax
import jax.numpy as jnp

from jax_impl.checks import check_input
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


def keep(x, scale, zero_point, *bounds):
    y = fake_quantize_forward(x, scale, zero_point, *bounds)
    return y, (x, scale, zero_point)


def pull(qmin, qmax, saved, dy):
    dx = fake_quantize_backward(dy, *saved, qmin, qmax)
    dscale = jnp.zeros_like(saved[1])
    return dx, dscale, None


fake_quantize_rule = jax.custom_vjp(
    fake_quantize_forward, nondiff_argnums=(3, 4)
)
fake_quantize_rule.defvjp(keep, pull)
# endregion


# region function
def prepare(where: str, x, scale, zero_point, axis):
    """What broadcasts against x, checked."""
    check_quantizer(where, x, scale, axis)
    check_input(where, zero_point, "...", ["int32"], "zero_point")
    if zero_point.shape != scale.shape:
        want, got = tuple(scale.shape), tuple(zero_point.shape)
        raise ValueError(
            f"{where}: zero_point expected shape {want}, got {got}"
        )
    zero_point = along(zero_point, x, axis).astype(x.dtype)
    return along(scale, x, axis), zero_point


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
    scale, zero_point = prepare("quantize", x, scale, zero_point, axis)
    code = unclipped_code(x, scale, zero_point)
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
    bounds = code_range(bits, signed, narrow_range)
    pair = prepare("fake_quantize", x, scale, zero_point, axis)
    return fake_quantize_rule(x, *pair, *bounds)


# endregion


# region try
if __name__ == "__main__":
    x = jnp.asarray([-9.0, -0.25, 0.25, 0.75, 9.0])
    scale, zero_point = jnp.asarray(0.5), jnp.asarray(0, jnp.int32)
    print(quantize(x, scale, zero_point, bits=4))
    print(fake_quantize(x, scale, zero_point, bits=4))
# endregion

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
import tensorflow as tf

from tf_impl.checks import check_input
from tf_impl.custom_gradient import custom_gradient
from tf_impl.precision import cast_like
from tf_impl.quantization.codes import (
    along,
    check_quantizer,
    code_range,
)

# endregion


# region gradient rule
def unclipped_code(x, scale, zero_point):
    inv = 1 / scale
    return tf.round(x * inv) + zero_point


def fake_quantize_forward(x, scale, zero_point, qmin, qmax):
    code = unclipped_code(x, scale, zero_point)
    return (tf.clip_by_value(code, qmin, qmax) - zero_point) * scale


def fake_quantize_backward(dy, x, scale, zero_point, qmin, qmax):
    code = unclipped_code(x, scale, zero_point)
    inside = (qmin <= code) & (code <= qmax)
    return tf.where(inside, dy, tf.zeros_like(dy))


def fake_quantize_rule(x, scale, *rest):
    @custom_gradient
    def rule(x, scale):
        def backward(dy):
            dx = fake_quantize_backward(dy, x, scale, *rest)
            return dx, tf.zeros_like(scale)

        return fake_quantize_forward(x, scale, *rest), backward

    return rule(x, scale)


# endregion


# region function
def expand(caller: str, x, scale, zero_point, axis):
    """All checked, both in a shape that broadcasts against x."""
    x, scale, axis = check_quantizer(caller, x, scale, axis)
    sizes = dict(zip("C", scale.shape))
    axes, only = " ".join(sizes), ["int32"]
    check_input(caller, zero_point, axes, only, "zero_point", **sizes)
    zero_point = tf.cast(along(zero_point, x, axis), x.dtype)
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
    x = tf.where(x == x, x, tf.zeros_like(x))  # NaN: as 0
    code = unclipped_code(x, *qparams)
    return tf.cast(tf.clip_by_value(code, qmin, qmax), tf.int32)


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
    x = tf.constant([-9.0, -0.25, 0.25, 0.75, 9.0])
    print(fake_quantize(x, tf.constant(0.5), tf.constant(0), 4))
# endregion


# region what differs here
# tensorflow 2.21.0, in a tf.function: round(x / scale) is not eager's
# (16 of 700,000 at 1/3); tf.quantization.fake_quant_* rounds halves up
# endregion

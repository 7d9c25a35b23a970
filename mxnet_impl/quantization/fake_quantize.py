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
from mxnet import np

from mxnet_impl.checks import check_input
from mxnet_impl.custom_function import Function
from mxnet_impl.precision import cast_like
from mxnet_impl.quantization.codes import (
    along,
    check_quantizer,
    code_range,
)

# endregion


# region gradient rule
def unclipped_code(x, scale, zero_point):
    inv = 1 / scale
    return np.around(x * inv) + zero_point


def fake_quantize_forward(x, scale, zero_point, qmin, qmax):
    code = unclipped_code(x, scale, zero_point)
    return (np.clip(code, qmin, qmax) - zero_point) * scale


def fake_quantize_backward(dy, x, scale, zero_point, qmin, qmax):
    code = unclipped_code(x, scale, zero_point)
    inside = (qmin <= code) & (code <= qmax)
    return np.where(inside, dy, np.zeros_like(dy))


class FakeQuantizeRule(Function):
    def forward(self, x, scale, zero_point):
        self.save_for_backward(x, scale, zero_point)
        every = x, scale, zero_point, *self.options
        return fake_quantize_forward(*every)

    def backward(self, dy):
        every = *self.saved_tensors, *self.options
        dx = fake_quantize_backward(dy, *every)
        dscale = np.zeros_like(self.saved_tensors[1])
        return dx, dscale, None


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
    x = np.where(x == x, x, np.zeros_like(x))  # NaN: as 0
    code = unclipped_code(x, *qparams)
    return np.clip(code, qmin, qmax).astype(np.int32)


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
    return cast_like(FakeQuantizeRule(qmin, qmax)(*inputs), x)


# endregion


# region try
if __name__ == "__main__":
    x = np.array([-9.0, -0.25, 0.25, 0.75, 9.0])
    scale, zero_point = np.array(0.5), np.array(0, dtype=np.int32)
    print(quantize(x, scale, zero_point, bits=4))
    print(fake_quantize(x, scale, zero_point, bits=4))
# endregion

"""code_linear: a linear layer of quantized numbers, summed as codes.

A number that a quantizer gave is a whole number of steps; sums of whole
numbers are exact, so y is what an int8 layer gives, to the last bit
a_i = round(x_i / x_scale), w_oi = round(W_oi / w_scale_o) are codes
s_o = x_scale w_scale_o
y_o = (sum_i a_i w_oi + round(b_o / s_o)) s_o, rounded once, by s_o

Axes:   I in_features, O out_features, ... any leading axes
        x_scale (), w_scale (O)
Grads:  those of linear, as if nothing were rounded:
        x receives sum_o dy_o W_oi, weight sum dy_o x_i, bias sum dy_o;
        the scales receive 0: x and weight carry their gradients
Raises: TypeError, ValueError as linear
Ref:    Jacob et al. 2018, CVPR, 2.2 and 2.4 (the bias in steps of s)
"""

# region imports
import jax
import jax.numpy as jnp

from jax_impl.checks import check_input

# endregion


# region gradient rule
def exact_matmul(x, weight):
    """Of whole numbers; in int32, since JAX may have no float64."""
    x, weight = x.astype(jnp.int32), weight.astype(jnp.int32)
    return jnp.matmul(x, weight.T)  # ... O


def fits(a, w, total, b):
    """int32 wraps from 2^31 on, by multiples of 2^32, and has no NaN;
    the sum in floats is near the right one, and may be NaN."""
    near = jnp.matmul(a, w.T)  # ... O
    most = jnp.abs(total).astype(b.dtype) + jnp.abs(b)
    return (jnp.abs(near - total) < 2.0**31) & (most < 2.0**31)


def code_linear_forward(x, weight, bias, x_scale, w_scale):
    scale = x_scale * w_scale  # O
    a = jnp.round(x * (1 / x_scale))  # ... I
    w = jnp.round(weight * (1 / w_scale)[:, None])  # O I
    total, b = exact_matmul(a, w), jnp.round(bias * (1 / scale))
    y = (total + b.astype(jnp.int32)).astype(x.dtype) * scale  # ... O
    return jnp.where(fits(a, w, total, b), y, jnp.full_like(y, jnp.nan))


def code_linear_backward(dy, x, weight):
    dx = jnp.einsum("...o,oi->...i", dy, weight)  # ... I
    dweight = jnp.einsum("...o,...i->oi", dy, x)  # O I
    return dx, dweight, jnp.einsum("...o->o", dy)


code_linear_rule = jax.custom_vjp(code_linear_forward)


def code_linear_fwd(x, weight, bias, *scales):
    # the rule again: a second derivative goes through y as well
    y = code_linear_rule(x, weight, bias, *scales)
    return y, (x, weight, *scales)


def code_linear_bwd(saved, dy):
    x, weight, *scales = saved
    grads = code_linear_backward(dy, x, weight)
    return *grads, *(jnp.zeros_like(s) for s in scales)


code_linear_rule.defvjp(code_linear_fwd, code_linear_bwd)
# jax 0.10.2: op by op it takes 80 times as long
code_linear_rule = jax.jit(code_linear_rule)
# endregion


# region function
def code_linear(x, weight, bias, x_scale, w_scale):
    size, like = weight.shape[1], (weight, bias, x_scale, w_scale)
    check_input("code_linear", x, "... I", like=like, I=size)
    if bias is None:
        bias = jnp.zeros_like(w_scale)
    return code_linear_rule(x, weight, bias, x_scale, w_scale)


# endregion


# region try
if __name__ == "__main__":
    x = jnp.asarray([[0.5, -1.0]])
    weight = jnp.asarray([[0.25, 0.75]])
    scales = jnp.asarray(0.5), jnp.asarray([0.25])
    print(code_linear(x, weight, jnp.asarray([0.3]), *scales))
# endregion


# region what differs here
# alignment: a rule is registered as two functions
# jax 0.10.2: without jax_enable_x64 there is no float64, so the sum is
# one of int32, and y is NaN where that would wrap or an input is NaN
# endregion

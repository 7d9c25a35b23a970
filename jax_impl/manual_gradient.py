"""WeightedSum, ManualLinear: gradients written by hand, as a pattern.

weighted_sum:  y = sum_ni x_ni w_i, one number for the whole batch
manual_linear: y_no = sum_i x_ni W_oi + b_o, as in linear

Axes:   N batch, or all leading axes; I in_features, O out_features
Params: WeightedSum weight (I); ManualLinear weight (O, I), bias (O)
        weights start as glorot, bias as zeros
Grads:  weighted_sum: dx_ni = dy w_i;  dw_i = dy sum_n x_ni
        manual_linear: dx_ni = sum_o dy_no W_oi
        dW_oi = sum_n dy_no x_ni;  db_o = sum_n dy_no
Raises: TypeError if x is of no real floating dtype; ValueError if it
        is not (N, I), for weighted_sum (..., I)
Ref:    Griewank, Walther 2008, Evaluating Derivatives, 3.2
"""

# region imports
import jax
import jax.numpy as jnp
from flax import nnx

from jax_impl.checks import check_input
from jax_impl.glorot import glorot, sizes

# endregion


# region gradient rule
def weighted_sum_forward(x, weight):
    return jnp.sum(jnp.einsum("ni,i->n", x, weight))


def weighted_sum_backward(dy, x, weight):
    dx = dy * jnp.broadcast_to(weight, x.shape)  # N I
    return dx, dy * jnp.sum(x, axis=0)


def manual_linear_forward(x, weight, bias):
    return jnp.einsum("ni,oi->no", x, weight) + bias  # N O


def manual_linear_backward(dy, x, weight):
    dx = jnp.einsum("no,oi->ni", dy, weight)  # N I
    dweight = jnp.einsum("no,ni->oi", dy, x)  # O I
    return dx, dweight, jnp.sum(dy, axis=0)


weighted_sum_rule = jax.custom_vjp(weighted_sum_forward)
weighted_sum_rule.defvjp(
    lambda *inputs: (weighted_sum_forward(*inputs), inputs),
    lambda saved, dy: weighted_sum_backward(dy, *saved),
)
manual_linear_rule = jax.custom_vjp(manual_linear_forward)
manual_linear_rule.defvjp(
    lambda *inputs: (manual_linear_forward(*inputs), inputs[:2]),
    lambda saved, dy: manual_linear_backward(dy, *saved),
)
# endregion


# region function
def weighted_sum(x, weight):
    size = weight.shape[0]
    check_input("weighted_sum", x, "... I", like=[weight], I=size)
    x = jnp.reshape(x, (-1, size))  # N I
    weight = jnp.asarray(weight)
    return weighted_sum_rule(x, weight)


def manual_linear(x, weight, bias):
    size, like = weight.shape[1], (weight, bias)
    check_input("manual_linear", x, "N I", like=like, I=size)
    weight, bias = map(jnp.asarray, (weight, bias))
    return manual_linear_rule(x, weight, bias)


# endregion


# region layer
class WeightedSum(nnx.Module):
    def __init__(self, in_features: int, *, rngs):
        super().__init__()
        start = glorot(in_features, rngs=rngs)
        self.weight = nnx.Param(start)

    def __call__(self, x):
        return weighted_sum(x, self.weight)


class ManualLinear(nnx.Module):
    def __init__(self, in_features: int, out_features: int, *, rngs):
        super().__init__()
        shape = sizes(out_features, in_features)
        start = glorot(*shape, rngs=rngs)
        self.weight = nnx.Param(start)
        self.bias = nnx.Param(jnp.zeros(out_features))

    def __call__(self, x):
        return manual_linear(x, self.weight, self.bias)


# endregion


# region try
if __name__ == "__main__":
    layer = ManualLinear(3, out_features=2, rngs=nnx.Rngs(0))
    print(layer(jnp.ones((4, 3))).shape)
# endregion


# region what differs here
# jax 0.10.2: the second derivative works, reverse over reverse; forward
# mode (jvp, jacfwd) raises TypeError
# endregion

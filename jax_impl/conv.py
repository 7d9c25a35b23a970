"""StandardizedConv2d: a 2-D convolution with standardised filters.

Each filter is brought to mean 0 and variance 1 before it is used, which
makes training stable where batches are too small for batch norm.

V_ocij = (W_ocij - mean W_o) / sqrt(var W_o + eps), over c, i, j
y_bohw = sum_cij x_bc,stride*h+i-padding,stride*w+j-padding V_ocij + b_o

Axes:   B batch, C in_channels, O out_channels, H W rows and columns
        i, j < kernel_size; x is 0 outside its H x W
Params: weight (O, C, kernel_size, kernel_size), starts as glorot
        bias (O), starts as zeros
Raises: TypeError if x is not of a real floating dtype; ValueError if it
        is not (B, C, H, W), or smaller than the kernel
Ref:    Qiao, Wang, Liu, Shen, Yuille 2019, arXiv 1903.10520, eq. 5-7
"""

# region imports
import jax
import jax.numpy as jnp
from flax import nnx

from jax_impl.arguments import real, whole
from jax_impl.checks import check_input, check_least
from jax_impl.glorot import glorot, sizes
from jax_impl.precision import cast_like, widen

# endregion


# region function
def standardize(weight, eps: float = 1e-5):
    w = widen(weight)
    mean = jnp.mean(w, axis=(1, 2, 3), keepdims=True)  # O 1 1 1
    shift = w - mean
    var = jnp.mean(shift * shift, axis=(1, 2, 3), keepdims=True)
    return cast_like(shift / jnp.sqrt(var + eps), weight)


def standardized_conv2d(
    x,
    weight,
    bias,
    stride: int = 1,
    padding: int = 0,
    eps: float = 1e-5,
):
    caller = "standardized_conv2d"
    size, like = weight.shape[1], (weight, bias)
    check_input(caller, x, "B C H W", like=like, C=size)
    stride = whole(f"{caller}: stride", stride, 1)
    padding = whole(f"{caller}: padding", padding, 0)
    eps = real(f"{caller}: eps", eps)
    least = weight.shape[2] - 2 * padding
    check_least(f"{caller}: H of x", x.shape[2], least)
    check_least(f"{caller}: W of x", x.shape[3], least)
    v = standardize(weight, eps)  # O C I J
    steps, around = (stride, stride), [(padding, padding)] * 2
    y = jax.lax.conv_general_dilated(x, v, steps, around)  # B O H W
    y = widen(y) + jnp.reshape(widen(bias), (-1, 1, 1))
    return cast_like(y, x)


# endregion


# region layer
class StandardizedConv2d(nnx.Module):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        eps: float = 1e-5,
        *,
        rngs,
    ):
        super().__init__()
        kernel_size = whole("kernel_size", kernel_size, 1)
        stride = whole("stride", stride, 1)
        padding = whole("padding", padding, 0)
        eps = real("eps", eps)
        shape = sizes(out_channels, in_channels, *[kernel_size] * 2)
        self.weight = nnx.Param(glorot(*shape, rngs=rngs))
        self.bias = nnx.Param(jnp.zeros(out_channels))
        self.stride, self.padding, self.eps = stride, padding, eps

    def __call__(self, x):
        return standardized_conv2d(
            x,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.eps,
        )


# endregion


# region try
if __name__ == "__main__":
    layer = StandardizedConv2d(2, 3, 3, rngs=nnx.Rngs(0))
    y = layer(jnp.ones((4, 2, 5, 5)))
    print(y.shape)
# endregion


# region what differs here
# jax 0.10.2: the bias is added in float32, see linear
# endregion

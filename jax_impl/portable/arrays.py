"""Arrays: those of a layer as bytes and back, bit for bit.

to_tensor(array)      an array or a parameter as a Tensor (tensor.py)
to_array(tensor)      a Tensor as an array
put(variable, array)  a parameter, or a state such as the range of an
    observer, gets the numbers of array, and its dtype
is_frozen(variable)   true for a parameter that training leaves alone
in_dtype(make, dtype)  the layer that make gives, for numbers of dtype;
    None: of the dtype that it starts in

Raises: ValueError for a dtype that this framework does not have
"""

# region imports
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jax_impl.parameters import Frozen
from jax_impl.portable.expect import expect
from jax_impl.portable.tensor import Tensor

# endregion


# region function
def to_tensor(array):
    learned = isinstance(array, nnx.Variable)
    array = np.asarray(array[...] if learned else array)
    return Tensor(array.dtype.name, array.shape, array.tobytes())


def to_array(tensor):
    flat = np.frombuffer(tensor.data, jnp.dtype(tensor.dtype))
    array = jnp.asarray(flat.reshape(tensor.shape))
    got, want = array.dtype.name, tensor.dtype
    expect(got == want, "jax_enable_x64", f"on, for {want}", "off")
    return array


def put(variable, array):
    variable.set_value(array)


def is_frozen(variable):
    return isinstance(variable, Frozen)


def in_dtype(make, dtype):
    layer = nnx.eval_shape(make)  # its shapes: nothing is drawn
    for _, variable in nnx.to_flat_state(nnx.state(layer)):
        nothing = np.zeros(variable.shape, variable.dtype)
        variable.set_value(jnp.asarray(nothing))
    return layer


# endregion


# region try
if __name__ == "__main__":
    tensor = to_tensor(nnx.Param(jnp.array([1, -0.0], jnp.bfloat16)))
    print(tensor, to_array(tensor))
# endregion


# region what differs here
# alignment: an array is immutable; it is put into its Variable
# jax 0.10.2: without jax_enable_x64 float64 becomes float32, and int64
# int32, in silence: here that is an error
# endregion

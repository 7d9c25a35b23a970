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
import numpy
from mxnet import gluon, np

from mxnet_impl.portable.expect import expect
from mxnet_impl.portable.tensor import Tensor

# endregion


# region function
def to_tensor(array):
    learned = isinstance(array, gluon.Parameter)
    array = (array.data() if learned else array).asnumpy()
    return Tensor(array.dtype.name, array.shape, array.tobytes())


def to_array(tensor):
    dtype = tensor.dtype
    known = dtype != "bfloat16"
    expect(known, "dtype", "one that MXNet 1.9.1 has", dtype)
    flat = numpy.frombuffer(tensor.data, dtype)
    return np.array(flat.reshape(tensor.shape), dtype=dtype)


def put(variable, array):
    variable.cast(array.dtype)
    if variable._data is None:  # not initialized: it is now
        variable._load_init(array, None)
    else:
        variable.data()[()] = array


def is_frozen(variable):
    return variable._differentiable and variable.grad_req == "null"


def in_dtype(make, dtype):
    return make()


# endregion


# region try
if __name__ == "__main__":
    tensor = to_tensor(np.array([1, -0.0], dtype=np.float16))
    print(tensor, to_array(tensor))
# endregion


# region what differs here
# alignment: a Parameter holds its array, and may not have one yet
# mxnet 1.9.1: no bfloat16 in Python
# endregion

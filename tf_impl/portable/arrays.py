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
import numpy as np
import tensorflow as tf

from tf_impl.portable.tensor import Tensor

# endregion


# region function
def to_tensor(array):
    array = tf.convert_to_tensor(array)
    data = array.numpy().tobytes()
    return Tensor(array.dtype.name, tuple(array.shape), data)


def to_array(tensor):
    dtype = tf.as_dtype(tensor.dtype)
    flat = np.frombuffer(tensor.data, dtype.as_numpy_dtype)
    return tf.constant(flat.reshape(tensor.shape))


def put(variable, array):
    if variable.dtype == array.dtype.name:
        variable.assign(array)
    else:  # 3.15.1: what a Variable of Keras does when it is made
        variable._dtype = array.dtype.name
        variable._initialize(array)


def is_frozen(variable):
    return variable.value.trainable and not variable.trainable


def in_dtype(make, dtype):
    before = tf.keras.config.dtype_policy()
    tf.keras.config.set_dtype_policy(dtype or before)
    try:
        return make()
    finally:
        tf.keras.config.set_dtype_policy(before)


# endregion


# region try
if __name__ == "__main__":
    tensor = to_tensor(tf.constant([1, -0.0], tf.bfloat16))
    print(tensor, to_array(tensor))
# endregion


# region what differs here
# alignment: a Variable of Keras keeps its dtype, and a layer its own
# keras 3.15.1: a layer casts what it is given to the dtype of its
# policy, so the policy has to be that of the numbers in the file; where
# a file has none, it is Keras' global one, which users set
# keras 3.15.1: the policy "bfloat16" leaves steps and ranges of
# quantizers in float32; a file of another framework may have 16 bits
# endregion

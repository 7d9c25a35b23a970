"""custom_gradient: tf.custom_gradient, without forward mode.

tensorflow 2.21.0: tf.autodiff.ForwardAccumulator looks through a
function with a gradient of its own: in a tf.function, and around a
tf.GradientTape, it differentiates the forward pass by itself, without a
word; what rounds would have derivative 0. Here that is an error; what
is reversed twice, GradientTape in GradientTape, is right.

Raises: NotImplementedError
"""

# region imports
import functools

import tensorflow as tf
from tensorflow.python.eager import forwardprop_util

# endregion


# region function
def custom_gradient(rule):
    made = tf.custom_gradient(rule)

    @functools.wraps(rule)
    def refused(*inputs):
        tensors = [tf.convert_to_tensor(x) for x in inputs]
        if forwardprop_util.pack_tangents(tensors).tangents:
            raise NotImplementedError(
                "tf.autodiff.ForwardAccumulator: a gradient that is "
                "written by hand would be left out; use GradientTape"
            )
        return made(*inputs)

    return refused


# endregion

"""Constant graph: what a layer computes, its weights as constants.

constant(held, shapes)  what held.call does with arrays of these shapes,
    as a tf.function, which takes them in this order
by_matrix(layer)        the layer, or instead of HalfSpectrum the same
    as a product with a matrix of cosines and sines

For LiteRT and ONNX, seen with tensorflow 2.21.0 and tf2onnx 1.17.0:
a converter that finds a weight as a variable writes a LiteRT file in
which no number is ever put into it; its Fourier transform takes powers
of two alone, and tf2onnx has none beside tf.math.real
"""

# region imports
import functools

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from tf_impl.half_spectrum import HalfSpectrum, half_spectrum

# endregion


# region function
def waves(x):
    size = x.shape[-1]
    n, f = np.arange(size)[:, None], np.arange(size // 2 + 1)
    angle = 2 * np.pi / size * (n * f % size)  # N F
    matrices = np.cos(angle), -np.sin(angle)
    parts = (
        tf.tensordot(x, tf.constant(a, x.dtype), [[-1], [0]])
        for a in matrices
    )
    return tf.stack([*parts], axis=-1)  # ... F 2


def by_matrix(layer):
    function = layer
    if isinstance(layer, functools.partial):
        function = layer.func
    instead = isinstance(layer, HalfSpectrum)
    return waves if instead or function is half_spectrum else layer


def constant(held, shapes):
    freeze = convert_to_constants.convert_variables_to_constants_v2
    fixed = freeze(held.call.get_concrete_function(**shapes))

    def y(*xs):
        return {"y": fixed(**dict(zip(shapes, xs)))[0]}

    return tf.function(y, [*shapes.values()], autograph=False)


# endregion


# region try
if __name__ == "__main__":
    layer, x = by_matrix(HalfSpectrum()), tf.linspace(-1.0, 1.0, 5)
    held = tf.Module()
    held.call = tf.function(lambda x: {"y": layer(x)})
    print(constant(held, {"x": tf.TensorSpec([5], name="x")})(x)["y"])
# endregion

"""Export: a layer as a file that runs where this code is not.

FORMATS = {format: to_<format>}, each (layer, inputs, path, dynamic)
    saved_model  a folder, for tf.saved_model.load(path).call(**inputs)
        and for its signature "serving_default"; gradients, too
    litert       operators of LiteRT, which was TensorFlow Lite
    onnx         opset 18, by tf2onnx
layer    or a function; quantizers are frozen, and nothing trains
inputs   {argument: example}, in the order of the arguments
dynamic  {argument: {axis: name}}, axes of any size; None: the first,
         as "batch", of each input that has two or more
The file gets its name when it is whole; its one output is y

Raises: NotImplementedError for what a format cannot do, and who says so
"""

# region imports
import tempfile
from importlib.metadata import version

import tensorflow as tf

from tf_impl.exports.constant_graph import by_matrix, constant
from tf_impl.exports.folder import write_folder
from tf_impl.exports.traced import attempt, traced
from tf_impl.linear import Linear
from tf_impl.whole_file import write_whole

# endregion


# region function
def to_saved_model(layer, inputs, path, dynamic=None):
    held, shapes = traced(layer, inputs, dynamic)
    call = held.call.get_concrete_function(**shapes)
    save = tf.saved_model.save
    write_folder(
        path, lambda part: save(held, str(part), signatures=call)
    )


def to_litert(layer, inputs, path, dynamic=None):
    held, lite = tf.Module(), tf.lite.TFLiteConverter
    held.call = constant(*traced(by_matrix(layer), inputs, dynamic))
    call = held.call.get_concrete_function()
    rules = tf.saved_model.SaveOptions(
        experimental_custom_gradients=False
    )
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(held, folder, call, rules)
        make = lite.from_saved_model(folder).convert
        data = attempt(f"tf.lite, tensorflow {tf.__version__}", make)
    write_whole(path, lambda part: part.write_bytes(data))


def to_onnx(layer, inputs, path, dynamic=None):
    from tf2onnx.convert import from_function

    call = constant(*traced(by_matrix(layer), inputs, dynamic))
    what, given = f"tf2onnx {version('tf2onnx')}", call.input_signature
    made, _ = attempt(what, from_function, call, given, opset=18)
    data = made.SerializeToString()
    write_whole(path, lambda part: part.write_bytes(data))


FORMATS = {"saved_model": to_saved_model, "litert": to_litert}
FORMATS["onnx"] = to_onnx
# endregion


# region try
if __name__ == "__main__":
    layer, x = Linear(3, 2), tf.ones((4, 3))
    with tempfile.TemporaryDirectory() as folder:
        to_saved_model(layer, {"x": x}, f"{folder}/linear")
        made = tf.saved_model.load(f"{folder}/linear")
        print(bool(tf.reduce_all(made.call(x=x)["y"] == layer(x))))
# endregion


# region what differs here
# tensorflow 2.21.0: LiteRT multiplies neither float64, which QATLinear
# needs for its exact sums, nor int8 without a scale, as Int8Linear does
# tensorflow 2.21.0: a loaded QATLinear cannot be called under a tape,
# since its hand-written gradients are inside of a tf.cond
# endregion

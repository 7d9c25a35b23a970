"""Export: a layer as a file that runs where this code is not.

FORMATS = {format: to_<format>}, each (layer, inputs, path, dynamic)
    stablehlo  what jax.export keeps, for a process that has JAX:
        jax.export.deserialize(bytes).call(**inputs); gradients, too
    onnx       opset 23, by jax2onnx; onnx_graph.py helps it
layer    or a function; quantizers are frozen, and nothing trains
inputs   {argument: example}, in the order of the arguments
dynamic  {argument: {axis: name}}, axes of any size; None: the first,
         as "batch", of each input that has two or more
The file gets its name when it is whole; its one output is y

Raises: NotImplementedError for what a format cannot do, and who says so
"""

# region imports
import pathlib
import tempfile
from importlib.metadata import version

import jax
import jax.numpy as jnp
from flax import nnx
from jax import export

from jax_impl.exports.onnx_graph import for_onnx
from jax_impl.linear import Linear
from jax_impl.quantization.prepare import set_mode
from jax_impl.whole_file import write_whole

# endregion


# region function
def ready(layer, inputs):
    if isinstance(layer, nnx.Module):
        layer = set_mode(nnx.clone(layer), "frozen")
        layer.eval()
    # what is wrong with it, or with inputs, is no limit of a format
    jax.eval_shape(lambda xs: layer(**xs), inputs)
    return layer


def axes(inputs, dynamic):
    if dynamic is None:
        many = [n for n, x in inputs.items() if len(x.shape) > 1]
        dynamic = {name: {0: "batch"} for name in many}
    scope, found = export.SymbolicScope(), {}
    for name, x in inputs.items():
        sizes = dict(enumerate(x.shape)) | dynamic.get(name, {})
        text = ",".join(map(str, sizes.values()))
        shape = export.symbolic_shape(text, scope=scope)
        found[name] = jax.ShapeDtypeStruct(shape, x.dtype)
    return found


def attempt(what: str, make, *given, **options):
    try:
        return make(*given, **options)
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise NotImplementedError(f"{what}: {first}") from error


def to_stablehlo(layer, inputs, path, dynamic=None):
    layer = ready(layer, inputs)
    make = export.export(jax.jit(lambda **xs: layer(**xs)))
    given = axes(inputs, dynamic)
    what = f"jax.export, jax {jax.__version__}"
    made = attempt(what, make, **given)
    data = attempt(what, made.serialize, vjp_order=1)
    write_whole(path, lambda part: part.write_bytes(data))


def to_onnx(layer, inputs, path, dynamic=None):
    import jax2onnx

    layer, names = ready(layer, inputs), list(inputs)

    def y(*xs):
        return layer(**dict(zip(names, xs)))

    given = list(axes(inputs, dynamic).values())
    wide = any(x.dtype == jnp.float64 for x in inputs.values())
    options = dict(input_names=names, output_names=["y"])
    options |= dict(enable_double_precision=wide)
    what = f"jax2onnx {version('jax2onnx')}"
    call = attempt(what, for_onnx, y, given)
    made = attempt(what, jax2onnx.to_onnx, call, given, **options)
    data = made.SerializeToString()
    write_whole(path, lambda part: part.write_bytes(data))


FORMATS = {"stablehlo": to_stablehlo, "onnx": to_onnx}
# endregion


# region try
if __name__ == "__main__":
    layer, x = Linear(3, 2, rngs=nnx.Rngs(0)), jnp.ones((4, 3))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "linear")
        to_stablehlo(layer, {"x": x}, path)
        made = export.deserialize(bytearray(path.read_bytes()))
    print(jnp.array_equal(made.call(x=x[:2]), layer(x[:2])))
# endregion


# region what differs here
# jax 0.10.2: to write and to read it the package flatbuffers is needed;
# what is exported in float64 runs with jax_enable_x64 only
# jax 0.10.2: a dynamic axis has 1 or more; one that Python compares or
# counts has to be known: the tokens of TransformerClassifier, the keys
# of attention_tiled
# endregion

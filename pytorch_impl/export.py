"""Export: a layer as a file that runs where this code is not.

FORMATS = {format: to_<format>}, each (layer, inputs, path, dynamic)
    torch_export  PyTorch's own graph, for torch.export.load
    onnx          opset 21; quantizers as QuantizeLinear and its inverse
    torchscript   of torch.jit.trace: the old way, deprecated
layer    or a function; quantizers are frozen, and nothing trains
inputs   {argument: example}, in the order of the arguments
dynamic  {argument: {axis: name}}, axes of any size; None: the first,
         as "batch", of each input that has two or more
The file gets its name when it is whole; its one output is y
Raises: NotImplementedError for what a format cannot do, and who says so
"""

# region imports
import copy
import tempfile
import warnings

import torch
from torch import nn

from pytorch_impl.exports.onnx_layers import for_onnx
from pytorch_impl.linear import Linear
from pytorch_impl.quantization.export import OPSET
from pytorch_impl.quantization.prepare import set_mode
from pytorch_impl.whole_file import write_whole

DYNAMIC = torch.export.Dim.DYNAMIC
# endregion


# region function
def ready(layer):
    if isinstance(layer, nn.Module):
        return set_mode(copy.deepcopy(layer).eval(), "frozen")
    return Function(layer)


def axes(layer, inputs, dynamic, dim=str):
    if dynamic is None:
        many = [n for n, x in inputs.items() if len(x.shape) > 1]
        dynamic = {name: {0: "batch"} for name in many}
    given = [dynamic.get(name, {}) for name in inputs]
    shapes = tuple({a: dim(n) for a, n in d.items()} for d in given)
    return (shapes,) if isinstance(layer, Function) else shapes


def attempt(make, *given, **options):
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make(*given, **options)
    except Exception as error:
        why = str(error.__cause__ or error).strip().partition("\n")[0]
        text = f"torch {torch.__version__}: {why}"
        raise NotImplementedError(text) from error


def to_torch_export(layer, inputs, path, dynamic=None):
    layer, given = ready(layer), tuple(inputs.values())
    shapes = axes(layer, inputs, dynamic, lambda _: DYNAMIC)
    options = dict(dynamic_shapes=shapes)
    program = attempt(torch.export.export, layer, given, **options)
    write_whole(path, lambda part: torch.export.save(program, part))


def to_onnx(layer, inputs, path, dynamic=None):
    layer, given = for_onnx(ready(layer)), tuple(inputs.values())
    options = dict(opset_version=OPSET, verbose=False)
    options |= dict(input_names=list(inputs), output_names=["y"])
    options |= dict(dynamic_shapes=axes(layer, inputs, dynamic))
    program = attempt(torch.onnx.export, layer, given, **options)
    write_whole(path, lambda part: program.save(str(part)))


def to_torchscript(layer, inputs, path, dynamic=None):
    given = ready(layer), tuple(inputs.values())
    script = attempt(torch.jit.trace, *given)
    write_whole(path, lambda part: attempt(script.save, str(part)))


FORMATS = {
    "torch_export": to_torch_export,
    "onnx": to_onnx,
    "torchscript": to_torchscript,
}
# endregion


# region layer
class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


# endregion


# region try
if __name__ == "__main__":
    layer, x = Linear(3, 2), torch.ones((4, 3))
    with tempfile.TemporaryDirectory() as folder:
        to_torch_export(layer, {"x": x}, f"{folder}/linear.pt2")
        program = torch.export.load(f"{folder}/linear.pt2")
    print(torch.equal(program.module()(x[:2]), layer(x[:2])))
# endregion

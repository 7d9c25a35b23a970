"""Runs artefacts by an engine that did not write them, and judges them.

python -m shared_tests.exports.engine onnxruntime FOLDER JOBS

Each line of the jobs is what author.py says of an artefact in FOLDER;
each line on standard output is the JSON of a row: the job with "engine",
"size", "ratio" and "verdict" pass or fail, and "detail". The pages are
out of reach in this process: an import of one is an error.
"""

import ctypes
import importlib.abc
import json
import math
import pathlib
import sys

import numpy as np

from shared_tests.exports.artefacts import (
    Artefact,
    case_of,
    dynamic_of,
    feeds,
    fixture_of,
)
from shared_tests.processes import answers
from shared_tests.verdict import failed, judge

# engines, and the environments that they run in
ENGINES = {
    "onnxruntime": "exports",
    "openvino": "exports",
    "litert": "exports",
    "jax_export": "jax",
    "saved_model": "tf",
    "torch_export": "pytorch",
    "torchscript": "pytorch",
    "symbol_block": "mxnet",
}
OF_FORMAT = {
    "onnx": ("onnxruntime", "openvino"),
    "litert": ("litert",),
    "stablehlo": ("jax_export",),
    "saved_model": ("saved_model",),
    "torch_export": ("torch_export",),
    "torchscript": ("torchscript",),
    "symbol": ("symbol_block",),
}


class NoPages(importlib.abc.MetaPathFinder):
    """The engine has the file, and nothing of the layer's code."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0].endswith("_impl"):
            raise ImportError(f"{name}: an engine imports no page")


def in_precision(x, precision):
    """As the framework got it: floats in that precision."""
    if x.dtype.kind != "f":
        return x
    return x.astype(
        bfloat16() if precision == "bfloat16" else precision
    )


def bfloat16():
    import ml_dtypes

    return ml_dtypes.bfloat16


# region engines
def onnxruntime(path, names):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options)
    known = [i.name for i in session.get_inputs()]
    types = {i.name: i.type for i in session.get_inputs()}

    def call(inputs):
        # an input that the graph does not use has been left out
        fed = {n: inputs[n] for n in known}
        low = "tensor(bfloat16)"
        if low not in (*types.values(), session.get_outputs()[0].type):
            return session.run(["y"], fed)[0]
        # NumPy has no bfloat16: as the bits, which is what 16 names
        values = {
            n: ort.OrtValue.ortvalue_from_numpy_with_onnx_type(
                x.view(np.uint16), 16
            )
            if types[n] == low
            else ort.OrtValue.ortvalue_from_numpy(x)
            for n, x in fed.items()
        }
        (y,) = session.run_with_ort_values(["y"], values)
        size = 2 * math.prod(y.shape())
        bits = ctypes.string_at(y.data_ptr(), size) if size else b""
        return np.frombuffer(bits, bfloat16()).reshape(y.shape())

    return call


def openvino(path, names):
    import openvino as ov

    core = ov.Core()
    # by itself it may compute float32 in fewer bits
    hints = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": 1,
    }
    compiled = core.compile_model(path, "CPU", hints)
    known = {n for port in compiled.inputs for n in port.names}

    def tensor(x):
        x = np.ascontiguousarray(x).reshape(np.shape(x))
        if x.dtype != bfloat16():
            return ov.Tensor(x)
        return ov.Tensor(x.view(np.uint16), x.shape, ov.Type.bf16)

    def call(inputs):
        fed = {n: tensor(x) for n, x in inputs.items() if n in known}
        # a copy: the array lies in memory of the engine
        y = np.array(compiled(fed)[compiled.output(0)])
        low = compiled.output(0).element_type == ov.Type.bf16
        return y.view(bfloat16()) if low else y

    return call


def litert(path, names):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=1)
    known = {
        one["name"]
        .partition(":")[0]
        .removeprefix("serving_default_"): one
        for one in interpreter.get_input_details()
    }

    def call(inputs):
        for name, one in known.items():
            shape = inputs[name].shape
            interpreter.resize_tensor_input(one["index"], shape)
        interpreter.allocate_tensors()
        for name, one in known.items():
            interpreter.set_tensor(one["index"], inputs[name])
        interpreter.invoke()
        (y,) = interpreter.get_output_details()
        return interpreter.get_tensor(y["index"])

    return call


def jax_export(path, names):
    import jax

    jax.config.update("jax_enable_x64", True)
    data = bytearray(pathlib.Path(path).read_bytes())
    program = jax.export.deserialize(data)
    return lambda inputs: program.call(**{n: inputs[n] for n in names})


def saved_model(path, names):
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    call = loaded.signatures["serving_default"]

    def run(inputs):
        known = call.structured_input_signature[1]
        given = {n: tf.constant(inputs[n]) for n in known}
        (y,) = call(**given).values()
        return y.numpy()

    return run


def of_torch(call, inputs):
    import torch

    def tensor(x):
        if x.dtype != bfloat16():
            return torch.from_numpy(x)
        return torch.from_numpy(x.view(np.int16)).view(torch.bfloat16)

    y = call(*(tensor(np.array(x)) for x in inputs)).detach()
    if y.dtype != torch.bfloat16:
        return y.numpy()
    return y.view(torch.int16).numpy().view(bfloat16())


def torch_export(path, names):
    import torch

    call = torch.export.load(path).module()
    return lambda inputs: of_torch(call, [inputs[n] for n in names])


def torchscript(path, names):
    import torch

    call = torch.jit.load(path)
    return lambda inputs: of_torch(call, [inputs[n] for n in names])


def symbol_block(path, names):
    import mxnet as mx

    mx.npx.set_np()
    files = f"{path}/y.json", names, f"{path}/y.params"
    block = mx.gluon.SymbolBlock.imports(*files)

    def call(inputs):
        given = (mx.np.array(inputs[n], inputs[n].dtype) for n in names)
        return block(*given).asnumpy()

    return call


# endregion


def judged(call, job):
    """{size: Verdict} of what an artefact gives."""
    artefact = Artefact(*(job[k] for k in Artefact._fields))
    case, precision = case_of(artefact), artefact.precision
    fixture = fixture_of(case)
    dynamic = dynamic_of(case, fixture, job["dynamic"])
    found = {}
    sizes = feeds(case, fixture, precision, dynamic)
    for size, (inputs, reference, sigma) in sizes.items():
        try:
            y = call(
                {
                    n: in_precision(x, precision)
                    for n, x in inputs.items()
                }
            )
            y = np.asarray(y)
            found[size] = judge(y, reference, sigma, precision)
        except Exception as error:
            found[size] = failed(words(error))
    return found


def words(error):
    """One line of it, without where the file lies."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"


def rows(engine, folder, job):
    path = str(folder / job["path"])
    try:
        verdicts = judged(globals()[engine](path, job["inputs"]), job)
    except Exception as error:
        verdicts = {"load": failed(words(error).replace(path, "it"))}
    for size, verdict in verdicts.items():
        ratio = verdict.ratio if math.isfinite(verdict.ratio) else None
        yield job | {
            "engine": engine,
            "size": size,
            "ratio": ratio,
            "verdict": "pass" if verdict.passed else "fail",
            "detail": verdict.detail,
        }


def main(engine, folder, jobs):
    sys.meta_path.insert(0, NoPages())
    folder = pathlib.Path(folder)
    with answers() as out:
        for line in pathlib.Path(jobs).read_text().splitlines():
            for row in rows(engine, folder, json.loads(line)):
                out.write(json.dumps(row).encode() + b"\n")
                out.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""One framework, kept running: answers requests, one after the other.

.venv/<fw>/bin/python -m shared_tests.live.server <fw>     see live.Worker

Messages are length (8 bytes, little endian) and one safetensors blob, whose
metadata holds JSON. Once the framework is imported the worker says
    {"ready": true}
and then answers each request from standard input
    {"layer", "config", "precision", "compiled"}
    with arrays in.<name>, param.<name>, cotangent.<name>
with the arrays that adapter.run returns and {}, or without arrays and
    {"unsupported": reason}          what this framework does not have
    {"error": "TypeName: text"}      an exception of the layer
NumPy and safetensors only, besides the framework.
"""

import importlib
import json
import sys

import numpy as np
from safetensors.numpy import load, save

from shared_tests.processes import LENGTH, answers, read_block
from shared_tests.run import group


def pack(message, arrays=None):
    """One message as bytes, its length in front."""
    tensors, bfloat16 = {}, []
    for name, array in (arrays or {}).items():
        array = np.asarray(array)
        # safetensors wants no strides, and a copy would lose rank 0
        solid = np.ascontiguousarray(array).reshape(array.shape)
        if array.dtype.name == "bfloat16":  # NumPy has no such dtype
            bfloat16.append(name)
            solid = solid.view(np.uint16)
        tensors[name] = solid
    text = {"message": message, "bfloat16": bfloat16}
    data = save(tensors, metadata={"json": json.dumps(text)})
    return LENGTH.pack(len(data)) + data


def unpack(data):
    """(message, arrays) of what pack() made, without the length."""
    (size,) = LENGTH.unpack(data[: LENGTH.size])
    header = json.loads(data[LENGTH.size :][:size])
    text = json.loads(header["__metadata__"]["json"])
    arrays = load(data)
    for name in text["bfloat16"]:
        import ml_dtypes  # MXNet's environment has none, and needs none

        arrays[name] = arrays[name].view(ml_dtypes.bfloat16)
    return text["message"], dict(sorted(arrays.items()))


def answer(adapter, data):
    """(message, arrays) for one request."""
    try:
        request, arrays = unpack(data)
        layer, precision = request["layer"], request["precision"]
        compiled = request["compiled"]
        reason = adapter.unsupported(layer, precision, compiled)
        if reason:
            return {"unsupported": reason}, {}
        built = adapter.build(
            layer, request["config"], group(arrays, "param"), precision
        )
        cotangents = group(arrays, "cotangent") or None
        inputs = group(arrays, "in")
        return {}, adapter.run(built, inputs, cotangents, compiled)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}, {}


def main():
    with answers() as out:

        def send(message, arrays=None):
            out.write(pack(message, arrays))
            out.flush()

        adapter = importlib.import_module(f"{sys.argv[1]}_impl.adapter")
        send({"ready": True})
        while data := read_block(sys.stdin.buffer):
            send(*answer(adapter, data))


if __name__ == "__main__":
    main()

"""Files that MXNet's export.py writes, for engines that are not ours.

python -m shared_tests.layers.mxnet_exports FOLDER, in MXNet's
environment, writes for each of files()
    <case>.<precision>.onnx, .symbol   from an example that has twice the
        case's size along each dynamic axis
    <case>.<precision>.npz             what the page itself gives, y, and
        for layers of NAN nan, what it gives for an x that begins with NaN
and <case>.int8.onnx, .npz of what convert makes of a QATLinear, and
half_steps.onnx, an Int8Linear that gives the codes of HALF_STEPS.
"""

import pathlib
import sys

import numpy as np

from shared_tests.cases import CASES
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.run import group

ATTENTION = dict(q="batch H N D", k="batch G M D", v="batch G M E")
HEADS = ("MultiHeadAttention", "QATMultiHeadAttention")
TOKENS = *HEADS, "TransformerClassifier"
BAGS = "EmbeddingBag", "TextClassifier"  # a symbol has their number
NAN = "ScaledReLU LinearReLU PACT LSQ LSQPlus QATLinear fake_quantize"

# x inv and x / scale, both rounded, often lie on two sides of these
SCALE = np.float32(0.037)
HALF_STEPS = (np.arange(-127, 127, dtype=np.float32) + 0.5) * SCALE


def files():
    """(case, precision) of what is exported as ONNX."""
    return [
        (case, precision)
        for case in CASES
        for precision in ("float32", "float64", "float16")
        if not case.training and "empty" not in case.name
        if precision == "float32" or case.flags & {"basic", "scale"}
        if precision != "float16" or "low_precision" in case.flags
        if not case.like and case.name != "no_query"
    ]


def symbols():
    """Those that are symbols as well: the first of each layer."""
    first = {case.layer: case for case, _ in reversed(files())}
    return [(first[n], "float32") for n in first if n not in BAGS]


def axes_of(case, inputs):
    """{argument: {axis: name}} of what may change its size."""
    if case.config.get("axis") == 0:  # a step for each of the batch
        return {}
    if "q" in inputs:
        named = {n: of.split() for n, of in ATTENTION.items()}
        last = ["batch", None, "N", "M"]
    else:
        named = dict(x=["batch"] if inputs["x"].ndim > 1 else [])
        named["x"] += ["N"] if case.layer in TOKENS else []
        last = ["batch", None, "N", "N"]
    if "bag_mask" in inputs:
        named["bag_mask"] = named["x"]
    if "attn_mask" in inputs:
        sizes = inputs["attn_mask"].shape
        last = last[4 - len(sizes) :]
        named["attn_mask"] = [
            name if size > 1 else None
            for name, size in zip(last, sizes)
        ]
    free = ("batch", "N", "M")
    return {
        argument: {i: n for i, n in enumerate(of) if n in free}
        for argument, of in named.items()
    }


def longer(x, axes):
    for axis in axes:
        x = np.concatenate([x, x], axis=axis)
    return x


def write(folder):
    import mxnet as mx

    from mxnet_impl import adapter, convert, export
    from mxnet_impl.quantization.codes import Codes
    from mxnet_impl.quantization.int8_linear import Int8Linear

    manifest = read_manifest()
    as_symbols = symbols()
    for case, precision in files():
        fixture = read_fixture(case, manifest)
        inputs, params = group(fixture, "in"), group(fixture, "param")
        built = adapter.build(
            case.layer, case.config, params, precision
        )
        results = {"y": adapter.run(built, inputs)["out.y"]}
        if hasattr(built.call, "mode"):
            built.call.mode = "frozen"
        if case.layer in NAN.split():
            unknown = dict(inputs)
            unknown["x"] = inputs["x"].copy()
            unknown["x"].reshape(-1)[0] = np.nan
            results["nan"] = adapter.run(built, unknown)["out.y"]
        axes = axes_of(case, inputs)
        given = {
            n: adapter.to_tensor(longer(x, axes.get(n, {})), precision)
            for n, x in inputs.items()
        }
        path = folder / f"{case.id}.{precision}"
        np.savez(f"{path}.npz", **results)
        export.to_onnx(built.call, given, f"{path}.onnx", axes)
        if (case, precision) in as_symbols:
            if case.layer == "TransformerClassifier":
                # a symbol has its positions, for as many tokens
                axes = {"x": {0: "batch"}}
            given = {
                n: adapter.to_tensor(
                    longer(x, axes.get(n, {})), precision
                )
                for n, x in inputs.items()
            }
            export.to_symbol(built.call, given, f"{path}.symbol", axes)
        if case.layer == "QATLinear" and precision == "float32":
            made = convert(built.call)
            path = folder / f"{case.id}.int8"
            export.to_onnx(made, given, f"{path}.onnx", axes)
            y = made(adapter.to_tensor(inputs["x"], precision))
            np.savez(f"{path}.npz", y=y.asnumpy())
    one = mx.np.array
    layer = Int8Linear(
        one([[1]]),
        one([0]),
        one([1.0]),
        one(SCALE),
        one(0, dtype="int32"),
        Codes(),
    )
    x = one(HALF_STEPS[:, None])
    export.to_onnx(layer, {"x": x}, folder / "half_steps.onnx")
    mx.nd.waitall()


def run_symbols(folder):
    """y of each symbol, by MXNet alone: no page of ours is imported."""
    import json

    import mxnet as mx
    from mxnet import npx

    npx.set_np()
    manifest = read_manifest()
    for case, precision in symbols():
        path = folder / f"{case.id}.{precision}.symbol"
        inputs = group(read_fixture(case, manifest), "in")
        nodes = json.loads((path / "y.json").read_text())["nodes"]
        names = [n["name"] for n in nodes if n["name"] in inputs]
        block = mx.gluon.SymbolBlock.imports(
            str(path / "y.json"), names, str(path / "y.params")
        )
        given = [
            mx.np.array(inputs[n], dtype=inputs[n].dtype) for n in names
        ]
        y = block(*given).asnumpy()
        np.savez(f"{path}.npz", y=y)
    ours = [n for n in sys.modules if n.startswith("mxnet_impl")]
    assert not ours, ours


if __name__ == "__main__":
    what, folder = sys.argv[1:]
    dict(write=write, run=run_symbols)[what](pathlib.Path(folder))

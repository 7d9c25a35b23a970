"""A converted model as ONNX gives the same codes in onnxruntime."""

import runpy

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import pytorch_impl
from pytorch_impl.parameters import seeded
from pytorch_impl.quantization import export
from pytorch_impl.quantization.convert import convert
from pytorch_impl.quantization.int8_linear import Int8Linear
from pytorch_impl.quantization.prepare import find, prepare, set_mode
from shared_tests.cases import CLASSIFIER, SMALL_MLP

ENVIRONMENTS = ("pytorch",)

MODELS = {
    "MLP": (SMALL_MLP, (7,)),
    "TransformerClassifier": (CLASSIFIER, (6, 5)),
}
OPTIONS = [
    dict(),
    dict(weight_bits=4, input_bits=4),
    dict(weight_bits=2, input_bits=3)
    | dict(weight_quantizer="lsq", input_quantizer="lsq"),
    dict(weight_bits=3, input_bits=8, input_quantizer="pact"),
]


def converted(layer, options, *shape):
    rng = np.random.default_rng(20261121)
    config, _ = MODELS[layer]
    make = getattr(pytorch_impl, layer)
    model = seeded(lambda: make(**config), seed=1)
    prepare(model, {"*": options})
    seen, x = rng.standard_normal((2, 50, *shape), np.float32)
    with torch.no_grad():
        set_mode(model, "observe")(torch.tensor(seen))
    return convert(model), x


def onnx_values(path, x):
    """The output, and (input, codes, output) of every quantized layer."""
    model = onnx.load(path)
    producer = {
        n: node for node in model.graph.node for n in node.output
    }

    def behind(name, *operators):
        for operator in operators:
            node = producer[name]
            assert node.op_type == operator, node.op_type
            name = node.input[0]
        return name

    wanted = []
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear":
            codes = behind(node.input[0], "Add", "MatMulInteger")
            before = behind(codes, "QuantizeLinear", "Clip", "Mul")
            wanted += [before, codes, node.output[0]]
    known = {value.name for value in model.graph.output}
    known |= {value.name for value in model.graph.input}
    for name in wanted:
        if name not in known:
            model.graph.output.append(onnx.ValueInfoProto(name=name))
            known.add(name)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    name = session.get_inputs()[0].name
    names = [value.name for value in session.get_outputs()]
    found = dict(zip(names, session.run(None, {name: x}))) | {name: x}
    found = [found[n] for n in (names[0], *wanted)]
    return found[0], list(zip(found[1::3], found[2::3], found[3::3]))


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("layer", MODELS)
def test_the_same_codes(tmp_path, layer, options):
    """Each layer, on what reaches it there: codes and values equal."""
    model, x = converted(layer, options, *MODELS[layer][1])
    path = tmp_path / "model.onnx"
    export.to_onnx(model, torch.tensor(x[:2]), path)
    onnx.checker.check_model(str(path))
    y, seen = onnx_values(path, x)
    layers, order = find(model, Int8Linear), []
    for one in layers.values():
        one.register_forward_hook(lambda one, _, y: order.append(one))
    with torch.no_grad():
        wanted = model(torch.tensor(x)).numpy()
    assert len(seen) == len(order) == len(layers) >= 2
    for one, (before, codes, after) in zip(order, seen):
        before = torch.tensor(before)
        assert np.array_equal(one.input_codes(before).numpy(), codes)
        assert np.array_equal(one(before).numpy(), after)
        assert len(np.unique(codes)) > 2
    if layer == "MLP":  # nothing between its layers is rounded elsewise
        assert np.array_equal(y, wanted)


def test_ties_keep_their_codes(tmp_path):
    """Half steps, where a division gives another code."""
    model, _ = converted("MLP", dict(), 7)
    layer = model.layer1
    scale, zero = float(layer.scale), int(layer.zero_point)
    half = np.arange(-128, 128) - zero + 0.5
    x = np.float32(half * np.float64(scale))
    x = np.concatenate(
        [np.nextafter(x, x + side) for side in (-1, 0, 1)]
    )
    x = np.resize(x, (768, 7))
    export.to_onnx(model, torch.tensor(x), tmp_path / "model.onnx")
    _, seen = onnx_values(tmp_path / "model.onnx", x)
    assert np.array_equal(
        seen[0][1], layer.input_codes(torch.tensor(x)).numpy()
    )
    divided = np.round(x / np.float32(scale)) + zero
    divided = np.clip(divided, -128, 127)
    assert (divided != seen[0][1]).sum() > 0


@pytest.mark.parametrize("options", OPTIONS)
def test_nan_stays_nan(tmp_path, options):
    """In its row, as in the layer; infinities saturate."""
    model, x = converted("MLP", options, 7)
    x[3, 2] = x[5] = np.nan
    x[7, 0], x[8, 1], x[5, 1] = np.inf, -np.inf, np.inf
    path = tmp_path / "model.onnx"
    export.to_onnx(model, torch.tensor(x[:2]), path)
    session = onnxruntime.InferenceSession(path)
    (y,) = session.run(None, {session.get_inputs()[0].name: x})
    assert np.flatnonzero(np.isnan(y).all(axis=1)).tolist() == [3, 5]
    wanted = model(torch.tensor(x)).detach().numpy()
    assert np.array_equal(y, wanted, equal_nan=True)


def test_a_float_model_is_refused(tmp_path):
    model = pytorch_impl.MLP(**SMALL_MLP)
    with pytest.raises(ValueError, match=r"a converted model.*MLP"):
        export.to_onnx(model, torch.ones(2, 7), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_the_try_region_runs(capsys):
    runpy.run_path(export.__file__, run_name="__main__")
    assert "linear.onnx" in capsys.readouterr().out

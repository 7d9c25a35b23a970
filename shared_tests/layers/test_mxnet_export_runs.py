"""MXNet's exports, run by onnxruntime, and as symbols by MXNet alone.

The files are written in MXNet's environment, with another batch and
other numbers of tokens than those with which they run here.
"""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from shared_tests.environments import python_of
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.layers.mxnet_exports import (
    HALF_STEPS,
    SCALE,
    files,
    symbols,
)
from shared_tests.processes import finish
from shared_tests.run import group, sigmas
from shared_tests.verdict import judge

ENVIRONMENTS = ("tools",)

MANIFEST = read_manifest()
# an operator that onnxruntime has in float32 alone
REFUSED = {"StandardizedConv2d": "implementation for Conv"}


def names(runs):
    return [f"{case.id}.{precision}" for case, precision in runs]


def refused(case, precision):
    return precision == "float64" and case.layer in REFUSED


RUNS = [one for one in files() if not refused(*one)]
EVERY_RUN = pytest.mark.parametrize(
    "case, precision", RUNS, ids=names(RUNS)
)
EVERY_SYMBOL = pytest.mark.parametrize(
    "case, precision", symbols(), ids=names(symbols())
)


def in_mxnet(what, folder):
    door = "-m", "shared_tests.layers.mxnet_exports", what, str(folder)
    code, _ = finish((python_of("mxnet"), *door))
    assert code == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mxnet")
    in_mxnet("write", folder)
    in_mxnet("run", folder)
    return folder


def session(data):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        data, options, providers=["CPUExecutionProvider"]
    )


def run(path, inputs, precision):
    given = {
        n: x.astype(precision) if x.dtype.kind == "f" else x
        for n, x in inputs.items()
    }
    [y] = session(path.read_bytes()).run(["y"], given)
    return y


def verdict(y, fixture, precision):
    sigma = sigmas(fixture, precision)["out.y"]
    return judge(y, fixture["ref.out.y"], sigma, precision)


@EVERY_RUN
def test_onnx_within_the_budget(case, precision, folder):
    path = folder / f"{case.id}.{precision}.onnx"
    fixture = read_fixture(case, MANIFEST)
    y = run(path, group(fixture, "in"), precision)
    got = verdict(y, fixture, precision)
    assert got.passed, got
    pages = np.load(path.with_suffix(".npz"))
    if case.layer == "QATLinear":  # the same codes, and one product
        assert np.array_equal(y, pages["y"])
    if "nan" in pages:
        inputs = group(fixture, "in")
        inputs["x"].reshape(-1)[0] = np.nan
        y = run(path, inputs, precision)
        want = np.isnan(pages["nan"])
        assert want.any() and np.array_equal(np.isnan(y), want)


@pytest.mark.parametrize(
    "case",
    [c for c, p in RUNS if c.layer == "QATLinear" and p == "float32"],
    ids=lambda case: case.id,
)
def test_int8_is_equal(case, folder):
    path = folder / f"{case.id}.int8.onnx"
    inputs = group(read_fixture(case, MANIFEST), "in")
    y = run(path, inputs, "float32")
    assert np.array_equal(y, np.load(path.with_suffix(".npz"))["y"])


def test_codes_are_of_products_not_of_quotients(folder):
    path = folder / "half_steps.onnx"
    y = run(path, {"x": HALF_STEPS[:, None]}, "float32")[:, 0]
    assert np.array_equal(y, np.rint(HALF_STEPS * (1 / SCALE)))
    assert not np.array_equal(y, np.rint(HALF_STEPS / SCALE))


@EVERY_SYMBOL
def test_symbols_within_the_budget(case, precision, folder):
    path = folder / f"{case.id}.{precision}.symbol.npz"
    fixture = read_fixture(case, MANIFEST)
    got = verdict(np.load(path)["y"], fixture, precision)
    assert got.passed, got


@pytest.mark.parametrize(
    "case, precision", [one for one in files() if refused(*one)]
)
def test_what_onnxruntime_does_not_have(case, precision, folder):
    path = folder / f"{case.id}.{precision}.onnx"
    with pytest.raises(Exception, match=REFUSED[case.layer]):
        session(path.read_bytes())


def computed(nodes, x, constants):
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [info("x", kind, [None] * x.ndim)],
        [info("y", kind, None)],
        constants,
    )
    opset = [helper.make_opsetid("", 21)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    [y] = session(model.SerializeToString()).run(None, {"x": x})
    return y


def test_why_the_scale_has_an_entry_for_each_channel():
    """onnxruntime 1.31.1 takes one number into a product of float64, as
    float32: attend in onnx_functions.py is written around it."""
    x = np.random.default_rng(0).standard_normal((5, 4))
    node = helper.make_node
    nodes = [
        node("Mul", ["x", "scale"], ["scaled"]),
        node("Transpose", ["x"], ["turned"], perm=[1, 0]),
        node("MatMul", ["scaled", "turned"], ["y"]),
    ]
    for shape, exact in (((), False), ((4,), True)):
        numbers = np.full(shape, 0.3).reshape(-1).tolist()
        kind = TensorProto.DOUBLE
        scale = helper.make_tensor("scale", kind, shape, numbers)
        error = np.abs(computed(nodes, x, [scale]) - 0.3 * x @ x.T)
        assert (error.max() < 1e-12) == exact


def test_why_the_fourier_transform_is_not_DFT():
    """Of onnxruntime 1.31.1, in float32 and at a length that is no power
    of two, it leaves the budget of HalfSpectrum-offset_long."""
    by_name = {case.id: case for case, _ in files()}
    case = by_name["HalfSpectrum-offset_long"]
    fixture = read_fixture(case, MANIFEST)
    x = fixture["in.x"].astype("float32")[..., None]
    node = helper.make_node("DFT", ["x", "", "axis"], ["y"], onesided=1)
    axis = helper.make_tensor("axis", TensorProto.INT64, (), [1])
    got = verdict(computed([node], x, [axis]), fixture, "float32")
    assert not got.passed and "allowed error" in got.detail

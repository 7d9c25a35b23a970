"""MXNet: what export.py promises, apart from the numbers.

Those are in test_mxnet_export_runs.py, by engines that are not ours.
"""

import json
import pickle

import onnx
import pytest
from mxnet import gluon, np

import mxnet_impl
from mxnet_impl import export
from mxnet_impl.custom_function import Function
from mxnet_impl.exports import recorded
from shared_tests.layers.mxnet_exports import BAGS
from shared_tests.layers.setups import NAMES, SETUPS, drawn

ENVIRONMENTS = ("mxnet",)

EVERY_SETUP = pytest.mark.parametrize(
    "layer, config, shape", SETUPS, ids=NAMES
)
EVERY_FORMAT = pytest.mark.parametrize("name", export.FORMATS)
# what takes a model, and makes another of it
MODELS = "prepare convert set_mode from_builtin to_builtin".split()
LINEAR = dict(in_features=3, out_features=2)


def made(layer, config, shape):
    layer = getattr(mxnet_impl, layer)(**config)
    layer.initialize()
    x = drawn(shape)
    x = np.array(x, dtype=x.dtype)
    if hasattr(layer, "start"):
        layer.start(x)
    mxnet_impl.set_mode(layer, "observe")(x)
    mxnet_impl.set_mode(layer, "quantize")
    return layer, x


def state(layer):
    every = layer._collect_params_with_prefix().items()
    return pickle.dumps({n: p.data().asnumpy() for n, p in every})


@EVERY_SETUP
def test_the_layer_stays_as_it_is(layer, config, shape, tmp_path):
    """Ranges and modes too; parameters have their names in the file."""
    layer, x = made(layer, config, shape)
    before = state(layer)
    export.to_onnx(layer, {"x": x}, tmp_path / "y.onnx")
    assert state(layer) == before
    graph = onnx.load(tmp_path / "y.onnx").graph
    assert [i.name for i in graph.input] == ["x"]
    assert [o.name for o in graph.output] == ["y"]
    own = mxnet_impl.parameters.list_parameters(layer)
    shapes = {i.name: tuple(i.dims) for i in graph.initializer}
    if type(layer).__name__ != "QATLinear":  # its file has the codes
        assert shapes | own == shapes


@EVERY_FORMAT
def test_the_file_appears_when_it_is_whole(name, tmp_path):
    layer, x = made("Linear", LINEAR, (4, 3))
    path = tmp_path / "y"
    for _ in range(2):  # it replaces what was there
        export.FORMATS[name](layer, {"x": x}, path)
    kept = path.read_bytes() if path.is_file() else None
    with pytest.raises(TypeError):
        export.FORMATS[name](layer, {"x": x.astype("int32")}, path)
    assert [p.name for p in tmp_path.iterdir()] == ["y"]
    assert kept is None or path.read_bytes() == kept


@EVERY_FORMAT
def test_before_the_first_batch(name, tmp_path):
    layer = mxnet_impl.QATLinear(**LINEAR)
    layer.initialize()
    with pytest.raises(ValueError, match="a batch to be observed"):
        inputs = {"x": np.ones((4, 3))}
        export.FORMATS[name](layer, inputs, tmp_path / "y")


def test_onnx_knows_the_layers_of_this_folder(tmp_path):
    inputs = {"x": np.ones((4, 3))}
    layer = gluon.nn.Dense(2)
    layer.initialize()
    for other in (layer, np.abs):
        with pytest.raises(NotImplementedError, match="to_onnx: "):
            export.to_onnx(other, inputs, tmp_path / "y.onnx")


@pytest.mark.parametrize(
    "name, axis",
    [("half_spectrum", 1), ("attention", 1), ("attention", 3)],
)
def test_a_size_that_a_file_of_onnx_has(name, axis, tmp_path):
    function, shape = getattr(mxnet_impl, name), (2, 3, 5, 4)
    names = "qkv" if name == "attention" else "x"
    shape = shape if name == "attention" else shape[:2]
    inputs = {n: np.ones(shape) for n in names}
    dynamic = {n: {axis: "some"} for n in names}
    with pytest.raises(
        NotImplementedError, match=f"axis {axis} has one"
    ):
        export.to_onnx(function, inputs, tmp_path / "y.onnx", dynamic)


def test_no_function_of_this_folder_is_left_out():
    for name in mxnet_impl.__all__:
        if name in MODELS:
            continue
        known = vars(export.onnx_layers.floats) | vars(
            export.onnx_layers.quantizers
        )
        known |= vars(export.onnx_layers) | export.onnx_layers.LAYERS
        assert name in known


def test_why_there_is_no_mx2onnx():
    """It would need onnx.mapping."""
    with pytest.raises(ImportError, match="onnx"):
        __import__("onnx.mapping")


@pytest.mark.parametrize(
    "layer, config, shape, axis",
    [
        ("HalfSpectrum", {}, (4, 12), 1),
        (*SETUPS[-1], 1),
        *((*setup, 0) for setup in SETUPS if setup[0] in BAGS),
    ],
)
def test_a_size_that_a_symbol_has(layer, config, shape, axis, tmp_path):
    layer, x = made(layer, config, shape)
    dynamic = {"x": {axis: "some"}}
    with pytest.raises(NotImplementedError, match="of the axis 'some'"):
        export.to_symbol(layer, {"x": x}, tmp_path / "y", dynamic)
    assert not [*tmp_path.iterdir()]


def test_a_number_that_is_of_one_size(tmp_path):
    def share(x):
        return x * np.array(1 / len(x))

    with pytest.raises(NotImplementedError, match="axis 'batch'"):
        inputs = {"x": np.ones((4, 3))}
        export.to_symbol(share, inputs, tmp_path / "y")


@pytest.mark.filterwarnings("ignore:Cannot decide type")
def test_sizes_that_a_symbol_takes(tmp_path):
    """Other than the two of which it was made."""
    config = dict(embed_dim=6, num_heads=2)
    layer, x = made("MultiHeadAttention", config, (2, 5, 6))
    dynamic = {"x": {0: "batch", 1: "tokens"}}
    export.to_symbol(layer, {"x": x}, tmp_path / "y", dynamic)
    graph, numbers = (
        tmp_path / "y" / n for n in ("y.json", "y.params")
    )
    block = gluon.SymbolBlock.imports(str(graph), ["x"], str(numbers))
    x = np.concatenate([x, 2 * x, 3 * x])
    x = np.concatenate([x, x[:, :2]], axis=1)
    assert (block(x) == layer(x)).all()
    nodes = json.loads(graph.read_text())["nodes"]
    assert "_CustomFunction" not in [node["op"] for node in nodes]


def test_np_is_itself_again():
    def places():
        methods = np.ndarray.astype, np.ndarray.__getitem__
        functions = np.array, np.reshape, Function.__call__
        return *functions, *methods

    before = places()
    with pytest.raises(ZeroDivisionError), recorded.in_full():
        assert before != places()
        raise ZeroDivisionError
    assert before == places()

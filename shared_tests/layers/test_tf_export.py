"""TensorFlow: layers as SavedModel and LiteRT, read without our code.

Another process, whose folder has no page, runs all files: each was
exported with an example of another batch than it is given there. All
layers and tf2onnx, which is not in this environment: `make export`.
"""

import json
import runpy
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import tf_impl
from shared_tests.layers.export_cases import arrays, built
from shared_tests.run import group, sigmas
from shared_tests.verdict import judge
from tf_impl import export
from tf_impl.exports import constant_graph
from tf_impl.quantization.int8_linear import Int8Linear

ENVIRONMENTS = ("tf",)

READER = """
import json, pathlib, sys
import numpy as np, tensorflow as tf

def saved_model(path, given, up):
    made, types = tf.saved_model.load(path), json.loads(TYPES)
    xs = {n: tf.constant(x, types[n]) for n, x in given.items()}
    signed = made.signatures["serving_default"](**xs)["y"]
    found = {"out.y": signed.numpy()}
    if up is not None:
        moves = [n for n, x in xs.items() if x.dtype.is_floating]
        with tf.GradientTape() as tape:
            tape.watch([xs[n] for n in moves])
            y = made.call(**xs)["y"]
        up = tf.constant(up, y.dtype)
        grads = tape.gradient(y, [xs[n] for n in moves], up)
        found |= {f"grad.{n}": d.numpy() for n, d in zip(moves, grads)}
    return found

def litert(path, given, up):
    types = json.loads(TYPES)
    call = tf.lite.Interpreter(path).get_signature_runner()
    xs = {n: x.astype(types[n]) for n, x in given.items()}
    return {"out.y": call(**xs)["y"]}

READERS = {"saved_model": saved_model, "litert": litert}
for format, folder in json.load(sys.stdin):
    folder = pathlib.Path(folder)
    TYPES = (folder / "types").read_text()
    given = dict(np.load(folder / "given.npz"))
    up = given.pop("up", None)
    found = READERS[format](str(folder / "layer"), given, up)
    types = {n: str(a.dtype) for n, a in found.items()}
    (folder / "types").write_text(json.dumps(types))
    wide = {n: a.astype(np.float64) for n, a in found.items()}
    np.savez(folder / "found.npz", **wide)
assert "tf_impl" not in sys.modules
"""
TOKENS = {"x": {0: "batch", 1: "tokens"}}
QUERIES = {0: "batch", 2: "queries"}
KEYS = {0: "batch", 2: "keys"}
ANY = {"q": QUERIES, "k": KEYS, "v": KEYS}
ANY_MASK = ANY | {"attn_mask": QUERIES | {3: "keys"}}
X = {"x": {0: "batch"}}
FILES = [
    ("saved_model", "Linear-basic", "bfloat16", None),
    ("saved_model", "ManualLinear-basic", "float32", None),
    ("saved_model", "MultiHeadAttention-causal", "float32", TOKENS),
    ("saved_model", "QATLinear-basic", "float32", None),
    ("litert", "HalfSpectrum-odd_length", "float32", None),
    ("litert", "attention-masked", "float32", ANY_MASK),
    ("litert", "quantize-basic", "float32", X),
]
NAMES = [
    f"{case}.{precision}.{form}" for form, case, precision, _ in FILES
]


def doubled(xs, dynamic):
    """Another size on each axis that is dynamic."""
    if dynamic is None:
        dynamic = {n: {0: "batch"} for n in xs}
    found = {}
    for name, x in xs.items():
        for axis in dynamic.get(name, {}):
            x = tf.concat([x, x], axis)
        found[name] = x
    return found


def give(folder, xs, up=None):
    types = {n: x.dtype.name for n, x in xs.items()}
    (folder / "types").write_text(json.dumps(types))
    wide = {n: x.numpy() for n, x in xs.items()}
    for name, x in xs.items():  # NumPy writes no bfloat16
        if x.dtype.is_floating:
            wide[name] = wide[name].astype(np.float64)
    wide |= {} if up is None else {"up": up}
    np.savez(folder / "given.npz", **wide)


def read(files):
    """[(format, folder)]: what another process, in whose folder no page
    is, made of them."""
    said = subprocess.run(
        [sys.executable, "-c", READER],
        input=json.dumps([(form, str(at)) for form, at in files]),
        capture_output=True,
        cwd=files[0][1],
        text=True,
        env={"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
    )
    assert said.returncode == 0, said.stderr
    found = []
    for _, folder in files:
        types = json.loads((folder / "types").read_text())
        values = np.load(folder / "found.npz")
        dtypes = {
            n: tf.as_dtype(t).as_numpy_dtype for n, t in types.items()
        }
        found.append(
            {n: values[n].astype(d) for n, d in dtypes.items()}
        )
    return found


def codes_of(layer):
    """Its input codes, as a function of x alone."""
    scale = tf.constant(layer.scale.numpy())
    zero_point = tf.constant(layer.zero_point.numpy())
    return lambda x: tf_impl.quantize(
        x, scale, zero_point, *layer.codes
    )


@pytest.fixture(scope="module")
def integers(adapter):
    layer, xs, _ = built(adapter, "QATLinear-4_bits", "float32")
    return tf_impl.convert(layer), xs


@pytest.fixture(scope="module")
def found(tmp_path_factory, adapter, integers):
    """{name: what the other process got of that file}"""
    files = []

    def write(form, layer, xs, dynamic, up):
        folder = tmp_path_factory.mktemp("export")
        made = export.FORMATS[form]
        made(layer, doubled(xs, dynamic), folder / "layer", dynamic)
        give(folder, xs, up)
        files.append((form, folder))

    for form, case, precision, dynamic in FILES:
        layer, xs, fixture = built(adapter, case, precision)
        up = group(fixture, "cotangent").get("y")
        up = None if case.startswith("QAT") else up  # see below
        write(form, layer, xs, dynamic, up)
    layer, xs = integers
    write("saved_model", layer, xs, None, None)
    write("saved_model", codes_of(layer), xs, None, None)
    return dict(zip([*NAMES, "integers", "codes"], read(files)))


@pytest.mark.parametrize("name", NAMES)
def test_run_by_a_process_without_our_code(found, name):
    """y, and of a SavedModel the gradients, within the budget."""
    _, case, precision, _ = FILES[NAMES.index(name)]
    _, fixture = arrays(case)
    assert "out.y" in found[name]
    for array, value in found[name].items():
        want = fixture[f"ref.{array}"]
        sigma = sigmas(fixture, precision).get(array)
        verdict = judge(value, want, sigma, precision)
        assert verdict.passed, f"{array}: {verdict.detail}"


def test_integers_after_convert(found, integers):
    """Codes and y of an Int8Linear are equal to the last bit."""
    layer, xs = integers
    assert isinstance(layer, Int8Linear)
    y, codes = (found[name]["out.y"] for name in ("integers", "codes"))
    assert codes.dtype == np.int32 and len(np.unique(codes)) > 2
    assert np.array_equal(codes, layer.input_codes(**xs))
    assert np.array_equal(y, layer(**xs))


def test_the_layer_stays_as_it_is(tmp_path):
    """What is exported is a frozen copy."""
    layer = tf_impl.QATLinear(3, 2)
    x = tf.reshape(tf.linspace(-1.0, 1.0, 12), (4, 3))
    layer(x)
    export.to_saved_model(layer, {"x": x}, tmp_path / "layer")
    assert layer.mode == "quantize"
    before = np.array(layer.input_quantizer.observer.bounds)
    layer(3 * x)
    after = np.array(layer.input_quantizer.observer.bounds)
    assert not np.array_equal(before, after)


def test_no_gradient_of_a_loaded_qat_layer(tmp_path):
    """When this is red, there is one: say so on the page."""
    layer, x = tf_impl.QATLinear(3, 2), tf.ones((4, 3))
    layer(x)
    export.to_saved_model(layer, {"x": x}, tmp_path / "layer")
    made = tf.saved_model.load(str(tmp_path / "layer"))
    with tf.GradientTape() as tape, pytest.raises(AssertionError):
        tape.watch(x)
        made.call(x=x)


@pytest.mark.parametrize(
    "case, precision, dynamic, reason",
    [
        (
            "QATLinear-basic",
            "float32",
            None,
            "'tf.MatMul' op is neither",
        ),
        ("Linear-basic", "float64", None, "'tf.MatMul' op is neither"),
    ],
)
def test_what_litert_has_not(
    tmp_path, adapter, case, precision, dynamic, reason
):
    """When this is red, LiteRT has it: say so on the page."""
    layer, xs, _ = built(adapter, case, precision)
    with pytest.raises(NotImplementedError, match=reason) as raised:
        export.to_litert(layer, xs, tmp_path / "layer", dynamic)
    assert f"tensorflow {tf.__version__}" in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_litert_has_no_integers(tmp_path, integers):
    """When this is red, it has: say so on the page."""
    layer, xs = integers
    reason = (
        "'tfl.fully_connected' op operand #0 must be tensor of 32-bit"
    )
    with pytest.raises(NotImplementedError, match=reason):
        export.to_litert(layer, xs, tmp_path / "layer")
    assert not list(tmp_path.iterdir())


def test_what_is_wrong_with_the_layer_is_no_limit(tmp_path):
    layer, x = tf_impl.Linear(3, 2), tf.ones((4, 5))
    with pytest.raises(ValueError, match="linear: x expected shape"):
        export.to_saved_model(layer, {"x": x}, tmp_path / "a")
    layer, x = tf_impl.QATLinear(3, 2), tf.ones((4, 3))
    with pytest.raises(
        ValueError, match="a batch to be observed first"
    ):
        export.to_saved_model(layer, {"x": x}, tmp_path / "a")


def test_a_folder_replaces_a_folder(tmp_path, monkeypatch):
    """And where that fails, the last good one stays."""
    path, x = tmp_path / "layer", tf.ones((4, 3))
    layer, other = tf_impl.Linear(3, 2), tf_impl.Linear(3, 2)
    export.to_saved_model(layer, {"x": x}, path)
    export.to_saved_model(other, {"x": x}, path)
    made = tf.saved_model.load(str(path))
    assert np.array_equal(made.call(x=x)["y"], other(x))

    def full(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full)
    with pytest.raises(OSError, match="no space"):
        export.to_saved_model(layer, {"x": x}, path)
    made = tf.saved_model.load(str(path))
    assert np.array_equal(made.call(x=x)["y"], other(x))
    assert list(tmp_path.iterdir()) == [path]


def test_onnx_needs_another_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    layer, x = tf_impl.CenteredLayer(), tf.ones((4, 3))
    with pytest.raises(ImportError, match="tf2onnx"):
        export.to_onnx(layer, {"x": x}, tmp_path / "a")


def test_the_try_regions_run(capsys):
    for page in (export, constant_graph):
        runpy.run_path(page.__file__, run_name="__main__")
    assert capsys.readouterr().out.startswith("True\n")

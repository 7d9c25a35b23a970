"""JAX: layers as StableHLO, read where no page of ours is.

Another process, whose folder has no page, runs all files: each was
exported with an example of another batch than it is given there. All
layers and jax2onnx, which is not in this environment: `make export`.
"""

import json
import runpy
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jax_impl
from jax_impl import export
from jax_impl.exports import onnx_graph
from jax_impl.exports.onnx_graph import for_onnx
from shared_tests.layers.export_cases import arrays, built
from shared_tests.run import group, sigmas
from shared_tests.verdict import judge

ENVIRONMENTS = ("jax",)

READER = """
import json, pathlib, sys
import jax, numpy as np
from jax import export

jax.config.update("jax_enable_x64", True)
for folder in map(pathlib.Path, json.load(sys.stdin)):
    made = export.deserialize(bytearray((folder / "layer").read_bytes()))
    given = dict(np.load(folder / "given.npz"))
    up = given.pop("up", None)
    types = zip(sorted(given), made.in_avals)
    xs = {n: jax.numpy.array(given[n], a.dtype) for n, a in types}
    moves = {n: x for n, x in xs.items() if x.dtype.kind not in "bi"}
    rest = {n: x for n, x in xs.items() if n not in moves}
    y, pull = made.call(**xs), None
    found = {"out.y": y}
    if up is not None:
        call = lambda moves: made.call(**moves, **rest)
        pull = jax.vjp(call, moves)[1]
        (grads,) = pull(jax.numpy.array(up, y.dtype))
        found |= {f"grad.{n}": d for n, d in grads.items()}
    types = {n: str(a.dtype) for n, a in found.items()}
    (folder / "types").write_text(json.dumps(types))
    wide = {n: np.asarray(a).astype(np.float64) for n, a in found.items()}
    np.savez(folder / "found.npz", **wide)
assert "jax_impl" not in sys.modules
"""
TOKENS = {"x": {0: "batch", 1: "tokens"}}
QUERIES = {0: "batch", 2: "queries"}
KEYS = {0: "batch", 2: "keys"}
ANY = {"q": QUERIES, "k": KEYS, "v": KEYS}
ANY_MASK = ANY | {"attn_mask": QUERIES | {3: "keys"}}
FILES = [
    ("Linear-basic", "float64", None),
    ("Linear-basic", "bfloat16", None),
    ("ManualLinear-basic", "float32", None),
    ("HalfSpectrum-odd_length", "float32", None),
    ("attention-masked", "float32", ANY_MASK),
    ("quantize-basic", "float32", {"x": {0: "batch"}}),
    ("LSQ-channels", "float32", {"x": {1: "rows"}}),
    ("QATLinear-basic", "float32", None),
]
NAMES = [f"{case}.{precision}" for case, precision, _ in FILES]


def doubled(xs, dynamic):
    """Another size on each axis that is dynamic."""
    if dynamic is None:
        dynamic = {n: {0: "batch"} for n in xs}
    found = {}
    for name, x in xs.items():
        for axis in dynamic.get(name, {}):
            x = jnp.concatenate([x, x], axis)
        found[name] = x
    return found


def read(folders):
    """What another process, in whose folder no page is, made of them."""
    said = subprocess.run(
        [sys.executable, "-c", READER],
        input=json.dumps([str(folder) for folder in folders]),
        capture_output=True,
        cwd=folders[0],
        text=True,
        env={"JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1"},
    )
    assert said.returncode == 0, said.stderr
    found = []
    for folder in folders:
        types = json.loads((folder / "types").read_text())
        values = np.load(folder / "found.npz")
        found.append(
            {n: values[n].astype(jnp.dtype(types[n])) for n in types}
        )
    return found


def give(folder, xs, **up):
    wide = {n: np.asarray(x) for n, x in xs.items()}
    for name, x in wide.items():  # NumPy writes no bfloat16
        if x.dtype.kind not in "bi":
            wide[name] = x.astype(np.float64)
    np.savez(folder / "given.npz", **up, **wide)


@pytest.fixture(scope="module")
def found(tmp_path_factory, adapter):
    """{name: what the other process got of that file}"""
    folders = []
    for name, (case, precision, dynamic) in zip(NAMES, FILES):
        folder = tmp_path_factory.mktemp(name)
        layer, xs, fixture = built(adapter, case, precision)
        example = doubled(xs, dynamic)
        export.to_stablehlo(layer, example, folder / "layer", dynamic)
        up = group(fixture, "cotangent").get("y")
        give(folder, xs, **({} if up is None else {"up": up}))
        folders.append(folder)
    return dict(zip(NAMES, read(folders)))


@pytest.mark.parametrize("name", NAMES)
def test_run_by_a_process_without_our_pages(found, name):
    """y, and the gradients of the inputs, within the budget."""
    case, precision, _ = FILES[NAMES.index(name)]
    _, fixture = arrays(case)
    assert "out.y" in found[name]
    for array, value in found[name].items():
        want = fixture[f"ref.{array}"]
        sigma = sigmas(fixture, precision).get(array)
        verdict = judge(value, want, sigma, precision)
        assert verdict.passed, f"{array}: {verdict.detail}"


def test_integers_after_convert(tmp_path, adapter):
    """Codes and y of an Int8Linear are equal to the last bit."""
    layer, xs, _ = built(adapter, "QATLinear-4_bits", "float32")
    layer = jax_impl.convert(layer)
    folders = [tmp_path / "y", tmp_path / "codes"]
    for folder, call in zip(folders, (layer, layer.input_codes)):
        folder.mkdir()
        export.to_stablehlo(call, doubled(xs, None), folder / "layer")
        give(folder, xs)
    y, codes = (one["out.y"] for one in read(folders))
    assert codes.dtype == np.int8 and len(np.unique(codes)) > 2
    assert np.array_equal(codes, layer.input_codes(**xs))
    assert np.array_equal(y, layer(**xs))


def test_the_layer_stays_as_it_is(tmp_path):
    """What is exported is a frozen copy."""
    layer = jax_impl.QATLinear(3, 2, rngs=nnx.Rngs(0))
    x = jnp.linspace(-1, 1, 12).reshape(4, 3)
    layer(x)
    export.to_stablehlo(layer, {"x": x}, tmp_path / "layer")
    assert layer.mode == "quantize"
    before = layer.input_quantizer.observer.bounds[...]
    layer(3 * x)
    assert not jnp.array_equal(
        before, layer.input_quantizer.observer.bounds[...]
    )


@pytest.mark.parametrize(
    "case, dynamic, reason",
    [
        (
            "TransformerClassifier-basic",
            TOKENS,
            "cannot be interpreted",
        ),
        ("attention_tiled-causal", ANY, "'keys' < '3' is inconclusive"),
    ],
)
def test_an_axis_that_python_has_to_know(
    tmp_path, adapter, case, dynamic, reason
):
    """When this is red, that axis can be dynamic: say so on the page."""
    layer, xs, _ = built(adapter, case, "float32")
    with pytest.raises(NotImplementedError, match=reason) as raised:
        export.to_stablehlo(layer, xs, tmp_path / "layer", dynamic)
    assert f"jax {jax.__version__}" in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_what_is_wrong_with_the_layer_is_no_limit(tmp_path):
    layer = jax_impl.Linear(3, 2, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="linear: x expected shape"):
        export.to_stablehlo(
            layer, {"x": jnp.ones((4, 5))}, tmp_path / "a"
        )
    layer = jax_impl.QATLinear(3, 2, rngs=nnx.Rngs(0))
    with pytest.raises(
        ValueError, match="a batch to be observed first"
    ):
        export.to_stablehlo(
            layer, {"x": jnp.ones((4, 3))}, tmp_path / "a"
        )


def test_the_last_good_file_stays(tmp_path, monkeypatch):
    path, x = tmp_path / "layer", jnp.ones((4, 3))
    layer = jax_impl.Linear(3, 2, rngs=nnx.Rngs(0))
    export.to_stablehlo(layer, {"x": x}, path)
    before = path.read_bytes()

    def full(source, target):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space"):
        export.to_stablehlo(layer, {"x": x}, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "case", ["HalfSpectrum-odd_length", "attention-causal"]
)
def test_the_operations_for_onnx_are_those_of_the_layer(adapter, case):
    """And no fft, no complex number and no function is left."""
    layer, xs, fixture = built(adapter, case, "float32")
    names = list(xs)
    call = for_onnx(
        lambda *xs: layer(**dict(zip(names, xs))), list(xs.values())
    )
    y, sigma = call(*xs.values()), fixture["sigma.out.y"]
    verdict = judge(y, fixture["ref.out.y"], sigma, "float32")
    assert verdict.passed, verdict.detail
    left = {
        e.primitive.name
        for e in jax.make_jaxpr(call)(*xs.values()).eqns
    }
    assert not left & {"fft", "complex", "real", "jit", "pjit"}


def test_onnx_needs_another_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    layer = jax_impl.CenteredLayer()
    with pytest.raises(ImportError, match="jax2onnx"):
        export.to_onnx(layer, {"x": jnp.ones((4, 3))}, tmp_path / "a")


def test_the_try_regions_run(capsys):
    for page in (export, onnx_graph):
        runpy.run_path(page.__file__, run_name="__main__")
    assert capsys.readouterr().out.startswith("True\n")

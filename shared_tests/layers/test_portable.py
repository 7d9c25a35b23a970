"""Portable checkpoints: a layer comes back as it was, or an error says
why not; what the others do with such a file is in live/test_square.py."""

import importlib
import json
import re
import tomllib

import numpy as np
import pytest

from shared_tests.files import ROOT
from shared_tests.layers.setups import SETUPS, TOKENS

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

MLP = dict(input_size=7, hidden_size=5, output_size=3)
MANY = TOKENS | dict(num_layers=10**9)
NO_HEADS = TOKENS | dict(num_heads=0)
NAME = "model.safetensors"


@pytest.fixture(scope="module")
def page(framework):
    def page(name):
        return importlib.import_module(f"{framework}_impl.{name}")

    return page


@pytest.fixture
def path(tmp_path):
    return tmp_path / NAME


@pytest.fixture
def save(page):
    return page("portable.checkpoint").save_portable


@pytest.fixture
def load(page):
    return page("portable.checkpoint").load_portable


@pytest.fixture(scope="module")
def mlp(page, start, tmp_path_factory):
    """Words and tensors of the file of an MLP."""
    path = tmp_path_factory.mktemp("mlp") / NAME
    page("portable.checkpoint").save_portable(start("MLP", MLP), path)
    return page("portable.tensor_file").read(path)


def same(page, save, layer, path):
    """Saved again, a loaded layer makes the same file."""
    save(layer, path)
    before = path.read_bytes()
    loaded, training = page("portable.checkpoint").load_portable(path)
    assert type(loaded) is type(layer) and training is None
    save(loaded, path)
    assert path.read_bytes() == before
    return loaded


@pytest.mark.parametrize("layer, config, shape", SETUPS)
def test_each_layer(page, start, save, path, layer, config, shape):
    same(page, save, start(layer, config), path)
    words, _ = page("portable.tensor_file").read(path)
    assert words["layer"] == layer
    want = dict(config)
    want.pop("alpha_init", None)  # alpha itself is in the file
    if "pact" in want.values():  # it has no signed codes
        want["input_signed"] = False
    assert want.items() <= json.loads(words["config"]).items()


def test_the_version_is_that_of_the_project(page):
    text = (ROOT / "pyproject.toml").read_text()
    version = tomllib.loads(text)["project"]["version"]
    assert version == page("portable.checkpoint").VERSION


def test_tied_and_frozen_stay(
    page, start, save, load, parameters, path
):
    """Tied by its class, or by a user; the file has one of them."""
    tied = start("TiedMLP", dict(features=5))
    sizes = dict(input_size=5, hidden_size=5, output_size=5)
    plain, other = start("MLP", sizes), start("MLP", sizes, 1)
    share = page("quantization.attached").share
    share(plain.layer2, weight=plain.layer1.weight)
    for layer in (tied, plain):
        parameters.freeze(layer, "layer1.bias")
        loaded = same(page, save, layer, path)
        assert loaded.layer2.weight is loaded.layer1.weight
        frozen = page("portable.arrays").is_frozen
        named = parameters.named_parameters(loaded)
        assert [n for n in named if frozen(named[n])] == ["layer1.bias"]
        words, arrays = page("portable.tensor_file").read(path)
        assert json.loads(words["tied"]) == {
            "layer2.weight": "layer1.weight"
        }
        assert "layer2.weight" not in arrays
    loaded = same(page, save, other, path)
    assert loaded.layer2.weight is not loaded.layer1.weight


def test_the_mode_stays(package, page, start, save, path):
    for mode in ("observe", "quantize", "frozen"):
        model = package.prepare(start("MLP", MLP), {"layer1": {}})
        package.set_mode(model, mode)
        assert same(page, save, model, path).layer1.mode == mode


def test_what_an_optimizer_knows(
    adapter, first_dtype, start, save, load, path
):
    layer = start("MLP", MLP)
    numbers = np.arange(35).reshape(5, 7) / 3
    first = dict.fromkeys(
        ["layer1.weight"], adapter.to_tensor(numbers, first_dtype)
    )
    training = dict(rule="momentum", lr=0.1, step=7, first=first)
    save(layer, path, training | dict(second={}))
    _, found = load(path)
    got = found.pop("first")["layer1.weight"]
    assert adapter.to_numpy(got).dtype == first_dtype
    assert np.array_equal(
        adapter.to_numpy(got), numbers.astype(first_dtype)
    )
    assert found == dict(rule="momentum", lr=0.1, step=7, second={})
    for wrong, words in (
        (dict(rule="rmsprop"), "rule expected sgd or"),
        (dict(lr=float("nan")), "lr expected a finite number"),
        (dict(step=-1), "step expected an integer"),
        (dict(second={"layer3.weight": got}), "dtype, shape of layer3"),
        (dict(second={"layer2.weight": got}), "dtype, shape of layer2"),
    ):
        with pytest.raises(ValueError, match=words):
            save(layer, path, training | dict(second={}) | wrong)
    assert load(path)[1]["step"] == 7


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(layer="Sequential"), "the layer expected one of"),
        (dict(layer="os.system"), "the layer expected one of"),
        (dict(layer="Linear"), "Linear: config expected in_features"),
        (
            dict(layer="TransformerClassifier", config=MANY),
            "num_layers expected at most 4, got 1000000000",
        ),
        (
            dict(layer="TransformerClassifier", config=NO_HEADS),
            "num_heads expected at least 1, got 0",
        ),
        (dict(config={}), "MLP: config expected input_size"),
        (dict(config=[]), "config expected a JSON"),
        (
            dict(config=MLP | dict(scale="1")),
            "MLP: scale expected int or float",
        ),
        (
            dict(config=MLP | dict(scale=True)),
            "scale expected int or float",
        ),
        (dict(config=MLP | dict(scale=1, x=1)), "MLP: config expected"),
        (
            dict(config=MLP | dict(scale=1.0, hidden_size=2**40)),
            "layer1.weight: shape expected (1099511627776, 7)",
        ),
        (
            dict(config=MLP | dict(scale=1.0, hidden_size=5.0)),
            "hidden_size expected int",
        ),
        (
            dict(replaced={"relu": ["QATLinear", {}]}),
            "relu expected no",
        ),
        (
            dict(replaced={"head": ["QATLinear", {}]}),
            "head expected no",
        ),
        (dict(replaced={"layer1": ["MLP", {}]}), "QATLinear or Int8"),
        (dict(replaced={"layer1": 7}), "QATLinear or Int8Linear"),
        (
            dict(replaced={"layer1": ["QATLinear", {}]}),
            "QATLinear: config expected in_features",
        ),
        (dict(modes={"layer1": "frozen"}), "modes expected"),
        (dict(tied={"layer2.bias": "layer1.bias"}), "a weight like it"),
        (dict(tied={"layer1.bias": "layer1.bias"}), "a weight like it"),
        (dict(tied={"layer1.bias": ["a"]}), "a weight like it"),
        (dict(tied={"a.weight": "b.weight"}), "a weight like it"),
        (dict(frozen=["layer9.bias"]), "freeze: name expected"),
        (dict(frozen=[7]), "frozen expected names"),
        (dict(training=[]), "training expected"),
        (dict(training={"rule": "sgd"}), "training expected"),
        (dict(config=None), "config expected a JSON"),
        (dict(more="1"), "words expected"),
    ],
)
def test_words_that_are_wrong(page, mlp, path, change, words):
    said, tensors = mlp
    plain = ("layer", "more")
    change = {
        n: w if n in plain else json.dumps(w) for n, w in change.items()
    }
    refused(page, path, said | change, tensors, words)


def refused(page, path, said, tensors, words):
    page("portable.tensor_file").write(path, tensors, said)
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        page("portable.checkpoint").load_portable(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and len(text) < 1000


def test_arrays_that_are_wrong(page, mlp, path):
    said, tensors = mlp[0], dict(mlp[1])
    bias = tensors["layer1.bias"]
    for change, words in (
        ({"more": bias}, "arrays expected"),
        (
            {"layer1.bias": bias._replace(shape=(5, 1))},
            "shape expected",
        ),
        ({"training.first.layer1.bias": bias}, "training expected"),
        (
            {
                "layer1.bias": bias._replace(
                    dtype="int32", data=b"1" * 20
                )
            },
            "layer1.bias: dtype expected float64 float32",
        ),
    ):
        refused(page, path, said, tensors | change, words)
    del tensors["layer1.bias"]
    refused(
        page, path, said, tensors, "arrays expected ['layer1.bias']"
    )


def test_a_model_that_no_file_could_bring_back(
    framework, package, page, start, save, path
):
    """Other classes, subclasses, and what a user has set."""

    class Own(package.Linear):
        pass

    changed = start("MLP", MLP)
    other = start("CenteredLayer", {})
    page("quantization.places").replace(changed, "relu", other)
    with pytest.raises(ValueError, match="expected its parts"):
        save(changed, path)
    if framework == "pytorch":
        hooked = start("MLP", MLP)
        hooked.layer1.register_forward_hook(print)
        with pytest.raises(ValueError, match="_forward_hooks"):
            save(hooked, path)
        lacking = start("TransformerClassifier", TOKENS)
        lacking.blocks[0].norm2 = None
        with pytest.raises(ValueError, match="layers expected"):
            save(lacking, path)
    scaled = start("TransformerClassifier", TOKENS)
    scaled.blocks[0].norm1.eps = 0.5
    with pytest.raises(ValueError, match=r"blocks.0.norm1 expected no"):
        save(scaled, path)
    more = {}
    if framework == "jax":
        from flax import nnx

        more = dict(rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="got 'Own'"):
        save(Own(3, 2, **more), path)
    assert not path.exists()


def test_a_precision_that_is_not_there(
    framework, page, adapter, start, path, load
):
    """MXNet has no bfloat16; JAX needs to be told of float64."""
    data = {"weight": ("bfloat16", (2, 3), bytes(12))}
    data["bias"] = ("bfloat16", (2,), bytes(4))
    start_words = dict(in_features=3, out_features=2, bias=True)
    words = dict(config=start_words, replaced={}, modes={}, tied={})
    words |= dict(frozen=[], training=None)
    texts = {n: json.dumps(w) for n, w in words.items()}
    texts |= dict(layer="Linear", version="0.1.0")
    tensor_file = page("portable.tensor_file")
    tensors = {n: tensor_file.Tensor(*t) for n, t in data.items()}
    tensor_file.write(path, tensors, texts)
    if framework == "mxnet":
        with pytest.raises(ValueError, match=r"MXNet 1\.9\.1 has"):
            load(path)
    else:
        load(path)
    if framework == "jax":
        import jax

        wide = {
            n: t._replace(dtype="float64", data=4 * t.data)
            for n, t in tensors.items()
        }
        tensor_file.write(path, wide, texts)
        load(path)
        jax.config.update("jax_enable_x64", False)
        try:
            with pytest.raises(ValueError, match="jax_enable_x64"):
                load(path)
        finally:
            jax.config.update("jax_enable_x64", True)


def test_finite(page, start, save, load, path):
    """A range that has seen nothing is NaN."""
    save(start("MLP", MLP), path)
    load(path, finite=True)
    save(start("LSQ", {}), path)
    load(path)
    with pytest.raises(ValueError, match="step expected finite"):
        load(path, finite=True)


def test_a_range_of_another_dtype(page, start, save, load, path):
    """The frameworks differ in the dtype of what quantizes 16 bits."""
    save(start("QATLinear", dict(in_features=3, out_features=2)), path)
    said, tensors = page("portable.tensor_file").read(path)
    name, data = "input_quantizer.observer.bounds", b"\0\xbc\0\x3c"
    tensor = page("portable.tensor_file").Tensor("float16", (2,), data)
    page("portable.tensor_file").write(
        path, tensors | {name: tensor}, said
    )
    loaded, _ = load(path)
    bounds = loaded.input_quantizer.observer.bounds
    assert page("portable.arrays").to_tensor(bounds) == tensor
    before = path.read_bytes()
    save(loaded, path)
    assert path.read_bytes() == before

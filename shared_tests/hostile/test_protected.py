"""What docs/security.md says the frameworks can do and cannot do."""

import importlib
import os

import numpy as np
import pytest

from shared_tests.hostile.readers import made

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

LINEAR = dict(in_features=3, out_features=2)
NAME = "layer.weights.h5"


@pytest.fixture
def layer(framework):
    return made(framework, "Linear", LINEAR, 0)


def write_one(framework, layer):
    """Write ones into the weight, as any code in the process may."""
    if framework == "pytorch":
        layer.weight.detach().numpy()[...] = 1
    elif framework == "jax":
        layer.weight[...] = 1 + 0 * layer.weight[...]
    elif framework == "tf":
        layer.weight.assign(0 * layer.weight + 1)
    else:
        layer.weight.data()[()] = 1


def test_a_frozen_parameter_can_be_written(
    framework, parameters, numbers, layer
):
    """Freezing is for training: it protects nothing."""
    parameters.freeze(layer, "weight")
    assert not np.all(numbers(layer)["weight"] == 1)
    write_one(framework, layer)
    assert np.all(numbers(layer)["weight"] == 1)


def test_an_array_outside_and_the_parameter(framework, layer):
    """Whether NumPy's array of a parameter is a way to write into it."""
    if framework == "pytorch":
        array = layer.weight.detach().numpy()
        array[...] = 7  # the same memory
        assert (layer.weight == 7).all()
        array.flags.writeable = False
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 8
        layer.weight.data.fill_(8)  # the flag binds NumPy alone
        assert (array == 8).all()
    elif framework == "jax":
        array = np.asarray(layer.weight[...])
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 7
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True
        with pytest.raises(TypeError, match="immutable"):
            layer.weight[...][0, 0] = 7
        assert not (layer.weight[...] == 7).any()
    elif framework == "tf":
        array = layer.weight.numpy()
        array[...] = 7  # a copy
        assert not np.any(layer.weight.numpy() == 7)
        with pytest.raises(TypeError, match="item assignment"):
            layer.weight.value.read_value()[0, 0] = 7
    else:
        array = layer.weight.data().asnumpy()
        array[...] = 7  # a copy
        assert not (layer.weight.data().asnumpy() == 7).any()


def test_a_file_for_reading_only_is_replaced(
    framework, layer, tmp_path
):
    """The permissions of the folder count: a name is made anew there."""
    checkpoint = importlib.import_module(f"{framework}_impl.checkpoint")
    path = tmp_path / NAME
    path.write_bytes(b"old")
    os.chmod(path, 0o444)
    checkpoint.save(layer, path)
    checkpoint.load(layer, path)
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_file_has_the_numbers_in_clear(
    framework, numbers, layer, tmp_path
):
    path = tmp_path / NAME
    weight = numbers(layer)["weight"]
    for page, save in (
        ("checkpoint", "save"),
        ("portable.checkpoint", None),
    ):
        module = importlib.import_module(f"{framework}_impl.{page}")
        getattr(module, save or "save_portable")(layer, path)
        assert weight.tobytes() in path.read_bytes()


def test_a_gradient_has_the_input(adapter):
    """That of a Linear, for a batch of one: a row of it is the input,
    times the number that the bias receives."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 3)).astype("float32")
    params = dict(weight=rng.standard_normal((2, 3)), bias=np.ones(2))
    built = adapter.build("Linear", LINEAR, params, "float32")
    y = np.array([[2.0, 0.5]], "float32")  # powers of two: no rounding
    found = adapter.run(built, dict(x=x), dict(y=y))
    row = found["grad.weight"][0] / found["grad.bias"][0]
    assert np.array_equal(row, x[0])


def test_the_framework_s_own_format(framework, tmp_path):
    """What in it can run code, and what keeps it from that; PyTorch's
    is in test_watch.py."""
    if framework == "tf":
        import keras

        model = keras.Sequential(
            [keras.Input((3,)), keras.layers.Lambda(lambda x: x + 1)]
        )
        model.save(tmp_path / "model.keras")
        with pytest.raises(ValueError, match="safe_mode"):
            keras.saving.load_model(tmp_path / "model.keras")
        # of weights alone: no code, but a layer that is half loaded
        package = importlib.import_module("tf_impl")
        saved, loaded = (package.MLP(3, 5, 2) for _ in range(2))
        path = tmp_path / NAME
        package.checkpoint.save(saved, path)
        import h5py

        with h5py.File(path, "r+") as file:
            del file["layer2/vars/0"]
            file["layer2/vars/0"] = h5py.ExternalLink("other.h5", "a")
        loaded.built = True
        before = loaded.layer1.weight.numpy()
        with pytest.raises(ValueError, match="ExternalLink"):
            keras.saving.load_weights(loaded, path)
        after = loaded.layer1.weight.numpy()
        assert not np.array_equal(before, after)
        with pytest.raises(ValueError, match="is a link"):
            package.checkpoint.load(loaded, path)
    elif framework == "jax":
        from flax import serialization

        objects = np.array([print], dtype=object)
        with pytest.raises(ValueError, match="Object"):
            serialization.msgpack_serialize(dict(a=objects))
        assert {e.name for e in serialization._MsgpackExtType} == {
            "ndarray",
            "native_complex",
            "npscalar",
        }
    elif framework == "mxnet":
        from mxnet_impl import params_file

        # numbers of a closed list of types, and names: nothing to run
        assert set(params_file.DTYPES) == set(
            "float32 float64 float16 uint8 int32 int8 int64 bool".split()
        )
    else:
        from pytorch_impl import state_file

        assert all(
            word.startswith("torch ") and word.endswith("Storage")
            for word in state_file.CALLS
            - {
                "collections OrderedDict",
                "torch._utils _rebuild_tensor_v2",
            }
        )

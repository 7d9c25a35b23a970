"""Checkpoint: bit for bit and whole, or an error and no change."""

import importlib
import os
import pathlib
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

LINEAR = dict(in_features=7, out_features=3)
MLP = dict(input_size=7, hidden_size=11, output_size=3)
SQUARE = dict(input_size=7, hidden_size=7, output_size=7)
TIED = dict(features=7)
NAME = "layer.weights.h5"  # Keras insists on this ending
PRECISIONS = ("float64", "float32", "bfloat16", "float16")
# what a layer starts in; the JAX adapter turns float64 on
FLOAT = dict.fromkeys(("pytorch", "tf", "mxnet"), "float32")
FLOAT["jax"] = "float64"
# numbers that arithmetic of any kind would not bring back
SPECIAL = (-0.0, 0.0, np.inf, -np.inf, np.nan, 6e-8, 1.0, 1 / 3)
WRITERS = {
    "pytorch": "torch.save",
    "jax": "pathlib.Path.write_bytes",
    "tf": "pathlib.Path.write_bytes",
    "mxnet": "mxnet.gluon.Block.save_parameters",
}


@pytest.fixture(scope="module")
def checkpoint(framework):
    return importlib.import_module(f"{framework}_impl.checkpoint")


def bits(arrays):
    return {
        n: (a.dtype, a.shape, a.tobytes()) for n, a in arrays.items()
    }


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "layer, config",
    [
        ("CenteredLayer", {}),
        ("Linear", LINEAR),
        ("RMSNorm", dict(dim=7)),
        ("MLP", MLP),
        ("TiedMLP", TIED),
    ],
)
def test_bit_for_bit(
    adapter, checkpoint, numbers, tmp_path, layer, config, precision
):
    if adapter.unsupported(layer, precision):
        with pytest.raises(NotImplementedError):
            adapter.build(layer, config, {}, precision)
        return
    rng = np.random.default_rng(0)
    saved, loaded = {}, {}
    for name, shape in adapter.shapes(layer, config).items():
        saved[name] = rng.standard_normal(shape)
        saved[name].flat[: len(SPECIAL)] = SPECIAL[: saved[name].size]
        loaded[name] = np.ones(shape)
    saved, loaded = (
        adapter.build(layer, config, params, precision).call
        for params in (saved, loaded)
    )
    before = bits(numbers(saved))
    checkpoint.save(saved, tmp_path / NAME)
    checkpoint.load(loaded, tmp_path / NAME)
    assert bits(numbers(saved)) == bits(numbers(loaded)) == before
    assert all(str(d) == precision for d, _, _ in before.values())


@pytest.mark.parametrize(
    "layer, config",
    [("Linear", LINEAR), ("MLP", MLP), ("TiedMLP", TIED)],
)
def test_the_loaded_layer_computes_the_same(
    adapter,
    checkpoint,
    parameters,
    start,
    first_dtype,
    tmp_path,
    layer,
    config,
):
    """Also where one of them has a parameter frozen; that is kept."""
    x = np.random.default_rng(0).standard_normal((5, 7))
    x = adapter.to_tensor(x, first_dtype)
    saved, loaded = start(layer, config, 0), start(layer, config, 1)
    listed = parameters.list_parameters(loaded)
    parameters.freeze(loaded, next(iter(listed)))
    y = adapter.to_numpy(saved(x))
    assert not np.array_equal(adapter.to_numpy(loaded(x)), y)
    checkpoint.save(saved, tmp_path / NAME)
    checkpoint.load(loaded, str(tmp_path / NAME))
    assert np.array_equal(adapter.to_numpy(loaded(x)), y)
    assert parameters.list_parameters(loaded) == listed
    checkpoint.save(loaded, tmp_path / NAME)
    checkpoint.load(saved, tmp_path / NAME)
    assert np.array_equal(adapter.to_numpy(saved(x)), y)


def test_saving_replaces_one_file(checkpoint, start, numbers, tmp_path):
    path = tmp_path / NAME
    for seed in (0, 1):
        checkpoint.save(start("Linear", LINEAR, seed), path)
    assert [p.name for p in tmp_path.iterdir()] == [NAME]
    loaded = start("Linear", LINEAR, 2)
    checkpoint.load(loaded, path)
    expected = bits(numbers(start("Linear", LINEAR, 1)))
    assert bits(numbers(loaded)) == expected


def test_a_crash_leaves_the_last_good_file(
    framework, checkpoint, start, tmp_path, monkeypatch
):
    path = tmp_path / NAME
    checkpoint.save(start("Linear", LINEAR, 0), path)
    good = path.read_bytes()

    def torn(*args, **more):
        part = next(
            a for a in args if isinstance(a, (str, os.PathLike))
        )
        with open(part, "wb") as file:
            file.write(good[: len(good) // 2])
        raise OSError("no space left")

    monkeypatch.setattr(WRITERS[framework], torn)
    with pytest.raises(OSError, match="no space left"):
        checkpoint.save(start("Linear", LINEAR, 1), path)
    assert path.read_bytes() == good
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


def test_the_file_is_on_disk_before_it_gets_its_name(
    checkpoint, start, tmp_path, monkeypatch
):
    path, events = tmp_path / NAME, []
    replace, fsync = os.replace, os.fsync

    def watched_fsync(file):
        part = pathlib.Path(
            os.readlink(f"/proc/self/fd/{file.fileno()}")
        )
        events.append(("fsync", part.stat().st_size))
        fsync(file)

    def watched_replace(part, to):
        events.append(("replace", os.stat(part).st_size))
        assert os.stat(part).st_dev == tmp_path.stat().st_dev
        assert not path.exists()
        replace(part, to)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    checkpoint.save(start("Linear", LINEAR), path)
    size = path.stat().st_size
    assert events == [("fsync", size), ("replace", size)]


def test_no_file(checkpoint, start, tmp_path):
    with pytest.raises(FileNotFoundError, match=NAME):
        checkpoint.load(start("Linear", LINEAR), tmp_path / NAME)


def test_a_file_cut_short(checkpoint, start, numbers, tmp_path):
    path = tmp_path / NAME
    layer = start("MLP", MLP, 1)
    checkpoint.save(layer, path)
    good = path.read_bytes()
    refused(checkpoint, start("MLP", MLP), numbers, path, b"")
    for part in (1, len(good) // 3, len(good) // 2, len(good) - 1):
        found = refused(
            checkpoint, start("MLP", MLP), numbers, path, good[:part]
        )
        assert "is no whole checkpoint" in found


def test_some_other_file(checkpoint, start, numbers, tmp_path):
    text = b"name: layer\nkind: text\n" * 100
    path = tmp_path / NAME
    found = refused(
        checkpoint, start("Linear", LINEAR), numbers, path, text
    )
    assert "is no whole checkpoint" in found


@pytest.mark.parametrize(
    "saved, loaded, words",
    [
        (
            ("Linear", dict(in_features=5, out_features=3)),
            ("Linear", LINEAR),
            "expected FLOAT (3, 7), got FLOAT (3, 5)",
        ),
        (
            ("Linear", dict(in_features=3, out_features=7)),
            ("Linear", LINEAR),
            "expected FLOAT (3, 7), got FLOAT (7, 3)",
        ),
        (
            ("Linear", LINEAR | dict(bias=False)),
            ("Linear", LINEAR),
            "expected FLOAT (3,), got none",
        ),
        (
            ("Linear", LINEAR),
            ("Linear", LINEAR | dict(bias=False)),
            "expected none, got FLOAT (3,)",
        ),
        (
            ("Linear", LINEAR),
            ("MLP", MLP),
            "expected FLOAT (11, 7), got none",
        ),
        (("CenteredLayer", {}), ("Linear", LINEAR), "got none"),
        (("Linear", LINEAR), ("CenteredLayer", {}), "expected none"),
        (("MLP", SQUARE), ("TiedMLP", TIED), "got"),
        (("TiedMLP", TIED), ("MLP", SQUARE), "expected"),
    ],
)
def test_the_file_of_another_layer(
    framework,
    checkpoint,
    start,
    numbers,
    tmp_path,
    saved,
    loaded,
    words,
):
    path = tmp_path / NAME
    checkpoint.save(start(*saved), path)
    found = refused(checkpoint, start(*loaded), numbers, path)
    words = words.replace("FLOAT", FLOAT[framework])
    assert words in found


def torch_load(layer, path):
    import torch

    layer.load_state_dict(torch.load(path))


def flax_load(layer, path):
    from flax import nnx, serialization

    state = serialization.msgpack_restore(path.read_bytes())
    paths = {
        tuple(n.split(".")): nnx.Param(a) for n, a in state.items()
    }
    nnx.update(layer, nnx.from_flat_state(paths))


def keras_load(layer, path):
    import keras

    layer.built = True
    keras.saving.load_weights(layer, path)


def gluon_load(layer, path):
    from mxnet import gluon

    gluon.nn.Block.load_parameters(layer, str(path))


@pytest.mark.parametrize("outputs", [3, 5])
def test_why_the_check_comes_first(
    framework, checkpoint, start, numbers, tmp_path, outputs
):
    """What the framework itself does with a file that does not fit:
    half of the layer is loaded, or, in JAX, the wrong shape too."""
    own_load = {
        "pytorch": torch_load,
        "jax": flax_load,
        "tf": keras_load,
        "mxnet": gluon_load,
    }[framework]
    path = tmp_path / NAME
    saved = start("MLP", MLP, 1)
    checkpoint.save(saved, path)
    layer = start("MLP", MLP | dict(output_size=outputs), 0)
    before = bits(numbers(layer))
    if outputs == 3 or framework == "jax":
        own_load(layer, path)
        assert bits(numbers(layer)) == bits(numbers(saved))
    else:
        with pytest.raises((RuntimeError, ValueError, AssertionError)):
            own_load(layer, path)
        after = bits(numbers(layer))
        changed = {n for n in before if after[n] != before[n]}
        assert "layer1.weight" in changed
        assert not {"layer2.weight", "layer2.bias"} & changed


@pytest.mark.parametrize("precision", ["float64", "float16"])
def test_the_file_of_another_precision(
    adapter, checkpoint, start, numbers, tmp_path, precision
):
    params = dict(weight=np.ones((3, 7)), bias=np.ones(3))
    built = adapter.build("Linear", LINEAR, params, precision)
    path = tmp_path / NAME
    checkpoint.save(built.call, path)
    layer = adapter.build("Linear", LINEAR, params, "float32").call
    found = refused(checkpoint, layer, numbers, path)
    assert f"expected float32 (3, 7), got {precision} (3, 7)" in found


def test_a_symbolic_link_stays(checkpoint, start, numbers, tmp_path):
    """What it leads to is replaced, and nothing else is left there."""
    (tmp_path / "there").mkdir()
    path, target = tmp_path / NAME, tmp_path / "there" / NAME
    path.symlink_to(target)
    for seed in (0, 1):
        checkpoint.save(start("Linear", LINEAR, seed), path)
    assert path.is_symlink() and not target.is_symlink()
    assert [p.name for p in target.parent.iterdir()] == [NAME]
    loaded = start("Linear", LINEAR, 2)
    checkpoint.load(loaded, path)
    expected = bits(numbers(start("Linear", LINEAR, 1)))
    assert bits(numbers(loaded)) == expected


IN_A_CHILD = """
import os, pathlib, resource, signal, sys
from {framework}_impl import Linear, checkpoint
path, parts = sys.argv[1], {parts}
layer = Linear(*parts)
if hasattr(layer, "initialize"): layer.initialize()
"""
KILLED = """
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
checkpoint.save(layer, path)
"""
FULL = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try: checkpoint.save(layer, path)
except Exception as error: print("refused:", type(error).__name__)
"""
# what the process has, and 200 MB more
SMALL = """
for line in pathlib.Path("/proc/self/status").read_text().splitlines():
    if line.startswith("VmSize:"): has = int(line.split()[1]) * 1024
limit = has + 200 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try: checkpoint.load(layer, path)
except ValueError as error: print("refused:", error, error.__cause__)
"""


def child(framework, path, code, sizes="(3, 2)"):
    """What a process of its own prints, and its status."""
    more = {"jax": ", rngs=nnx.Rngs(0)"}.get(framework, "")
    start = IN_A_CHILD.format(framework=framework, parts=sizes)
    if more:
        start = start.replace("(*parts)", f"(*parts{more})")
        start = "from flax import nnx" + start
    found = subprocess.run(
        [sys.executable, "-c", start + code, path],
        capture_output=True,
        text=True,
    )
    return found.stdout, found.returncode


def test_killed_while_saving(framework, checkpoint, start, tmp_path):
    path = tmp_path / NAME
    checkpoint.save(start("Linear", LINEAR), path)
    good = path.read_bytes()
    assert child(framework, path, KILLED)[1] == -signal.SIGKILL
    assert path.read_bytes() == good
    checkpoint.save(start("Linear", LINEAR), path)
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


def test_a_full_disk(framework, checkpoint, start, tmp_path):
    path = tmp_path / NAME
    checkpoint.save(start("Linear", LINEAR), path)
    good = path.read_bytes()
    said, status = child(framework, path, FULL, "(300, 300)")
    assert said.startswith("refused: ") and status == 0
    assert path.read_bytes() == good
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


def torch_claim(path):
    """A record of 1 GB, packed."""
    import zipfile

    import torch

    torch.save(dict(weight=torch.ones(2, 3), bias=torch.ones(2)), path)
    with zipfile.ZipFile(path) as parts:
        inside = {n: parts.read(n) for n in parts.namelist()}
    with zipfile.ZipFile(
        path, "w", zipfile.ZIP_DEFLATED, True, 1
    ) as to:
        for name, data in inside.items():
            more = bytes(2**30) if name.endswith("data/0") else b""
            to.writestr(name, data + more)


def flax_claim(path):
    from flax.serialization import msgpack_serialize

    state = dict(weight=np.ones((2, 3)), bias=np.ones(2))
    data = msgpack_serialize(state)
    (at,) = [
        i
        for i in range(len(data))
        if data[i : i + 3] == b"\x92\x02\x03"
    ]
    claim = b"\xdd\xff\xff\xff\xff"  # a list of 2**32 - 1
    path.write_bytes(data[:at] + claim + data[at + 3 :])


def keras_claim(path):
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("vars/0", (2, 2**29), "float32")
        file.create_dataset("vars/1", (2,), "float32")


def gluon_claim(path):
    from mxnet_impl import Linear, checkpoint

    layer = Linear(3, 2)
    layer.initialize()
    checkpoint.save(layer, path)
    data = path.read_bytes()
    shape = np.array([2, 3], "i8").tobytes()
    assert data.count(shape) == 1
    claim = np.array([2, 2**31], "i8").tobytes()
    path.write_bytes(data.replace(shape, claim))


CLAIMS = {
    "pytorch": torch_claim,
    "jax": flax_claim,
    "tf": keras_claim,
    "mxnet": gluon_claim,
}


def test_a_file_that_claims_gigabytes(framework, tmp_path):
    path = tmp_path / NAME
    CLAIMS[framework](path)
    assert path.stat().st_size < 10_000_000
    said, status = child(framework, path, SMALL)
    assert said.startswith(f"refused: {path}") and status == 0
    assert "alloc" not in said.lower() and "memory" not in said.lower()


def test_arrays_without_numbers(
    framework, checkpoint, start, numbers, tmp_path
):
    """Shapes and dtypes are right, but there are no numbers."""
    path = tmp_path / NAME
    layer = start("Linear", LINEAR)
    checkpoint.save(layer, path)
    if framework == "pytorch":
        import torch

        state = layer.state_dict()
        for name in ("weight", "bias"):
            moved = state | {name: state[name].to("meta")}
            torch.save(moved, path)
            found = refused(checkpoint, layer, numbers, path)
            assert "_rebuild_meta_tensor_no_storage" in found
    elif framework == "tf":
        import h5py

        with h5py.File(path, "a") as file:
            names = []
            file.visit(names.append)
            (name,) = [n for n in names if n.endswith("vars/0")]
            del file[name]
            file.create_dataset(name, (3, 7), "float32")
        found = refused(checkpoint, layer, numbers, path)
        assert "has fewer numbers than its shape" in found
    else:  # there the numbers stand right behind the shape
        data = path.read_bytes()
        found = refused(checkpoint, layer, numbers, path, data[:-4])
        assert "is no whole checkpoint" in found


def refused(checkpoint, layer, numbers, path, data=None):
    """The message of the ValueError, that leaves the layer as it was."""
    if data is not None:
        path.write_bytes(data)
    before = bits(numbers(layer))
    with pytest.raises(
        ValueError, match=re.escape(str(path))
    ) as caught:
        checkpoint.load(layer, path)
    assert bits(numbers(layer)) == before
    return str(caught.value)

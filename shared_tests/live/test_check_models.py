"""Five models of docs/check/models, each with its port in JAX, TensorFlow
and MXNet: rounding; with a fault planted in the port: a bug."""

import shutil
import sys

import pytest

from shared_tests.environments import python_of
from shared_tests.files import ROOT
from shared_tests.roundoff.__main__ import check_files

ENVIRONMENTS = ("pytorch",)

EXAMPLE = ROOT / "docs" / "check" / "models"
FRAMEWORKS = ("jax", "tf", "mxnet")
RUNS = 16
# what the arrays of each model are called
MODELS = {
    "a layer norm": "out.norm grad.x grad.norm",
    "an LSTM": "out.lstm grad.series grad.lstm",
    "a convolution with batch norm in training": (
        "out.conv buffer.batch_norm grad.image grad.conv grad.batch_norm"
    ),
    "an embedding with repeated ids": "out.embedding grad.embedding",
    "two outputs": "out.heads grad.z grad.mean grad.spread",
}
# (old, new) in each port, and the arrays that must be seen as bugs
FAULTS = {
    "jax": (
        (
            "(x - mean) / jnp.sqrt(variance + 1e-5)",
            "(x - mean) / jnp.sqrt(variance + 1e-6)",
        ),
        ("i, f, g, o = jnp", "i, g, f, o = jnp"),
        ("variance * n / (n - 1)", "variance"),
        ('["embedding.weight"][ids]', '["embedding.weight"][ids % 4]'),
        ("jnp.exp(spread)", "jnp.exp(spread) + 1e-5"),
    ),
    "tf": (
        (
            "(x - mean) / tf.sqrt(variance + 1e-5)",
            "(x - mean) / tf.sqrt(variance + 1e-6)",
        ),
        ("i, f, g, o = tf", "i, g, f, o = tf"),
        ("variance * n / (n - 1)", "variance"),
        (
            '["embedding.weight"], ids)',
            '["embedding.weight"], ids % 4)',
        ),
        ('dense(params, "spread", z)', 'dense(params, "mean", z)'),
    ),
    "mxnet": (
        (
            "(x - mean) / np.sqrt(variance + 1e-5)",
            "(x - mean) / np.sqrt(variance + 1e-6)",
        ),
        ("i, f, g, o = np", "i, g, f, o = np"),
        ("variance * n / (n - 1)", "variance"),
        ("        ids, table", "        ids % 4, table"),
        ("np.exp(spread)", "np.exp(spread) + 1e-5"),
    ),
}
SEEN = (
    "out.norm",
    "out.lstm.states",
    "buffer.batch_norm.running_var",
    "out.embedding",
    "out.heads.1",
)


@pytest.fixture
def folder(tmp_path):
    path = list(sys.path)
    yield shutil.copytree(EXAMPLE, tmp_path / "models")
    sys.path[:] = path


def words(folder, framework):
    """{array: its word}."""
    report = check_files(
        folder / "torch_layer.py",
        folder / f"{framework}_port.py",
        runs=RUNS,
        python=python_of(framework),
    )
    return {line.name: line.word for line in report.lines}


def of_model(name, model):
    return name.startswith(tuple(MODELS[model].split()))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_right_ports_are_rounding(folder, framework):
    found = words(folder, framework)
    for model in MODELS:
        mine = {n: w for n, w in found.items() if of_model(n, model)}
        assert len(mine) > 1 and set(mine.values()) == {"rounding"}, (
            mine
        )
    assert all(any(of_model(n, m) for m in MODELS) for n in found)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_fault_in_each_is_a_bug(folder, framework):
    port = folder / f"{framework}_port.py"
    text = port.read_text()
    for old, new in FAULTS[framework]:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    port.write_text(text)
    found = words(folder, framework)
    assert {name: found[name] for name in SEEN} == dict.fromkeys(
        SEEN, "bug"
    )
    # and where nothing was planted nothing is found
    assert found["out.conv"] == found["out.heads.0"] == "rounding"

"""make check: the example's bug is found, its repair passes."""

import pathlib
import shutil
import sys

import numpy as np
import pytest

from shared_tests.files import ROOT
from shared_tests.live import check

ENVIRONMENTS = ("pytorch",)

EXAMPLE = ROOT / "docs" / "check"
ARRAYS = "out.y grad.x grad.scale grad.dense.weight grad.dense.bias"


@pytest.fixture
def folder(tmp_path):
    path = list(sys.path)
    yield pathlib.Path(shutil.copytree(EXAMPLE, tmp_path / "example"))
    sys.path[:] = path


def edit(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def status(monkeypatch, capsys, port):
    """(exit status, what was printed on one line)."""
    monkeypatch.setattr(sys, "argv", ["check", str(port)])
    code = check.main()
    return code, " ".join(capsys.readouterr().out.split())


def test_the_bug_of_the_example_is_found(monkeypatch, capsys, folder):
    code, text = status(monkeypatch, capsys, folder / "jax_port.py")
    assert code == 1
    for name in ARRAYS.split():
        assert f"{name} [" in text  # the worst elements
    assert "rounding" not in text and text.count(" bug ") == 5
    assert "got" in text and "allowed error" in text


def test_the_corrected_port_passes(monkeypatch, capsys, folder):
    port = folder / "jax_port.py"
    edit(port, "gelu(h)", "gelu(h, approximate=False)")
    code, text = status(monkeypatch, capsys, port)
    assert code == 0
    assert "bug" not in text and text.count(" rounding ") == 5


@pytest.mark.parametrize(
    "framework, namespace",
    [
        ("tf", "import tensorflow as np"),
        ("mxnet", "from mxnet import np"),
    ],
)
def test_the_other_frameworks(folder, framework, namespace):
    """A dense layer; its transpose belongs to the port."""
    (folder / "torch_layer.py").write_text(
        "import torch\n"
        "INPUTS = {'x': (5, 7)}\n"
        "def make():\n    return torch.nn.Linear(7, 3)\n"
    )
    port = folder / f"{framework}_port.py"
    line = "np.einsum('bi,oi->bo', x, params['weight'])"
    port.write_text(
        f"{namespace}\n"
        f"def forward(params, x):\n    return {line} + params['bias']\n"
    )
    lines, notes = check.check(port)
    assert [line.bug for line in lines] == [False] * 4 and not notes
    assert sum(line.rms > 0 for line in lines) == 4
    edit(port, "params['bias']", "1.00001 * params['bias']")
    wrong = [line.name for line in check.check(port)[0] if line.bug]
    assert "grad.bias" in wrong and "grad.weight" not in wrong


def test_a_parameter_of_ones_is_noted():
    p = {"weight": np.ones(3, np.float32)}
    assert "weight is 1 throughout" in check.constant(p)[0]
    assert not check.constant({"weight": np.float32([1, 2])})


def test_a_wrong_name(monkeypatch, capsys, folder):
    code, text = status(monkeypatch, capsys, folder / "torch_layer.py")
    assert code == 2
    assert (
        "expected a file jax_port.py, tf_port.py, mxnet_port.py" in text
    )
    assert "make check" in text and "got" in text


def test_no_such_file(monkeypatch, capsys, folder):
    code, text = status(monkeypatch, capsys, folder / "tf_port.py")
    assert code == 2 and "tf_port.py does not exist" in text


@pytest.mark.parametrize(
    "file, old, new, message",
    [
        ("torch_layer", "def make", "def build", "expected make, got"),
        (
            "torch_layer",
            "return Block()",
            "return 3",
            "nn.Module, got int",
        ),
        (
            "torch_layer",
            '{"x": (5, 7)}',
            "(5, 7)",
            "INPUTS expected {name",
        ),
        (
            "torch_layer",
            '{"x": (5, 7)}',
            '{"x": (5, 4)}',
            "RuntimeError",
        ),
        ("torch_layer", '"x"', '"scale"', "an input and a parameter"),
        ("torch_layer", "gelu(h)", "mish(h)", "no rounding rule for"),
        ("jax_port", "def forward", "def run", "expected forward, got"),
        (
            "jax_port",
            "(params, x)",
            "(x, params)",
            "arguments ['params', 'x']",
        ),
        (
            "jax_port",
            "gelu(h)",
            "gelu(h).T",
            "(5, 3), as PyTorch's, got (3, 5)",
        ),
        ("jax_port", '"scale"', '"gain"', "KeyError: 'gain'"),
        (
            "jax_port",
            "import jax\n",
            "import os\nos._exit(3)\n",
            "exit status 3",
        ),
    ],
)
def test_wrong_files(
    monkeypatch, capsys, folder, file, old, new, message
):
    edit(folder / f"{file}.py", old, new)
    code, text = status(monkeypatch, capsys, folder / "jax_port.py")
    assert code == 2 and message in text, text

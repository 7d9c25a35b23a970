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
        (
            "torch_layer",
            "nn.functional.gelu(h)",
            "h * torch.linalg.svdvals(h)",
            "no rounding rule for",
        ),
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


def lines_of(folder, torch_lines, port_lines):
    """A dense layer, and what is done to its y on both sides."""
    (folder / "torch_layer.py").write_text(
        "import torch\n"
        "INPUTS = {'x': (5, 7)}\n"
        "class Block(torch.nn.Linear):\n"
        "    def forward(self, x):\n"
        "        y = super().forward(x)\n"
        f"        return {torch_lines}\n"
        "def make():\n    return Block(7, 3)\n"
    )
    port = folder / "jax_port.py"
    port.write_text(
        "import jax\nfrom jax import numpy as np\n"
        "def forward(params, x):\n"
        "    y = x @ params['weight'].T + params['bias']\n"
        f"    return {port_lines}\n"
    )
    return port


@pytest.mark.parametrize("theirs", ["y / 0 * 0", "y"])
def test_a_reference_of_nan_is_no_rounding(
    monkeypatch, capsys, folder, theirs
):
    """Neither if the port has NaN too, nor if it has a number."""
    port = lines_of(folder, "y / 0 * 0", theirs)
    code, text = status(monkeypatch, capsys, port)
    assert code == 2 and "rounding │" not in text
    assert "no verdict" in text
    assert "out.y [0, 0]: PyTorch's own result is NaN" in text
    assert "15 of 15 elements" in text


def test_a_sigma_of_nan_is_no_bug():
    """sqrt of what rounding may push below 0, and a right value."""
    value, wanted = np.float32([1.0, 0.0]), np.array([1.0, 0.0])
    sigma = np.array([1.0, np.nan])
    line = check.compare("out.y", value, wanted, sigma)
    assert (line.word, line.bug) == ("no verdict", False)
    assert "[1]: rounding can make" in line.elements[0]
    wrong = check.compare("out.y", 2 * value, wanted, sigma)
    assert wrong.word == "bug" and "[0]: got 2" in wrong.elements[0]


def test_an_infinity_on_both_sides_is_right():
    both = np.float32([np.inf, -np.inf, 1.0])
    sigma = np.array([np.nan, np.inf, 1.0])
    line = check.compare("out.y", both, both.astype("f8"), sigma)
    assert line.word == "rounding"
    other = np.float32([np.inf, 3.0, 1.0])
    line = check.compare("out.y", other, both.astype("f8"), sigma)
    assert line.word == "bug"


def test_a_budget_beyond_the_range_has_no_verdict():
    """What rounding can push beyond the largest number, as infinity."""
    one, huge = np.ones(1), np.full(1, 1e60)
    line = check.compare("out.y", np.float32(one), one, huge)
    assert line.word == "no verdict"

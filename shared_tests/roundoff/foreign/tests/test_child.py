"""A port in another interpreter: what crosses, and all that can fail."""

import ast
import os
import stat
import sys
import time

import numpy as np
import pytest

import shared_tests.roundoff as package
from shared_tests.roundoff.errors import CheckError
from shared_tests.roundoff.foreign import child

ENVIRONMENTS = ("tools",)

X = np.float32([[1, 2], [3, 4]])
W = np.float32([[5, 7]])
RIGHT = """
import numpy as np
def forward(params, x, ids):
    print("ports may print", end="")
    return {"y": x @ params["w"].T, "ids": ids + 1}
def backward(params, inputs, cotangents):
    dy = cotangents["y"]
    return {"w": dy.T @ inputs["x"], "x": dy @ params["w"]}
"""


def request(**others):
    return {
        "framework": "numpy",
        "params": {"w": W},
        "moving": ["w"],
        "inputs": {"x": X, "ids": np.arange(3)},
        "by_name": True,
        "cotangents": {"y": np.float32([[1], [2]])},
        "training": False,
        "precision": "float32",
        **others,
    }


@pytest.fixture
def ask(tmp_path):
    def ask(text, python=None, seconds=child.SECONDS, **others):
        path = tmp_path / "numpy_port.py"
        path.write_text(text)
        return child.ask(path, request(**others), python, seconds)

    return ask


def test_the_answer(ask):
    answer = ask(RIGHT)
    results = answer["results"]
    assert set(results) == {"out.y", "out.ids", "grad.w", "grad.x"}
    assert np.array_equal(results["out.y"], X @ W.T)
    assert np.array_equal(results["out.ids"], [1, 2, 3])
    assert np.array_equal(results["grad.w"], [[7, 10]])
    assert results["grad.x"].dtype == np.float32
    assert answer["used"] == ["out.y"] and answer["unsteady"] == []


def test_forward_only_and_its_parts(ask):
    text = """
def forward(params, x, ids):
    return {"out": (x, None, 2.0, "text"),
            "buffers": {"seen": x.sum()}, "layers": {"a.b": {"c": x}}}
"""
    answer = ask(text, cotangents=None)
    names = ["out.0", "out.2", "buffer.seen", "layer.a.b.c"]
    assert list(answer["results"]) == names
    assert answer["results"]["out.2"].dtype == np.float32
    assert answer["left_out"] == {"out.3": "str"} and not answer["used"]


def test_a_port_that_is_not_the_same_twice(ask):
    text = """
import numpy as np
def forward(params, x, ids):
    return {"a": x, "b": np.random.rand(3)}
"""
    answer = ask(text, cotangents=None)
    assert answer["unsteady"] == ["out.b"]


def test_a_port_may_import_what_has_our_names(
    ask, tmp_path, monkeypatch
):
    """Of a script, the folder is on the path: it must not hide that.
    `report` is beside the port, `weights` is installed."""
    (tmp_path / "report.py").write_text("NAME = 'mine'\n")
    site = tmp_path / "site"
    site.mkdir()
    (site / "weights.py").write_text("NAME = 'mine'\n")
    monkeypatch.setenv("PYTHONPATH", str(site))
    text = "import report, weights\nassert report.NAME == 'mine'\n"
    text += "assert weights.NAME == 'mine'\n"
    assert ask(text + RIGHT)["used"]


@pytest.mark.parametrize(
    "text, message",
    [
        (RIGHT.replace("forward", "run"), "expected forward, got"),
        (
            RIGHT.replace("x, ids)", "ids, y)"),
            r"expected arguments \['params', 'x', 'ids'\], got",
        ),
        (RIGHT.replace('["w"]', '["v"]'), "line 5: KeyError: 'v'"),
        (
            RIGHT.replace('x @ params["w"].T', "x"),
            r"shape \(2, 1\), .* got \(2, 2",
        ),
        ("import os\nos._exit(3)\n", "exit status 3"),
        ("import os\nos.abort()\n", "signal SIGABRT"),
        ("def f(:\n", "SyntaxError"),
        (RIGHT.replace("def backward", "def b"), "gradients=False"),
        ("raise SystemExit(0)\n" + RIGHT, "no answer"),
        (RIGHT.replace("ids + 1", "x.dtype + 1"), "TypeError"),
    ],
)
def test_what_can_fail(ask, text, message):
    with pytest.raises(CheckError, match=f"numpy_port.py: .*{message}"):
        ask(text)


def test_a_port_that_does_not_end(ask, tmp_path):
    """Nor does what it has started."""
    text = f"""
import subprocess, sys, time
code = "import time; time.sleep(3); open({str(tmp_path / "late")!r}, 'w')"
subprocess.Popen([sys.executable, "-c", code])
time.sleep(60)
"""
    start = time.monotonic()
    with pytest.raises(CheckError, match="no answer in 2 s"):
        ask(text, seconds=2)
    assert time.monotonic() - start < 30
    time.sleep(3)
    assert not (tmp_path / "late").exists()


def test_no_such_port_and_no_such_python(ask, tmp_path):
    with pytest.raises(CheckError, match="does not exist"):
        child.ask(tmp_path / "jax_port.py", request())
    with pytest.raises(CheckError, match="No such file"):
        ask(RIGHT, python=tmp_path / "python")


def test_an_interpreter_without_numpy(ask, tmp_path):
    python = tmp_path / "python"
    # -S: without its site-packages
    python.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n'
    )
    os.chmod(python, stat.S_IRWXU)
    with pytest.raises(CheckError, match="No module named 'numpy'"):
        ask(RIGHT, python=python)


def near(path, node):
    """The files of the package that `from .. import` names."""
    folder = path.parents[node.level - 1]
    if node.module:
        return {
            folder.joinpath(*node.module.split(".")).with_suffix(".py")
        }
    return {folder / f"{alias.name}.py" for alias in node.names}


PORT_SIDE = """
    __init__ nest layerwise/__init__ layerwise/calls foreign/__init__
    foreign/port foreign/running foreign/objects foreign/crossing
    """


def test_the_ports_side_is_python_3_8():
    """And imports nothing but that, itself and NumPy, before it is known
    which framework it is."""
    known = {"numpy", "copy", "dataclasses", "collections", "functools"}
    known |= {"contextlib", "importlib", "inspect", "json", "os", "sys"}
    known |= {"weakref", ""}
    package = child.SCRIPT.parent.parent
    own = {package / f"{name}.py" for name in PORT_SIDE.split()}
    for path in own:
        tree = ast.parse(path.read_text(), feature_version=(3, 8))
        for node in tree.body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
                if node.level:
                    assert near(path, node) <= own, path
                    names = []
            assert {n.split(".")[0] for n in names} <= known, path
        text = path.read_text()
        assert "removeprefix" not in text and " | " not in text


def test_without_pytorch_the_package_says_so():
    """The environment of the tools has none."""
    with pytest.raises(ImportError, match="PyTorch, which is not"):
        package.assert_rounding  # noqa: B018

"""python -m roundoff: files in, a report, its exit status, a map."""

import json
import sys

import pytest

from shared_tests.roundoff import shares
from shared_tests.roundoff.__main__ import main

ENVIRONMENTS = ("pytorch",)

LAYER = """
import numpy as np
import torch
from torch import nn

INPUTS = {"x": (5, 7), "ids": np.array([2, 0, 2]), "deep": {"z": (3,)}}

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(7, 4)
        self.second = nn.Linear(4, 3)
        self.table = nn.Embedding(6, 3)

    def forward(self, x, ids, deep):
        h = torch.tanh(self.first(x))
        return self.second(h), self.table(ids) + deep["z"]

def make():
    return Block()
"""
PORT = """
import torch

def forward(params, x, ids, deep):
    h = x @ params["first.weight"].T + params["first.bias"]
    y = torch.tanh(h) @ params["second.weight"].T + params["second.bias"]
    return y, params["table.weight"][ids] + deep["z"]
"""
# the same layer under other names, one of them laid out otherwise
OBJECT = (
    LAYER.replace("self.first", "self.dense_1")
    .replace("self.second", "self.dense_2")
    .replace("self.table", "self.rows")
)


@pytest.fixture
def files(tmp_path):
    path = list(sys.path)
    layer, port = (
        tmp_path / "torch_layer.py",
        tmp_path / "torch_port.py",
    )
    layer.write_text(LAYER)
    port.write_text(PORT)
    yield layer, port
    sys.path[:] = path


@pytest.fixture
def run(files, capsys):
    """run(options) -> (status, printed, printed to standard error)."""

    def run(*options):
        try:
            status = main([*map(str, files), *map(str, options)])
        except SystemExit as end:  # of argparse
            status = end.code
        return (status, *capsys.readouterr())

    return run


def test_a_right_port(run, tmp_path):
    path = tmp_path / "report.json"
    status, out, _ = run("--json", path, "--runs", 6, "--seed", 5)
    assert status == 0 and "out.1" in out and "grad.deep.z" in out
    data = json.loads(path.read_text())
    assert data["passed"] and data["seed"] == 5 and data["runs"] <= 6
    names = [line["name"] for line in data["lines"]]
    assert "grad.table.weight" in names and "grad.ids" not in names
    assert f"{len(names)}" and set(names) >= {"out.0", "grad.x"}


def test_a_wrong_port(run, files):
    files[1].write_text(PORT.replace("torch.tanh(h)", "torch.sin(h)"))
    status, out, _ = run("--forward-only")
    assert status == 1 and "out.0 [" in out and "grad." not in out


def test_files_that_are_wrong(run, files):
    files[1].write_text("raise RuntimeError('not today')\n")
    status, _, err = run()
    assert status == 2
    assert "roundoff: torch_port.py: line 1: RuntimeError: not" in err
    files[0].write_text(LAYER.replace("INPUTS", "OTHERS"))
    assert "torch_layer.py expected INPUTS" in run()[2]
    files[0].unlink()
    assert "does not exist" in run()[2]
    assert run("--no-such-option")[0] == 2


def test_a_map_is_suggested_and_used(run, files, tmp_path):
    files[1].write_text(OBJECT)
    status, out, _ = run()  # with numbers of its own
    assert status == 1 and "missing" in out
    assert "the port holds no first.weight, first.bias" in out
    status, out, err = run("--suggest-map")
    assert status == 0, err
    found = json.loads(out)
    assert found["dense_1.weight"] == "first.weight"
    path = tmp_path / "map.json"
    path.write_text(out)
    status, out, err = run("--weights", path)
    assert status == 0, out + err
    assert "grad.second.weight" in out and "dense_" not in out


def test_what_a_map_leaves_open(run, files):
    files[1].write_text(
        OBJECT.replace(
            "(6, 3)", "(6, 3)\n        self.more = nn.Linear(2, 2)"
        )
    )
    status, out, err = run("--suggest-map")
    assert status == 2 and "left over of the port: more.weight" in err
    assert "more" not in out
    files[1].write_text(PORT)
    assert (
        "a map is for a port that holds them" in run("--suggest-map")[2]
    )


def test_the_first_wrong_layer(run, files, tmp_path):
    wrong = LAYER.replace("(self.first(x))", "(self.first(x) * 1.001)")
    files[1].write_text(wrong)
    names = "first.weight first.bias second.weight table.weight".split()
    held = {name: name for name in names}
    path = tmp_path / "map.json"
    path.write_text(json.dumps(held | {"second.bias": "second.bias"}))
    options = "--forward-only", "--weights", path
    status, out, _ = run("--layers", *options)
    assert status == 1
    tree = out.partition("array")[0]
    (marked,) = (x for x in tree.splitlines() if "first that is" in x)
    assert "module itself" in marked  # between first and second
    files[1].write_text(LAYER.replace("(4, 3)", "(4, 3, bias=False)"))
    path.write_text(json.dumps(held))
    pairs = tmp_path / "layers.json"
    pairs.write_text('{"second": "second"}')
    status, out, _ = run("--layers", pairs, *options)
    (marked,) = (x for x in out.splitlines() if "first that is" in x)
    assert status == 1 and "second" in marked


def test_where_the_rounding_comes_from(run):
    status, out, _ = run("--explain", "--forward-only")
    assert status == 0
    assert "out.0: where the variance" in out and "%" in out


def test_plots_of_that(run, tmp_path, monkeypatch):
    """One of each output; without matplotlib the rest is as it was."""
    options = ("--explain", tmp_path / "plots", "--forward-only")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    status, out, err = run(*options)
    assert status == 0 and "out.0: where the variance" in out
    assert err.startswith("roundoff: the bar plot needs matplotlib")
    monkeypatch.setattr(
        shares, "plot", lambda name, shown, path: path.write_text(name)
    )
    status, _, err = run(*options)
    written = sorted(p.name for p in (tmp_path / "plots").iterdir())
    assert written == ["out.0.svg", "out.1.svg"]
    assert status == 0 and not err

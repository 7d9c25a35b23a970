"""`make show`: a fixture in one screen, and how to run it."""

import io
import re
import runpy
import sys
import types

import numpy as np
import pytest
from rich.console import Console

from shared_tests import show
from shared_tests.cases import CASES
from shared_tests.files import ROOT
from shared_tests.fixture_files import (
    FixtureError,
    read_fixture,
    read_manifest,
)

ENVIRONMENTS = ("tools",)

CASE = next(case for case in CASES if case.id == "Linear-basic")


def printed(monkeypatch, capsys, word):
    """(exit status, stdout, stderr) of one call."""
    monkeypatch.setattr(sys, "argv", ["show", word])
    code = show.main()
    return code, *capsys.readouterr()


def row(output, name):
    """The cells of one array."""
    (line,) = re.findall(rf"^ *{re.escape(name)} .*$", output, re.M)
    return re.split(r" {2,}", line.strip())


def test_a_case(monkeypatch, capsys):
    code, output, errors = printed(monkeypatch, capsys, CASE.id)
    assert (code, errors) == (0, "")
    assert "\x1b" not in output
    assert CASE.reason in output
    assert "basic compiled low_precision" in output
    assert str(CASE.config) in output
    fixture = read_fixture(CASE, read_manifest())
    for key, array in fixture.items():
        if not key.startswith("sigma"):
            cells = row(output, key)
            shape, dtype = str(array.shape), array.dtype.name
            assert cells[1:3] == [shape, dtype]
            first = " ".join(cells[3:]).split()[: min(4, array.size)]
            assert [float(x) for x in first] == pytest.approx(
                array.ravel()[:4].tolist(), rel=1e-3
            )
    for name in ("out.y", "grad.x", "grad.weight", "grad.bias"):
        sigma = fixture[f"sigma.{name}"].astype(np.float64)
        allowed = 16 * 2.0**-24 * sigma
        want = [f"{allowed.max():.1e}", f"{np.median(allowed):.1e}"]
        assert row(output, f"ref.{name}")[-2:] == want


def test_integers_and_empty_arrays_have_no_budget():
    codes = np.arange(3)
    assert show.allowed(codes, np.zeros(3)) == ("equal", "equal")
    nothing = np.zeros((0, 3))
    assert show.allowed(nothing, nothing) == ("", "")


@pytest.mark.parametrize(
    "array, text",
    [
        (np.array([1.5, -2.0]), "1.5 -2"),
        (np.array([True, False]), "True False"),
        (np.arange(5), "0 1 2 3 ..."),
        (np.float32(0.5), "0.5"),
        (np.zeros((0, 2)), ""),
    ],
)
def test_first_numbers(array, text):
    assert show.numbers(np.asarray(array)).split() == text.split()


def test_a_layer_lists_its_cases(monkeypatch, capsys):
    code, output, errors = printed(monkeypatch, capsys, "Linear")
    assert (code, errors) == (0, "")
    for case in CASES:
        listed = re.search(rf"^ *{case.id} .*$", output, re.M)
        assert bool(listed) == (case.layer == "Linear")
        if listed:
            assert case.reason in listed[0]


@pytest.mark.parametrize(
    "word, said",
    [
        ("", "make show CASE=Linear-basic"),
        ("linear-basci", "'linear-basci'; did you mean Linear-basic"),
        ("linaer", "'linaer'; did you mean Linear"),
        ("xyz", "no case and no layer is called 'xyz'\n"),
    ],
)
def test_an_unknown_case(monkeypatch, capsys, word, said):
    code, output, errors = printed(monkeypatch, capsys, word)
    assert (code, output) == (2, "")
    assert said in errors
    assert "CenteredLayer, Linear, LinearReLU" in errors


def test_a_damaged_fixture(monkeypatch, capsys):
    def damaged(*_):
        raise FixtureError("x was changed")

    monkeypatch.setattr(show, "read_fixture", damaged)
    code, output, errors = printed(monkeypatch, capsys, CASE.id)
    assert (code, output, errors) == (1, "", "x was changed\n")


def test_a_stale_fixture_is_said(monkeypatch, capsys):
    monkeypatch.setattr(show, "check_manifest", lambda manifest: None)
    assert "stale" not in printed(monkeypatch, capsys, CASE.id)[1]

    def stale(manifest):
        raise FixtureError("stale fixtures: budget.py changed")

    monkeypatch.setattr(show, "check_manifest", stale)
    code, output, _ = printed(monkeypatch, capsys, CASE.id)
    assert code == 0
    assert "but stale fixtures: budget.py changed" in output


def test_the_test_it_names_exists():
    text = show.how_it_is_run(CASE)
    every = "float64, float32, bfloat16, float16\n"
    assert text.startswith(f"eager     {every}compiled  {every}\n")
    path, name, words = re.search(
        r'"(.*)::(\w+)\[(.*)\]"', text
    ).groups()
    assert path == "shared_tests/layers/test_layers.py"
    (mark,) = runpy.run_path(str(ROOT / path))[name].pytestmark
    ids = mark.kwargs["ids"]
    assert words in {"-".join(map(ids, pair)) for pair in mark.args[1]}


def test_the_code_it_prints_runs(monkeypatch):
    """On a stand-in for the adapter, which needs a framework."""
    calls = []
    adapter = types.ModuleType("jax_impl.adapter")
    adapter.build = lambda *words: calls.append(words) or "a layer"
    adapter.run = lambda *words: calls.append(words)
    monkeypatch.setitem(sys.modules, "jax_impl.adapter", adapter)
    text = show.how_it_is_run(CASE)
    code = text.split(".venv/jax/bin/python\n")[1]
    monkeypatch.chdir(ROOT)
    exec(code, {})
    (layer, config, params, precision), (built, inputs, upstream) = (
        calls
    )
    assert (layer, config) == (CASE.layer, CASE.config)
    assert (precision, built) == ("float32", "a layer")
    assert set(params) == {"weight", "bias"}
    assert (set(inputs), set(upstream)) == ({"x"}, {"y"})


def test_a_variant_shows_the_numbers_of_its_case():
    variants = [case for case in CASES if case.like]
    assert variants
    for case in variants:
        console = Console(file=io.StringIO(), width=120, _environ={})
        show.show(console, case)
        output = console.file.getvalue()
        assert f"those of {case.like}" in output
        assert f"{case.like}.safetensors" in output

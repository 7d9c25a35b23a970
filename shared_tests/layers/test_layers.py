"""One framework, eager: every case, in every precision, within budget."""

import importlib
import runpy
import shutil

import numpy as np
import pytest

from shared_tests.cases import CASES
from shared_tests.files import ROOT
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.run import group, judge_run, precisions, run_name
from shared_tests.side_by_side.pages import NOT_PAGES, files, source

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

PAGES = sorted(
    page
    for page in files("pytorch") - NOT_PAGES
    if "# region try" in source("pytorch", page)
)
PRECISIONS = ("float64", "float32", "bfloat16", "float16")
LAYERS = sorted({case.layer for case in CASES})

# What a framework may decline, all of it: anything else has to run.
DECLINED = {
    "pytorch": {("HalfSpectrum", p, False) for p in PRECISIONS[2:]},
    "jax": {("HalfSpectrum", p, False) for p in PRECISIONS[2:]},
    "tf": {("HalfSpectrum", p, False) for p in PRECISIONS[2:]},
    "mxnet": {("HalfSpectrum", "float16", False)}
    | {(layer, "bfloat16", False) for layer in LAYERS}
    | {(layer, p, True) for layer in LAYERS for p in PRECISIONS},
}


@pytest.mark.parametrize(
    "case, precision",
    [(c, p) for c in CASES for p in precisions(c)],
    ids=lambda value: getattr(value, "id", value),
)
def test_within_budget(adapter, framework, case, precision, kept_runs):
    if (case.layer, precision, False) in DECLINED[framework]:
        with pytest.raises(NotImplementedError):
            built = adapter.build(
                case.layer, case.config, {}, precision
            )
            adapter.run(built, {})
        return
    if run_name(case, precision, "eager") in kept_runs:
        return  # make parity judged just this, and nothing has moved
    fixture = read_fixture(case, read_manifest())
    verdicts = judge_run(adapter, case, precision, "eager", fixture)
    wrong = {k: v.detail for k, v in verdicts.items() if not v.passed}
    assert verdicts and not wrong


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "function, layer",
    [
        ("linear", "Linear"),
        ("rms_norm", "RMSNorm"),
        ("standardized_conv2d", "StandardizedConv2d"),
    ],
)
def test_functions_take_arrays(
    adapter, package, function, layer, precision
):
    """Not only the parameters of their layers."""
    if adapter.unsupported(layer, precision):
        assert (layer, precision, False) in DECLINED["mxnet"]
        return
    (case,) = (c for c in CASES if c.id == f"{layer}-basic")
    fixture = read_fixture(case, read_manifest())
    params = group(fixture, "param")
    built = adapter.build(layer, case.config, params, precision)
    arrays = {
        name: adapter.to_tensor(array, precision)
        for name, array in (params | group(fixture, "in")).items()
    }
    y = adapter.to_numpy(getattr(package, function)(**arrays))
    same = adapter.to_numpy(built.call(arrays["x"]))
    assert np.array_equal(y, same) and y.any()


def test_an_empty_batch_has_its_shape(adapter):
    """That of an image, where a stride and a padding count."""
    config = dict(in_channels=2, out_channels=3, kernel_size=3)
    config |= dict(stride=2, padding=1)
    shapes = adapter.shapes("StandardizedConv2d", config)
    params = {n: np.ones(s, np.float32) for n, s in shapes.items()}
    built = adapter.build("StandardizedConv2d", config, params)
    one, none = (
        adapter.run(built, {"x": np.ones((batch, 2, 8, 11), "f4")})
        for batch in (1, 0)
    )
    assert none["out.y"].shape == (0, *one["out.y"].shape[1:])


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("layer", LAYERS)
def test_what_is_declined(
    adapter, framework, layer, precision, compiled
):
    reason = adapter.unsupported(layer, precision, compiled)
    if compiled and framework == "pytorch" and not shutil.which("g++"):
        assert "C++ compiler" in reason
        return
    declined = DECLINED[framework]
    either = (layer, precision, False) in declined
    either = either or (layer, precision, compiled) in declined
    assert bool(reason) == either, reason


@pytest.mark.parametrize("page", PAGES)
def test_the_try_region_runs(framework, page, capsys):
    path = ROOT / f"{framework}_impl" / page
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("precision", ("float64", "float32", "float16"))
def test_narrow_numbers_are_widened(framework, adapter, precision):
    """float32, not more; twice the lowest number is beyond the dtype."""
    page = importlib.import_module(f"{framework}_impl.precision")
    x = adapter.to_tensor(np.ones(3, "f4"), precision)
    wide = adapter.to_numpy(page.widen(x))
    assert wide.dtype == max(np.dtype(precision), np.dtype("f4"))
    assert adapter.to_numpy(page.cast_like(page.widen(x), x)).dtype == (
        np.dtype(precision)
    )
    lowest = adapter.to_numpy(page.lowest_like(x))
    with np.errstate(over="ignore"):
        assert (
            np.isfinite(lowest).all() and (2 * lowest == -np.inf).all()
        )


def test_public_names(package):
    for name in package.__all__:
        assert callable(getattr(package, name))

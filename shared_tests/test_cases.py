"""The case table keeps its own rules (design: rules for cases)."""

import ast

import pytest

from shared_tests.cases import CASES
from shared_tests.files import ROOT
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.kept import prepared
from shared_tests.run import group

ENVIRONMENTS = ("tools",)

EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)


def public_classes():
    """The layer classes that pytorch_impl exports, read without torch."""
    tree = ast.parse(
        (ROOT / "pytorch_impl" / "__init__.py").read_text()
    )
    names = [
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    return {name for name in names if name[0].isupper()}


def test_ids_are_unique():
    ids = [case.id for case in CASES]
    assert len(ids) == len(set(ids))


def test_every_layer_has_cases():
    """Also what prepare makes of one, under a name of its own."""
    layers = {case.layer for case in CASES}
    functions = {name for name in layers if name[0].islower()}
    made = set(prepared("pytorch"))
    assert layers - functions == public_classes() | made


@pytest.mark.parametrize("layer", sorted(public_classes()))
@pytest.mark.parametrize("flag", ["basic", "empty_batch", "compiled"])
def test_every_layer_has_these_cases(layer, flag):
    flags = [case.flags for case in CASES if case.layer == layer]
    assert any(flag in one for one in flags)


@EVERY_CASE
def test_a_case_says_why(case):
    assert case.reason and case.flags


@EVERY_CASE
def test_axis_sizes_differ(case):
    sizes = set()
    for draw in case.inputs.values():
        long = [size for size in draw.shape if size > 1]
        assert len(long) == len(set(long)), draw.shape
        sizes |= set(long)
    if len(sizes) > 1:
        assert any(size & (size - 1) for size in sizes), sizes


@EVERY_CASE
def test_inputs_are_exact_in_the_lowest_precision(case):
    """8 significant bits where bfloat16 runs, float32 everywhere else."""
    fixture = read_fixture(case, read_manifest())
    for kind in ("in", "param", "cotangent"):
        for array in group(fixture, kind).values():
            if array.dtype.kind in "bi":
                continue
            assert array.dtype == "float32"
            if "low_precision" in case.flags:
                bits = array.reshape(-1).view("uint32")
                assert not (bits & 0xFFFF).any()
                assert (array.astype("float16") == array).all()


@EVERY_CASE
def test_cotangents_are_random(case):
    """Never ones: sum() has gradient 0 through a centred layer."""
    fixture = read_fixture(case, read_manifest())
    for array in group(fixture, "cotangent").values():
        assert (
            array.size < 2 or len(set(array.reshape(-1).tolist())) > 1
        )

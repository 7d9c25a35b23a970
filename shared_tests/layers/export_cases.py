"""A case of cases.py as the tests of export.py need it."""

from shared_tests.cases import CASES
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.run import group


def arrays(case):
    """(its row, its fixture)"""
    (row,) = (c for c in CASES if c.id == case and not c.training)
    return row, read_fixture(row, read_manifest())


def built(adapter, case, precision):
    """The layer as the case has it, its inputs; ranges are those of x."""
    row, fixture = arrays(case)
    params, given = group(fixture, "param"), group(fixture, "in")
    layer = adapter.build(row.layer, row.config, params, precision).call
    order = [n for n in ("q", "k", "v", "x") if n in given]
    given = {n: given[n] for n in dict.fromkeys([*order, *given])}
    xs = {n: adapter.to_tensor(x, precision) for n, x in given.items()}
    if row.layer.startswith("QAT"):
        layer(**xs)
    return layer, xs, fixture

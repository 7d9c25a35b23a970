"""The table of built-in quantizers in docs/deviations.md, row by row.

Each environment measures its rows again. A new version that moves one
makes the test of that row fail, with the old and the new cells; then
`make ledger` writes the table again, and the text above it is to be
read again. The definition that the rows are measured against is held
against the one of test_quantize.py here.
"""

import functools
import shutil

import numpy as np
import pytest

from shared_tests.builtins.ledger import (
    KINDS,
    VECTORS,
    codes,
    mask,
    measure,
    read,
    replaced,
    values,
)
from shared_tests.builtins.make_ledger import DOCUMENT, write_table
from shared_tests.layers.quantization.formulas import define

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet", "tools")

LIBRARIES = {
    "pytorch": ["torch"],
    "jax": ["jax"],
    "tf": ["tensorflow", "keras"],
    "mxnet": ["mxnet"],
    "tools": ["numpy", "onnxruntime", "onnx.reference"],
}


@functools.cache
def written():
    """{name of a library, without version: {key: cells}}."""
    found = {}
    for library, rows in read(DOCUMENT.read_text()).items():
        found.setdefault(library.split()[0], {}).update(rows)
    return found


@functools.cache
def calls(framework):
    from shared_tests.builtins import ledger_calls

    return ledger_calls.calls(framework)


@functools.cache
def measured(call, name):
    return measure(call, name)


def everything(framework):
    """(library, call, key) of every row that this environment has."""
    return [
        (library.split()[0], call, (call.function, what, name))
        for library, some in calls(framework).items()
        for call in some
        for what in KINDS[call.kind][1]
        for name in call.vectors
    ]


def pytest_generate_tests(metafunc):
    if "row" in metafunc.fixturenames:
        rows = everything(metafunc.config.getoption("--framework"))
        names = ["-".join((row[0], *row[2])) for row in rows]
        metafunc.parametrize("row", rows, ids=names)


def test_a_row_is_as_written(row):
    library, call, key = row
    old = written().get(library, {}).get(key, ("no row",))
    new = measured(call, key[2])[key]
    assert old == new, (
        f"{library}, {', '.join(key)}: {' | '.join(old)} in "
        f"docs/deviations.md, {' | '.join(new)} measured; make ledger"
    )


def test_the_table_has_no_other_rows(framework):
    rows = [(library, key) for library, _, key in everything(framework)]
    found = {
        (library, key)
        for library in LIBRARIES[framework]
        for key in written()[library]
    }
    assert found == set(rows) and len(rows) == len(found)


def test_the_versions_are_those_installed(framework):
    every = read(DOCUMENT.read_text())
    mine = LIBRARIES[framework]
    assert [n for n in every if n.split()[0] in mine] == list(
        calls(framework)
    )


def test_every_environment_has_its_rows():
    names = [name for fw in ENVIRONMENTS for name in LIBRARIES[fw]]
    assert list(written()) == names


def test_the_table_reads_back_as_it_was_written():
    document = DOCUMENT.read_text()
    assert replaced(document, read(document)) == document


@pytest.mark.parametrize("name", VECTORS)
def test_the_definition_is_that_of_the_pages(name):
    v = VECTORS[name]
    setting = dict(signed=v.qmin < 0)
    zero_point = np.asarray(v.zero_point, np.int32)
    want = define(v.x, v.scale, zero_point, setting)
    got = codes(v), mask(v), values(v)
    assert all(map(np.array_equal, got, want))


def test_a_missing_environment_changes_nothing(tmp_path):
    document = tmp_path / DOCUMENT.name
    shutil.copy(DOCUMENT, document)
    for framework in ENVIRONMENTS[:-1]:
        (tmp_path / f"{framework}.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"tools\.json"):
        write_table(tmp_path, document)
    assert document.read_bytes() == DOCUMENT.read_bytes()

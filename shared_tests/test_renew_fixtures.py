"""The committed fixtures are what the reference computes: a sample.

`make fixtures-check` computes all of them, in minutes. Here it is the
smallest case of every layer, which a change of the layer's page or of
the budget's code would move as well.
"""

import errno
import pathlib

import numpy as np
import pytest

from shared_tests import fixture_files, renew_fixtures
from shared_tests.cases import CASES
from shared_tests.files import NotWritten
from shared_tests.fixture_files import FixtureError
from shared_tests.renew_fixtures import compare_sigma, rows_of

ENVIRONMENTS = ("pytorch",)


def smallest():
    """The case with the fewest elements of each layer, and one of a
    training run; none is empty."""
    found = {}
    for case in CASES:
        path = fixture_files.FIXTURES / f"{case.id}.safetensors"
        shapes = [draw.shape for draw in case.inputs.values()]
        if case.like or any(0 in shape for shape in shapes):
            continue
        key = "training" if case.training else case.layer
        size = path.stat().st_size
        if key not in found or size < found[key][0]:
            found[key] = size, case
    return [case for _, case in found.values()]


@pytest.mark.parametrize("case", smallest(), ids=lambda case: case.id)
def test_the_reference_computes_what_is_committed(case):
    assert (
        renew_fixtures.differences([case], fixture_files.FIXTURES) == []
    )


GOOD = np.ones(5)


@pytest.mark.parametrize(
    "bad, words",
    [
        (np.array([1, 1, -1, 1, 1.0]), "an element was -1.0"),
        (np.array([1, 1, 0, 1, 1.0]), "exact elements differ"),
        (np.array([1, np.nan, 1e30, 1, 1]), "an element was nan"),
        (np.array([1, 1, 1, np.inf, 1]), "an element was inf"),
        (np.array([1, 1, 1, 1e30, 1]), "variance ratio"),
        (np.ones(1), r"shape (1,), now (5,)"),
        (np.ones(()), r"shape (), now (5,)"),
        (np.zeros(5), "exact elements differ"),
    ],
)
def test_a_bad_sigma_is_a_difference(bad, words):
    (found,) = compare_sigma("sigma.out.y", bad, GOOD)
    assert words in found
    assert compare_sigma("sigma.out.y", GOOD, bad)


def test_a_sigma_that_only_was_sampled_anew():
    assert compare_sigma("sigma.out.y", GOOD, 1.3 * GOOD) == []
    assert compare_sigma("sigma.out.y", 0 * GOOD, 0 * GOOD) == []


def test_cases_by_name():
    (case,) = rows_of(["attention_tiled-scale"])
    assert case.id == "attention-scale"  # whose numbers it has
    assert len(rows_of([])) == len([c for c in CASES if not c.like])
    with pytest.raises(FixtureError, match="CASE expected the name of"):
        rows_of(["attention"])


def test_some_alone_only_while_their_makers_are_the_same(monkeypatch):
    folder = fixture_files.FIXTURES
    rows = rows_of(["PACT-tie"])
    seed, keep = renew_fixtures.kept(rows, folder)
    assert seed == renew_fixtures.SEED and "PACT-tie" not in keep
    assert len(keep) == len(rows_of([])) - 1
    monkeypatch.setattr(fixture_files, "maker_digests", dict)
    with pytest.raises(FixtureError, match="make all of them"):
        renew_fixtures.kept(rows, folder)


def test_a_place_without_rights_is_noticed_first(tmp_path, monkeypatch):
    """Before anything is computed, and what is there stays as it is."""
    calls = []
    monkeypatch.setattr(
        renew_fixtures, "make_fixture", lambda *row: calls.append(row)
    )
    (tmp_path / "file").write_text("no folder")
    folder = tmp_path / "file" / "fixtures"
    rows = rows_of(["PACT-tie"])
    with pytest.raises(NotWritten, match="fixtures could not be writ"):
        renew_fixtures.renew(rows, 1, folder)
    assert calls == []

    def refused(path, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(pathlib.Path, "mkdir", refused)
    with pytest.raises(NotWritten, match="Permission denied"):
        renew_fixtures.renew(rows, 1, tmp_path / "fixtures")
    assert calls == [] and [*tmp_path.iterdir()] == [tmp_path / "file"]


def test_the_place_is_left_as_it_was(tmp_path):
    fixture_files.check_place(tmp_path / "new" / "fixtures")
    assert [*(tmp_path / "new").iterdir()] == []

"""Fixtures: tampered, cut off or stale is a clear error, never a pass."""

import errno
import json
import os
import pathlib
import shutil

import numpy as np
import pytest

from shared_tests import fixture_files
from shared_tests.cases import CASES
from shared_tests.draws import normal
from shared_tests.fixture_files import (
    FIXTURES,
    FixtureError,
    check_manifest,
    code_digest,
    read_arrays,
    read_fixture,
    read_manifest,
    recover,
    write_fixtures,
)
from shared_tests.kept import closure

ENVIRONMENTS = ("tools",)

CASE = CASES[0]


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(FIXTURES, tmp_path / "fixtures")


def refused(*words):
    return pytest.raises(FixtureError, match="(?s)" + ".*".join(words))


def test_the_committed_fixtures_are_whole():
    manifest = read_manifest()
    check_manifest(manifest)
    for case in CASES:
        assert read_fixture(case, manifest)
    files = {path.stem for path in FIXTURES.glob("*.safetensors")}
    assert files == {case.fixture for case in CASES}


def test_the_committed_fixtures_are_small():
    size = sum(path.stat().st_size for path in FIXTURES.iterdir())
    assert size < 10e6


def test_every_file_that_makes_a_budget_is_a_maker():
    """What budget.py imports of its package, but for what only checks."""
    package = fixture_files.HERE / "roundoff"
    checks = {package / "verdict.py", package / "rules/selfcheck.py"}
    found = {
        path.relative_to(fixture_files.HERE).as_posix()
        for path in closure(package / "budget.py") - checks
        if path.name != "__init__.py"
    }
    assert found | {"make_fixtures.py"} == set(fixture_files.MAKERS)


def test_one_changed_byte(folder):
    path = folder / f"{CASE.id}.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with refused(CASE.id, "SHA-256 expected", "got", "make fixtures"):
        read_fixture(CASE, read_manifest(folder), folder)


def test_cut_off(folder):
    path = folder / f"{CASE.id}.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with refused(CASE.id, "cut off", "make fixtures"):
        read_fixture(CASE, read_manifest(folder), folder)


def test_missing_file(folder):
    (folder / f"{CASE.id}.safetensors").unlink()
    with refused(CASE.id, "is missing", "make fixtures"):
        read_fixture(CASE, read_manifest(folder), folder)


def test_missing_manifest(folder):
    (folder / "manifest.json").unlink()
    with refused("manifest.json is missing", "make fixtures"):
        read_manifest(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"seed": 1}'])
def test_damaged_manifest(folder, text):
    (folder / "manifest.json").write_text(text)
    with refused("manifest.json is damaged", "make fixtures"):
        read_manifest(folder)


def test_another_schema(folder):
    manifest = read_manifest(folder) | {"schema": 0}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with refused("schema 0, expected 1"):
        read_manifest(folder)


@pytest.mark.parametrize(
    "change",
    [
        dict(config=dict(scale=2.0)),
        dict(inputs=dict(x=normal(5, 8))),
        dict(flags=frozenset({"basic"})),
    ],
)
def test_an_edited_row_makes_its_fixture_stale(monkeypatch, change):
    edited = [CASE._replace(**change), *CASES[1:]]
    monkeypatch.setattr(fixture_files, "CASES", edited)
    with refused("stale fixture", CASE.id, "cases.py", "make fixtures"):
        check_manifest(read_manifest())


def test_a_new_row_has_no_fixture_yet(monkeypatch):
    new = CASE._replace(name="new")
    monkeypatch.setattr(fixture_files, "CASES", [*CASES, new])
    with refused(new.id, "has no fixture", "make fixtures"):
        check_manifest(read_manifest())


def test_a_removed_row_leaves_a_fixture_behind(monkeypatch):
    monkeypatch.setattr(fixture_files, "CASES", CASES[1:])
    with refused("without a row", CASE.id, "make fixtures"):
        check_manifest(read_manifest())


def test_a_changed_budget_makes_all_of_them_stale(monkeypatch):
    digests = dict.fromkeys(fixture_files.MAKERS, "0" * 64)
    monkeypatch.setattr(fixture_files, "maker_digests", lambda: digests)
    with refused(
        "stale fixtures", "budget.py changed", "make fixtures"
    ):
        check_manifest(read_manifest())


def test_what_makes_a_maker_another():
    """Imports, docstrings and comments move no number; all else may."""
    code = (
        fixture_files.HERE / "roundoff" / "rules" / "fourier.py"
    ).read_text()
    same, head = code_digest(code), code.split('"""')[1]
    for old, new in (
        ("import math\n", "import math\nfrom a import b\n"),
        (head, "Another header."),
        ("if n == 1:", "if n == 1:  # a comment"),
    ):
        assert old in code
        assert code_digest(code.replace(old, new)) == same
    for old, new in (("n == 1", "n == 2"), ("0.6 *", "0.61 *")):
        assert old in code
        assert code_digest(code.replace(old, new)) != same


def test_what_is_written_is_read_back(tmp_path):
    folder = tmp_path / "fixtures"
    square = np.arange(6.0).reshape(2, 3)
    arrays = {
        "ref.fortran": np.asfortranarray(square),
        "ref.transposed": square.T,
        "ref.column": square[:, 1:2],
        "ref.scalar": np.array(3.0),
        "ref.empty": np.zeros((0, 3), np.float32),
    }
    write_fixtures({CASE.id: arrays}, 1, {}, folder)
    back = read_arrays(CASE, read_manifest(folder), folder)
    assert back.keys() == arrays.keys()
    for key, array in arrays.items():
        assert back[key].dtype == array.dtype
        assert back[key].shape == array.shape
        assert np.array_equal(back[key], array)


def test_the_same_numbers_are_the_same_bytes(tmp_path):
    arrays = {CASE.id: {"ref.out.y": np.ones(3), "in.x": np.zeros(5)}}
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        write_fixtures(arrays, 1, {"torch": "1", "numpy": "2"}, folder)
    one, two = (
        {p.name: p.read_bytes() for p in f.iterdir()} for f in folders
    )
    assert one == two


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt()])
@pytest.mark.parametrize("place", ["write_bytes", "rename", "rename 2"])
def test_a_crash_leaves_the_last_good_state(
    folder, monkeypatch, error, place
):
    """Also one between the two renames; and nothing lies beside it."""
    before = read_manifest(folder)
    arrays = {CASE.id: {"ref.out.y": np.zeros(3)}}
    name, _, number = place.partition(" ")
    real, calls = getattr(pathlib.Path, name), []

    def crash(path, *args):
        calls.append(path)
        if len(calls) == int(number or 1):
            raise error
        return real(path, *args)

    monkeypatch.setattr(pathlib.Path, name, crash)
    with pytest.raises(type(error)) as found:
        write_fixtures(arrays, 1, {}, folder)
    if error is FULL:
        text = f"{folder} could not be written: No space left on device"
        assert str(found.value) == text
    assert os.listdir(folder.parent) == [folder.name]
    assert read_manifest(folder) == before
    assert {p.stem for p in folder.iterdir()} == {
        "manifest",
        *(case.fixture for case in CASES),
    }


def test_a_crash_between_the_renames_is_undone(folder):
    before = read_manifest(folder)
    folder.rename(folder.with_name(".fixtures.old"))
    assert not folder.exists()
    recover(folder)
    assert read_manifest(folder) == before


def entries(folder):
    return json.loads((folder / "manifest.json").read_text())


def forge(folder, case, arrays, name=None):
    """A fixture with these arrays, and the digest to go with it."""
    data = fixture_files.save(
        arrays, metadata={"case": name or case.id}
    )
    (folder / f"{case.fixture}.safetensors").write_bytes(data)
    manifest = entries(folder)
    digest = fixture_files.sha256(data)
    manifest["cases"][case.fixture]["sha256"] = digest
    (folder / "manifest.json").write_text(json.dumps(manifest))


LOW = next(case for case in CASES if case.id == "Linear-basic")
SIGMAS = "sigma.out.y", "sigma.grad.weight", "sigma_bfloat16.grad.x"


@pytest.mark.parametrize("key", SIGMAS)
@pytest.mark.parametrize(
    "bad, words",
    [
        (-1.0, "no negative numbers, got -1"),
        (np.nan, "finite numbers, got nan"),
        (np.inf, "finite numbers, got inf"),
        (1e308, "a budget within"),
        (None, "expected shape"),
    ],
)
def test_a_forged_sigma(folder, key, bad, words):
    arrays = read_fixture(LOW, read_manifest(folder), folder)
    sigma = arrays[key].astype("f8")
    if bad is None:
        sigma, words = sigma[..., :-1].copy(), "shape"
    else:
        sigma.flat[2] = bad
    forge(folder, LOW, arrays | {key: sigma})
    with refused(LOW.id, key, words):
        read_fixture(LOW, read_manifest(folder), folder)


NEEDED = """
    in.x param.bias cotangent.y ref.out.y ref.grad.x ref.grad.weight
    sigma.out.y sigma.grad.bias sigma_float16.grad.weight
    """.split()


@pytest.mark.parametrize("key", NEEDED)
def test_an_array_that_the_case_needs(folder, key):
    arrays = read_fixture(LOW, read_manifest(folder), folder)
    del arrays[key]
    forge(folder, LOW, arrays)
    with refused(LOW.id):
        read_fixture(LOW, read_manifest(folder), folder)


def test_a_fixture_that_judges_nothing(folder):
    """Without cotangent and gradients, or without any reference."""
    whole = read_fixture(LOW, read_manifest(folder), folder)
    for words in (("cotangent", ".grad."), ("ref.", "sigma")):
        arrays = {
            k: v
            for k, v in whole.items()
            if not any(word in k for word in words)
        }
        forge(folder, LOW, arrays)
        with refused(LOW.id, "is missing"):
            read_fixture(LOW, read_manifest(folder), folder)


@pytest.mark.parametrize("renamed", [False, True])
def test_the_file_of_another_case(folder, renamed):
    """Also where its header names this one."""
    other = next(c for c in CASES if c.id == "Linear-leading_axes")
    arrays = read_fixture(other, read_manifest(folder), folder)
    forge(folder, LOW, arrays, LOW.id if renamed else other.id)
    with refused(LOW.id, "expected"):
        read_fixture(LOW, read_manifest(folder), folder)


def test_a_header_that_names_another_case(folder):
    """Also where every array would fit."""
    arrays = read_fixture(LOW, read_manifest(folder), folder)
    forge(folder, LOW, arrays, "Linear-no_bias")
    with refused(LOW.id, "got the file of Linear-no_bias"):
        read_fixture(LOW, read_manifest(folder), folder)


def test_an_array_of_another_shape(folder):
    """Reference and sigma alike, and both not as the parameter."""
    arrays = read_fixture(LOW, read_manifest(folder), folder)
    for key in list(arrays):
        if key.endswith("grad.weight"):
            arrays[key] = np.ascontiguousarray(arrays[key].T)
    forge(folder, LOW, arrays)
    with refused("ref.grad.weight expected shape"):
        read_fixture(LOW, read_manifest(folder), folder)


@pytest.mark.parametrize(
    "part", ["makers", "cases", "seed", "versions"]
)
@pytest.mark.parametrize("how", ["missing", "null"])
def test_a_manifest_without_a_part(folder, part, how):
    manifest = entries(folder)
    manifest[part] = None
    if how == "missing":
        del manifest[part]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with refused("manifest.json is damaged", part, "make fixtures"):
        read_manifest(folder)


@pytest.mark.parametrize("key", ["row", "sha256"])
def test_a_manifest_without_a_digest(folder, key):
    manifest = entries(folder)
    del manifest["cases"][CASE.id][key]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with refused(key, CASE.id, "make fixtures"):
        check_manifest(read_manifest(folder))
        read_fixture(CASE, read_manifest(folder), folder)


@pytest.mark.parametrize("key", ["row", "sha256"])
@pytest.mark.parametrize("value", [5, None, ["a"], {}])
def test_a_digest_that_is_none(folder, key, value):
    manifest = entries(folder)
    manifest["cases"][CASE.id][key] = value
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with refused(f"{key}.* of {CASE.id} expected a SHA-256, got"):
        check_manifest(read_manifest(folder))
        read_fixture(CASE, read_manifest(folder), folder)


@pytest.mark.parametrize(
    "name", ["manifest.json", f"{CASE.id}.safetensors"]
)
def test_a_file_that_cannot_be_read(folder, name):
    """A folder in its place; root reads whatever it may not."""
    (folder / name).unlink()
    (folder / name).mkdir()
    with refused(f"{name} could not be read: Is a directory"):
        read_fixture(CASE, read_manifest(folder), folder)


def test_some_are_made_again_the_others_stay(folder):
    """To the byte: nothing else has to be looked at again."""
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    keep = dict(read_manifest(folder)["cases"])
    del keep[CASE.id]
    arrays = read_fixture(CASE, read_manifest(folder), folder)
    arrays["in.x"] = arrays["in.x"] + 1
    write_fixtures({CASE.id: arrays}, 1, {}, folder, keep)
    after = {p.name: p.read_bytes() for p in folder.iterdir()}
    changed = {n for n in after if after[n] != before[n]}
    assert after.keys() == before.keys()
    assert changed == {"manifest.json", f"{CASE.id}.safetensors"}
    check_manifest(read_manifest(folder))

"""A file is written whole or not at all; a full disk is named."""

import errno
import os
import pathlib

import pytest

from shared_tests import files
from shared_tests.files import (
    ROOT,
    NotWritten,
    append,
    json_lines,
    write,
)

ENVIRONMENTS = ("tools",)

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture(params=["full disk", "Ctrl-C"])
def half(monkeypatch, request):
    """Writing a file stops in the middle; what it raises then."""
    kind = {"full disk": FULL, "Ctrl-C": KeyboardInterrupt()}
    error, real = kind[request.param], pathlib.Path.write_bytes

    def write_half(path, data):
        real(path, data[: len(data) // 2])
        raise error

    monkeypatch.setattr(pathlib.Path, "write_bytes", write_half)
    return NotWritten if error is FULL else KeyboardInterrupt


def test_half_a_file_is_none(tmp_path, half):
    path = tmp_path / "results.json"
    path.write_text("old")
    with pytest.raises(half):
        write(path, "new and long")
    assert os.listdir(tmp_path) == ["results.json"]
    assert path.read_text() == "old"


def test_a_file_that_cannot_take_its_place(tmp_path, monkeypatch):
    def replace(*_):
        raise FULL

    monkeypatch.setattr(files.os, "replace", replace)
    path = tmp_path / "page.md"
    text = f"{path} could not be written: No space left on device"
    with pytest.raises(NotWritten) as found:
        write(path, "new")
    assert str(found.value) == text
    assert os.listdir(tmp_path) == []


def test_no_folder_can_be_made_where_a_file_is(tmp_path):
    (tmp_path / "build").write_text("")
    for action in (write, append):
        with pytest.raises(NotWritten, match=r"build/it could not be"):
            action(tmp_path / "build" / "it", "text")


def test_a_path_is_shown_as_readers_know_it(tmp_path):
    assert str(NotWritten(ROOT / "docs" / "a.md", FULL)) == (
        "docs/a.md could not be written: No space left on device"
    )


def test_two_processes_may_write_one_file(tmp_path, monkeypatch):
    """As parity does during test-all: the later one is what stays."""
    path, real = tmp_path / "row.json", os.replace

    def meanwhile(*where):
        monkeypatch.setattr(files.os, "replace", real)
        monkeypatch.setattr(files.os, "getpid", lambda: 1)
        write(path, "the other's")
        real(*where)

    monkeypatch.setattr(files.os, "replace", meanwhile)
    write(path, "mine")
    assert path.read_text() == "mine"
    assert os.listdir(tmp_path) == ["row.json"]


@pytest.mark.parametrize("end", ['{"a": 1', '{"a": "\\ud8', "\xff"])
def test_a_row_that_was_cut_off_spoils_no_other(tmp_path, end):
    path = tmp_path / "new" / "rows.jsonl"
    append(path, 1)
    with path.open("ab") as file:
        file.write(end.encode("latin-1"))
    append(path, [2])
    append(path, "3")
    assert json_lines(path) == [1, [2], "3"]


def test_a_row_that_finds_no_room():
    """Linux has a device that is always full."""
    with pytest.raises(
        NotWritten, match=r"dev/full could not .*No space"
    ):
        append(pathlib.Path("/dev/full"), 1)

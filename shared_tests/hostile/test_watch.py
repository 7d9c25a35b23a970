"""Planted faults: a reader or a save that is wrong has to be found."""

import os
import pathlib
from types import SimpleNamespace

import pytest

from shared_tests.hostile import formats, kills
from shared_tests.hostile.mutations import seeded, spoil
from shared_tests.hostile.readers import Trial, saver

ENVIRONMENTS = ("pytorch",)


@pytest.fixture
def trial(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)
    return Trial("pytorch", "own", tmp_path)


def takes_memory(layer, path):
    bytearray(2**30)


def takes_memory_and_says_so(layer, path):
    try:
        bytearray(2**30)
    except MemoryError as error:
        raise ValueError(f"{path} is large") from error


def keeps_memory(layer, path):
    # what is not asked of RLIMIT_AS, as memory that was there before
    layer.kept = bytearray(150 * 2**20), bytearray(100 * 2**20)


def other_error(layer, path):
    raise TypeError("no dict")


def no_name(layer, path):
    raise ValueError("no checkpoint")


def two_lines(layer, path):
    raise ValueError(f"{path}:\nno checkpoint")


def half_loaded(layer, path):
    next(layer.parameters()).data.fill_(1)
    raise ValueError(f"{path} does not fit")


def another_file(layer, path):
    (path.parent / "more").write_text("")
    raise ValueError(f"{path} does not fit")


def one_above(layer, path):
    (path.parent.parent / "more").touch()
    raise ValueError(f"{path} does not fit")


def canary(layer, path):
    with open(path.parent / "canary.txt", "a") as file:
        file.write("x")
    raise ValueError(f"{path} does not fit")


def a_command(layer, path):
    os.system("true")
    raise ValueError(f"{path} does not fit")


@pytest.mark.parametrize(
    "load, words",
    [
        (takes_memory, "MemoryError"),
        (takes_memory_and_says_so, "memory was asked for"),
        (keeps_memory, "MemoryError"),
        (other_error, "TypeError: no dict"),
        (no_name, "does not name the file"),
        (two_lines, "no one sentence"),
        (half_loaded, "the layer has changed"),
        (another_file, "'more' changed"),
        (one_above, "'more' changed"),
        (canary, "'canary.txt' changed"),
        (a_command, "os.system"),
    ],
)
def test_a_reader_that_is_wrong(trial, load, words):
    right = trial.page

    def planted(layer, path):
        if path.read_bytes() in [g.before[0] for g in trial.goods]:
            return right.load(layer, path)
        return load(layer, path)

    trial.page = SimpleNamespace(load=planted)
    found = trial.examine(3)
    assert found.what == "finding"
    assert words in found.words


def test_numbers_that_a_sum_would_have_found(tmp_path, monkeypatch):
    """In the portable format another number is a finding."""
    monkeypatch.setattr(os, "fsync", lambda file: None)
    trial = Trial("pytorch", "portable", tmp_path)
    right, (_, two, *_) = trial.page, trial.goods
    other = tmp_path / "other"
    other.write_bytes(two.data)
    trial.page = SimpleNamespace(
        load_portable=lambda path: right.load_portable(other),
        save_portable=right.save_portable,
    )
    assert trial.examine(0).words == "other numbers"
    assert trial.examine(1).what == "as it was"


def test_a_pickle_does_not_run(trial, tmp_path, monkeypatch):
    """It would: torch.load runs it, asked to take any pickle."""
    import torch

    monkeypatch.chdir(tmp_path)
    marker = pathlib.Path("touched")
    call = formats.called("os", "system", "touch touched")
    trial.path.write_bytes(
        formats.with_pickle(trial.goods[0].data, call)
    )
    with pytest.raises(ValueError, match="calls os system, not run"):
        trial.load(trial.goods[0])
    assert not marker.exists()
    torch.load(trial.path, weights_only=False)
    assert marker.exists()


def test_what_torch_itself_would_take(trial):
    """weights_only=True takes any amount of memory: 2 MB of a file of
    2 kB here, 10 GB as easily."""
    import torch

    call = formats.called("builtins", "bytearray", 2**21)
    trial.path.write_bytes(
        formats.with_pickle(trial.goods[0].data, call)
    )
    assert len(torch.load(trial.path, weights_only=True)) == 2**21
    with pytest.raises(ValueError, match="calls builtins bytearray"):
        trial.load(trial.goods[0])


def test_the_same_file_from_the_same_seed(trial):
    data = trial.goods[0].data
    for number in range(20):
        one, two = (
            spoil(data, "zip", seeded("a", number)) for _ in range(2)
        )
        assert one == two
    assert one != spoil(data, "zip", seeded("b", number))


def test_writing_in_place_is_found(tmp_path):
    save, path = saver("pytorch", "own", tmp_path)
    save(1)
    good = path.read_bytes()

    def in_place(which):
        data = bytearray(good)
        data[0] ^= which
        with open(path, "wb", buffering=0) as file:
            for at in range(0, len(data), 1000):
                file.write(data[at : at + 1000])

    with pytest.raises(AssertionError, match="are neither file"):
        kills.killed(in_place, path, 20)


def test_litter_is_found(tmp_path):
    save, path = saver("pytorch", "own", tmp_path)

    def littering(which):
        save(which)
        (tmp_path / f"{os.getpid()}.part").touch()

    with pytest.raises(AssertionError, match="left:"):
        kills.killed(littering, path, 1)


def test_a_save_that_fails_is_no_kill(tmp_path):
    save, path = saver("pytorch", "own", tmp_path)
    parent = os.getpid()

    def failing(which):
        if os.getpid() != parent:
            raise OSError("no space left")
        save(which)

    with pytest.raises(AssertionError, match="a save failed"):
        kills.killed(failing, path, 1)


def refused(trial, data, words):
    trial.path.write_bytes(data)
    with pytest.raises(ValueError, match=words):
        trial.load(trial.goods[0])


def test_parts_of_a_torch_file(trial):
    good = trial.goods[0].data
    inside = formats.unzipped(good)
    refused(trial, formats.zipped(inside, True), "twice, or packed")
    name = next(n for n in inside if n.endswith("data/0"))
    twice = [*inside.items(), (name, inside[name])]
    refused(trial, formats.zipped(twice), "twice, or packed")
    other = {
        n.replace("data.pkl", "other"): d for n, d in inside.items()
    }
    refused(trial, formats.zipped(other), "one pickle, got 0")
    two = inside | {"a/data.pkl": b"N."}
    refused(trial, formats.zipped(two), "one pickle, got 2")
    bomb = formats.bomb(good, name)
    refused(trial, bomb, f"{len(bomb)} bytes claim to be")
    at = good.index(b"PK\x01\x02") + 20  # how long it says it is packed
    claim = (2**31 - 1).to_bytes(4, "little")
    refused(trial, good[:at] + claim + good[at + 4 :], "or packed")


@pytest.mark.parametrize(
    "words", ["ctorch\nTensor\n", "c__main__\nx\n"]
)
def test_whatever_a_pickle_names(trial, words):
    pickled = b"\x80\x02" + words.encode() + b"."
    data = formats.with_pickle(trial.goods[0].data, pickled)
    refused(trial, data, "its pickle calls .* not run here")


def test_a_pickle_of_something_else(trial):
    good = trial.goods[0].data
    for pickled, words in (
        (b"\x80\x02N.", "a dict of tensors, got NoneType"),
        (b"\x80\x02}(K\x01K\x02u.", "1 expected a tensor, got int"),
        (b"\x80\x02\x82\x01.", "its pickle calls 1, not"),
    ):
        refused(trial, formats.with_pickle(good, pickled), words)

"""`make parity DEVICE=cuda`: what is asked for, and what is refused."""

import pytest

from shared_tests import parity, selection

ENVIRONMENTS = ("tools",)


def test_without_a_gpu_a_sentence_says_so(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(parity, "NVIDIA", tmp_path / "nvidiactl")
    monkeypatch.setattr("sys.argv", ["parity", "--device", "cuda"])
    assert parity.main() == 2
    said = capsys.readouterr().err
    assert said.startswith("DEVICE=cuda: there is no NVIDIA GPU here")


def test_another_device_is_unknown(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["parity", "--device", "tpu"])
    with pytest.raises(SystemExit) as end:
        parity.main()
    assert end.value.code == 2
    assert "'tpu'" in capsys.readouterr().err


def test_on_a_gpu_two_frameworks_run(tmp_path, monkeypatch):
    monkeypatch.setattr(parity, "NVIDIA", tmp_path)
    assert parity.frameworks_on("cuda", "") == "pytorch jax"
    assert parity.frameworks_on("cuda", "jax") == "jax"
    with pytest.raises(selection.Unknown, match=r"DEVICE=cuda.*'tf'"):
        parity.frameworks_on("cuda", "jax,tf")


def test_on_the_cpu_nothing_is_different():
    assert parity.frameworks_on("cpu", "tf,jax") == "tf,jax"
    assert parity.cache_of("cpu") == parity.CACHE
    assert "--device" not in parity.run_command("jax", "f", "s")


def test_the_device_reaches_the_process_that_runs():
    command = parity.run_command("jax", "f", "s", "cuda")
    at = command.index("--device")
    assert command[at + 1] == "cuda"
    assert parity.cache_of("cuda") != parity.CACHE

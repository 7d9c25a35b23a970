"""The front door: make prints help, and says in one sentence what it lacks."""

import re
import shutil
import subprocess

import pytest

from shared_tests.environments import FRAMEWORKS
from shared_tests.files import ROOT

ENVIRONMENTS = ("tools",)

FOLDERS = [f"{framework}_impl" for framework in FRAMEWORKS]
FOLDERS += ["shared_tests", "pytorch_impl/kernels"]


def make(folder, *words):
    done = subprocess.run(
        ["make", "--no-print-directory", *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def fresh(tmp_path):
    """What a clone has before anything is installed."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for folder in FOLDERS:
        (tmp_path / folder).mkdir()
        shutil.copy(
            ROOT / folder / "requirements.txt", tmp_path / folder
        )
    return tmp_path


def test_no_target_prints_help(fresh):
    code, text = make(fresh)
    assert code == 0
    for target in ("parity", "test-all", "fixtures-check", "lint"):
        assert f"make {target}" in text
    assert not (fresh / ".venv").exists()


def test_no_python(fresh):
    code, text = make(fresh, "parity", "PYTHON3=", "UV=.venv/uv/bin/uv")
    assert code != 0
    assert "python3 is missing: install Python 3.11" in text


def test_python_without_pip(fresh):
    code, text = make(
        fresh, "parity", "PYTHON3=false", "UV=.venv/uv/bin/uv"
    )
    assert code != 0
    assert "uv could not be installed: false needs pip" in text


def test_an_environment_that_cannot_be_built(fresh):
    uv = shutil.which("false")
    code, text = make(fresh, "test-mxnet", f"UV={uv}")
    assert code != 0
    assert ".venv/mxnet could not be built on" in text
    assert "Linux x86-64 and Python 3.11" in text
    assert not (fresh / ".venv" / "mxnet" / ".stamp").exists()


@pytest.mark.parametrize("folder", FOLDERS)
def test_requirements_are_pins_and_nothing_else(folder):
    lines = (
        (ROOT / folder / "requirements.txt").read_text().splitlines()
    )
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+(; .*)?", line), (
            line
        )
    names = [line.split("==")[0] for line in lines]
    assert len(names) == len(set(names))


def test_the_readme_names_the_commands():
    readme = (ROOT / "README.md").read_text()
    for command in ("make parity", "make test-all", "make fixtures"):
        assert command in readme

"""Others can install the package, and nothing else of this repo."""

import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest

from shared_tests.files import ROOT

ENVIRONMENTS = ("pytorch",)

HERE = ROOT / "shared_tests" / "roundoff"
BUILD = "import setuptools.build_meta as b; b.build_wheel('..')"
USE = """
import sys, numpy, torch, roundoff
from roundoff import RoundingError, assert_rounding
layer, x = torch.nn.Linear(3, 2), numpy.ones((4, 3))
assert_rounding(layer, layer, x)
try:
    assert_rounding(layer, lambda p, x: 1.01 * layer(x), x,
                    framework="torch", gradients=False)
except RoundingError as error:
    print(error)
assert not [n for n in sys.modules if n.startswith("shared_tests")]
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built as pip does, of a copy of what it needs."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "checkout"
    shutil.copytree(HERE, copy / "shared_tests" / "roundoff")
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    subprocess.run(
        [sys.executable, "-c", BUILD],
        cwd=copy,
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("*.whl")
    return path


def test_what_is_in_it(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    ours = {
        n for n in names if not n.split("/")[0].endswith("dist-info")
    }
    assert ours == {
        f"roundoff/{path.relative_to(HERE).as_posix()}"
        for path in HERE.rglob("*.py")
        if path.parent.name != "tests"
    }


def test_it_runs_away_from_the_repo(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    done = subprocess.run(
        [sys.executable, "-c", USE],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("out.y: bug, ")


def test_numpy_is_all_that_it_must_have():
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert data["project"]["dependencies"] == ["numpy"]
    assert data["project"]["name"] == "roundoff"

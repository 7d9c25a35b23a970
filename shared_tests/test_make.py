"""The front door: make prints help, and says in one sentence what it lacks."""

import os
import re
import shutil
import subprocess

import pytest

from shared_tests.environments import FRAMEWORKS, last_line
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
        (tmp_path / folder).mkdir(parents=True)
        shutil.copy(
            ROOT / folder / "requirements.txt", tmp_path / folder
        )
    script = "shared_tests/environments.sh"
    shutil.copy(ROOT / script, tmp_path / script)
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


PYTHON_MISSING = """\
error: No interpreter found for Python 3.11 in search path

hint: A managed Python download is available for Python 3.11
"""
NO_DOWNLOAD = """\
error: Request failed after 3 retries in 11.5s
  cause: Failed to download `https://a.b/c/cpython-3.11.18-x86_64.tar.gz`
  cause: Connection refused (os error 111)
"""
NO_NETWORK = """\
error: Request failed after 3 retries in 6.0s
  cause: Failed to fetch: http://nowhere.invalid/simple/mxnet/
  cause: error sending request for url (http://nowhere.invalid/simple/)
  cause: failed to lookup address information: Name or service not known
"""
OFFLINE = """\
error: No solution found when resolving dependencies
  cause: Because mxnet was not found in the cache ...

hint: Packages were unavailable because the network was disabled.
"""
NO_VERSION = """\
error: No solution found when resolving dependencies
  cause: Because there is no version of mxnet==99 ...
"""
BROKEN = """\
error: Failed to inspect Python interpreter from first executable in ...
  cause: Querying Python at `/a/python3.11` failed with exit status 127
"""
NOT_OURS = """\
error: Failed to initialize cache at `/nonexistent/.cache/uv`
  cause: failed to create directory: Permission denied (os error 13)
"""
FULL = """\
error: Failed to install: rich-13.7.0-py3-none-any.whl (rich==13.7.0)
  cause: failed to copy file: No space left on device (os error 28)
"""
INTEL = "Linux x86_64"
# what uv 0.13 said in each of these: (its words, uname, reason, advice)
FAILURES = {
    "no Python": (
        PYTHON_MISSING,
        INTEL,
        "3.11 is not here",
        "python3.11",
    ),
    "no download": (
        NO_DOWNLOAD,
        INTEL,
        "3.11 is not here",
        "python3.11",
    ),
    "a broken Python": (BROKEN, INTEL, "does not start", "in front"),
    "no network": (NO_NETWORK, INTEL, "was not reached", "the network"),
    "no network on another processor": (
        *(NO_NETWORK, "Linux aarch64", "was not reached"),
        "the network",
    ),
    "offline": (OFFLINE, INTEL, "was not reached", "the network"),
    "impossible pin": (
        *(NO_VERSION, INTEL, "has no such version"),
        "the pin in mxnet_impl/requirements.txt",
    ),
    "not ours": (NOT_OURS, INTEL, "not be written", "UV_CACHE_DIR"),
    "full disk": (FULL, INTEL, "the disk is full", "make room"),
    "another processor": (
        *(NO_VERSION, "Linux aarch64", "this is Linux aarch64"),
        "a Linux x86-64 container",
    ),
    "another system": (
        *(NO_VERSION, "Darwin x86_64", "this is Darwin x86_64"),
        "a Linux x86-64 container",
    ),
    "something else": ("error: boom\n", INTEL, "above say why", "mend"),
}


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)
    return path


@pytest.fixture
def failing(fresh, monkeypatch):
    """failing(words, uname): make's words, where uv says such words."""

    def failing(words, uname):
        tools = fresh / "bin"
        tools.mkdir()
        script(tools / "uname", f"echo {uname}")
        (fresh / "words").write_text(words)
        monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
        uv = script(
            tools / "false-uv", f"cat {fresh}/words >&2; exit 2"
        )
        return make(fresh, "test-mxnet", f"UV={uv}")

    return failing


@pytest.mark.parametrize("name", FAILURES)
def test_an_environment_that_cannot_be_built(fresh, failing, name):
    """What really failed, and only the advice that fits."""
    words, uname, reason, advice = FAILURES[name]
    code, text = failing(words, uname)
    assert code != 0
    assert words in text
    (said,) = [
        x for x in text.splitlines() if "could not be built" in x
    ]
    assert said.startswith(".venv/mxnet could not be built: ")
    assert reason in said and advice in said
    advices = {row[3] for row in FAILURES.values()} - {advice}
    assert not [other for other in advices if other in said]
    assert not (fresh / ".venv" / "mxnet" / ".stamp").exists()
    # what make parity and make test-all show of it
    log = fresh / "build" / "logs" / "env-mxnet.log"
    assert f".venv/mxnet could not be built: {last_line(log)}" == said


def test_of_a_long_log_the_end_is_shown(failing):
    lines = [f"line {n}" for n in range(100)]
    _, text = failing("\n".join([*lines, NO_NETWORK]), INTEL)
    assert "line 99" in text and NO_NETWORK in text
    assert "line 9\n" not in text


PIP_OFFLINE = """\
WARNING: Retrying (Retry(total=0)) after connection broken by ...
ERROR: No matching distribution found for uv==0.13.8
"""


@pytest.mark.parametrize(
    "words, reason, advice",
    [
        ("python3: No module named pip", "has no pip", "install pip"),
        (PIP_OFFLINE, "was not reached", "look at the network"),
        (
            "ERROR: No matching distribution found for uv==0.13.8",
            "has no such version",
            "name an index that has it",
        ),
        (
            "[Errno 28] No space left on device",
            "is full",
            "make room",
        ),
    ],
)
def test_uv_that_cannot_be_installed(fresh, words, reason, advice):
    python = script(fresh / "python3", f"echo '{words}' >&2; exit 1")
    where = f"PYTHON3={python}", "UV=.venv/uv/bin/uv"
    code, text = make(fresh, "parity", *where)
    assert code != 0
    assert words in text
    (said,) = [x for x in text.splitlines() if "not be installed" in x]
    assert reason in said and advice in said


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

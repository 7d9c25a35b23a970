"""Signatures: one changed byte is refused, in one sentence."""

import os
import shutil
import subprocess
import sys

import pytest

from shared_tests.files import ROOT
from shared_tests.fixture_files import FIXTURES, read_manifest
from shared_tests.hostile.signatures import (
    Refused,
    new_key,
    sign,
    verify,
)

ENVIRONMENTS = ("tools",)


@pytest.fixture
def signed(tmp_path):
    """(file, private key, public key)"""
    key, path = tmp_path / "a.key", tmp_path / "layer.safetensors"
    path.write_bytes(bytes(range(200)))
    new_key(key)
    sign(path, key)
    return path, key, tmp_path / "a.key.pub"


def run(what, *arguments):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "shared_tests.hostile.signatures"),
            *(what, *arguments),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_signed_file(signed):
    path, key, public = signed
    assert verify(path, public) == path.read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    beside = path.with_name("layer.safetensors.sig")
    assert len(beside.read_bytes()) == 64
    names = sorted(p.name for p in path.parent.iterdir())
    assert names == sorted(
        [key.name, public.name, path.name, beside.name]
    )


def test_every_byte_counts(signed):
    path, _, public = signed
    for changed in (path, path.with_name(f"{path.name}.sig")):
        good = changed.read_bytes()
        for at in range(len(good)):
            bad = bytearray(good)
            bad[at] ^= 1
            changed.write_bytes(bad)
            with pytest.raises(
                Refused, match="is not that of this file"
            ):
                verify(path, public)
        for bad in (good[:-1], good + b"\0", b""):
            changed.write_bytes(bad)
            with pytest.raises(Refused, match=path.name):
                verify(path, public)
        changed.write_bytes(good)
    verify(path, public)


def test_another_key(signed, tmp_path):
    path, key, public = signed
    new_key(tmp_path / "b.key")
    with pytest.raises(Refused, match="by this key"):
        verify(path, tmp_path / "b.key.pub")
    with pytest.raises(Refused, match="expected a public key"):
        verify(path, key)
    with pytest.raises(Refused, match="mode 600, got 644"):
        sign(path, public)


def test_what_is_missing(signed, tmp_path):
    path, key, public = signed
    for gone in (path.with_name(f"{path.name}.sig"), public, path):
        gone.rename(tmp_path / "aside")
        with pytest.raises(Refused, match=gone.name):
            verify(path, public)
        (tmp_path / "aside").rename(gone)
    with pytest.raises(Refused, match="got a file that is there"):
        new_key(key)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o620])
def test_a_private_key_that_others_may_read(signed, mode):
    path, key, _ = signed
    os.chmod(key, mode)
    with pytest.raises(Refused, match=f"mode 600, got {mode:o}"):
        sign(path, key)


def test_keys_that_are_none(signed, tmp_path):
    path, key, public = signed
    for bad in (b"", b"key", bytes(2**17), public.read_bytes()):
        key.write_bytes(bad)
        with pytest.raises(Refused, match=key.name):
            sign(path, key)


def test_openssl_reads_the_keys_and_the_signature(signed, tmp_path):
    """And its own keys are read here."""
    path, _, public = signed
    openssl = shutil.which("openssl")
    assert openssl, "expected openssl, got none"
    arguments = "pkeyutl -verify -rawin -pubin -inkey".split()
    arguments += [public, "-sigfile", f"{path}.sig", "-in", path]
    subprocess.run(
        [openssl, *arguments], check=True, capture_output=True
    )
    key = tmp_path / "c.key"
    arguments = "genpkey -algorithm ed25519 -out".split()
    subprocess.run([openssl, *arguments, key], check=True)
    os.chmod(key, 0o600)
    sign(path, key)
    arguments = [
        "pkey",
        "-in",
        key,
        "-pubout",
        "-out",
        tmp_path / "c.pub",
    ]
    subprocess.run([openssl, *arguments], check=True)
    verify(path, tmp_path / "c.pub")


def test_the_commands(tmp_path):
    """Exit status 1, and one line; FILE and KEY as make gives them."""
    key, path = tmp_path / "a.key", tmp_path / "model.onnx"
    path.write_bytes(b"model")
    file, public = ("--file", path), ("--key", f"{key}.pub")
    assert run("sign-key", "--key", key)[0] == 0
    assert run("sign", *file, "--key", key)[0] == 0
    status, said, _ = run("verify", *file, *public)
    assert (status, said) == (0, f"{path} is as it was signed\n")
    path.write_bytes(b"modem")
    status, said, error = run("verify", *file, *public)
    assert (status, said) == (1, "")
    assert error.startswith(f"make verify: {path}: the signature")
    assert error.count("\n") == 1
    status, _, error = run("sign", "--file", "", "--key", "")
    assert status == 1 and "expected FILE= and KEY=" in error


def test_the_fixtures(tmp_path):
    """Signing the manifest signs them all: it has the sum of each."""
    manifest = tmp_path / "manifest.json"
    shutil.copy(FIXTURES / "manifest.json", manifest)
    new_key(tmp_path / "a.key")
    sign(manifest, tmp_path / "a.key")
    verify(manifest, tmp_path / "a.key.pub")
    cases = read_manifest()["cases"]
    files = {p.stem for p in FIXTURES.glob("*.safetensors")}
    assert files == cases.keys()
    assert all(len(entry["sha256"]) == 64 for entry in cases.values())
    manifest.write_text(manifest.read_text().replace("a", "b", 1))
    with pytest.raises(Refused):
        verify(manifest, tmp_path / "a.key.pub")

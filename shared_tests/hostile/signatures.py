"""Signatures: who wrote a checkpoint, an export or the fixtures.

make sign-key KEY=my.key                 a new pair: my.key, my.key.pub
make sign FILE=layer.safetensors KEY=my.key       writes FILE.sig
make verify FILE=layer.safetensors KEY=my.key.pub

A checksum finds what breaks by accident; whoever changes a file on
purpose writes a new sum. A signature can be made with the private key
alone, and be verified by all who have the public one. It is Ed25519
(RFC 8032) over the bytes of the file, 64 bytes, in a file beside it;
keys are PEM files, as openssl writes them. To sign the fixtures, sign
shared_tests/fixtures/manifest.json, which has the SHA-256 of each.

Raises: Refused, in one sentence that names the file
"""

import argparse
import os
import pathlib
import stat
import sys

from cryptography.exceptions import (
    InvalidSignature,
    UnsupportedAlgorithm,
)
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric import ed25519

from shared_tests.files import write

LONGEST = 2**16  # bytes of a key or a signature
OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Refused(Exception):
    """Which file, what was expected, and what was found."""


def content(path, what, most=None):
    """The bytes of a file."""
    try:
        with open(path, "rb") as file:
            data = file.read(-1 if most is None else most + 1)
    except OSError as error:
        text = f"{path}: no {what}: {error.strerror}"
        raise Refused(text) from None
    if most is not None and len(data) > most:
        raise Refused(f"{path}: expected a {what}, got a long file")
    return data


def new_key(path):
    """A private key that only its owner may read, and a public one."""
    path = pathlib.Path(path)
    key = ed25519.Ed25519PrivateKey.generate()
    secret = key.private_bytes(
        pem.Encoding.PEM,
        pem.PrivateFormat.PKCS8,
        pem.NoEncryption(),
    )
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(secret)
    except FileExistsError:
        text = f"{path}: expected a new name, got a file that is there"
        raise Refused(text) from None
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    write(public_name(path), public_pem(key.public_key()))


def public_name(path):
    return path.with_name(f"{path.name}.pub")


def public_pem(key):
    form = pem.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(pem.Encoding.PEM, form)


def private_key(path):
    data = content(path, "private key", LONGEST)
    if os.stat(path).st_mode & OTHERS:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        text = f"{path}: a private key expected mode 600, got {mode:o}"
        raise Refused(f"{text}: run chmod 600 on it")
    return loaded(path, data, "private", ed25519.Ed25519PrivateKey)


def public_key(path):
    data = content(path, "public key", LONGEST)
    return loaded(path, data, "public", ed25519.Ed25519PublicKey)


def loaded(path, data, which, kind):
    try:
        if which == "private":
            key = pem.load_pem_private_key(data, None)
        else:
            key = pem.load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, kind):
        text = f"{path}: expected a {which} key of Ed25519 in PEM"
        raise Refused(f"{text}, without a password")
    return key


def signature_of(path):
    path = pathlib.Path(path)
    return path.with_name(f"{path.name}.sig")


def sign(path, key):
    key = private_key(key)
    write(signature_of(path), key.sign(content(path, "file")))


def verify(path, key):
    """The bytes of the file, so that what was verified can be used."""
    key, data = public_key(key), content(path, "file")
    beside = signature_of(path)
    signature = content(beside, "signature", LONGEST)
    try:
        key.verify(signature, data)
    except InvalidSignature:
        text = (
            f"{path}: the signature {beside.name} is not that of this"
        )
        raise Refused(f"{text} file by this key") from None
    return data


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("sign-key", "sign", "verify"))
    parser.add_argument("--file", default="")
    parser.add_argument("--key", default="")
    args = parser.parse_args()
    try:
        if not args.key or not (args.file or args.what == "sign-key"):
            raise Refused("expected FILE= and KEY=, got none")
        if args.what == "sign-key":
            new_key(args.key)
            print(
                f"{args.key} is new: keep it; {args.key}.pub is public"
            )
        elif args.what == "sign":
            sign(args.file, args.key)
            print(f"{args.file} is signed: {args.file}.sig")
        else:
            verify(args.file, args.key)
            print(f"{args.file} is as it was signed")
    except Refused as error:
        print(f"make {args.what}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

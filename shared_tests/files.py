"""Files: where the repo is, written whole or not at all, rows, digests.

Imports nothing of this repo.
"""

import contextlib
import hashlib
import json
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent


def write(path, content):
    """Text or bytes, whole or not at all: a crash leaves what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    if isinstance(content, str):
        content = content.encode("utf-8")
    fresh.write_bytes(content)
    os.replace(fresh, path)


def json_lines(path):
    """The rows of a file that grows; a line that was cut off is none."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError):
            rows.append(json.loads(line))
    return rows


def sha256(data):
    return hashlib.sha256(data).hexdigest()

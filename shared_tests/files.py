"""Files: where the repo is, written whole or not at all, rows, digests.

Imports nothing of this repo.
"""

import contextlib
import errno
import hashlib
import json
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent


class NotWritten(OSError):
    """Says which file, and why; what was there is as it was."""

    def __init__(self, path, error):
        why = error.strerror or error
        super().__init__(f"{shown(path)} could not be written: {why}")


def shown(path):
    """As a reader knows it: inside the repo without where that is."""
    path = pathlib.Path(path)
    return path.relative_to(ROOT) if ROOT in path.parents else path


def write(path, content):
    """Text or bytes, whole or not at all: a crash leaves what was there.

    Raises: NotWritten
    """
    # another process may be writing the same file
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    if isinstance(content, str):
        content = content.encode("utf-8")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(content)
        os.replace(fresh, path)
    except OSError as error:
        raise NotWritten(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink()


def append(path, row):
    """One row of JSON more, at the end of a file that grows.

    Raises: NotWritten
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b", buffering=0) as file:
            line = f"{json.dumps(row)}\n".encode()
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                # a row that was cut off must not spoil this one
                line = line if file.read(1) == b"\n" else b"\n" + line
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise NotWritten(path, error) from None


def json_lines(path):
    """The rows of a file that grows; a line that was cut off is none."""
    rows = []
    text = path.read_text(errors="replace") if path.exists() else ""
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            rows.append(json.loads(line))
    return rows


def sha256(data):
    return hashlib.sha256(data).hexdigest()

"""Docstrings of the standard library as ids of words: texts.safetensors.

python3.11 -m shared_tests.real_data.make_texts      NumPy, safetensors

x       (texts, WORDS) uint16: of each docstring of at least WORDS words
        the first WORDS, each as 1 of VOCABULARY ids: CRC-32 of the word
target  (texts) uint8: which of GROUPS the module is of
The texts themselves are not kept. Another release of Python has other
docstrings, so the ids are committed with the release that they are of,
and with SHA-256 over x and target, in the metadata of the file.
"""

import ast
import pathlib
import platform
import re
import sysconfig
import zlib

import numpy as np
from safetensors.numpy import save

from shared_tests.files import sha256, write

DATA = pathlib.Path(__file__).resolve().parent / "data"
WORDS, VOCABULARY, MOST = 16, 512, 600

# packages, whose modules are all taken, and modules
GROUPS = {
    "network": "email http urllib xmlrpc wsgiref smtplib ftplib poplib"
    " imaplib nntplib telnetlib socket ssl socketserver mailbox",
    "concurrency": "asyncio concurrent multiprocessing threading queue"
    " sched selectors subprocess contextvars signal",
    "windows": "tkinter turtle turtledemo",
    "tools": "inspect ast dis traceback tokenize pydoc doctest pdb bdb"
    " cmd code unittest argparse optparse logging trace profile timeit"
    " tracemalloc",
}


def files(library, name):
    folder = library / name
    if folder.is_dir():
        found = sorted(folder.rglob("*.py"))
        return [p for p in found if not {"test", "tests"} & {*p.parts}]
    return [library / f"{name}.py"]


def docstrings(path):
    kinds = ast.Module, ast.ClassDef, ast.FunctionDef
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, (*kinds, ast.AsyncFunctionDef)):
            yield ast.get_docstring(node) or ""


def id_of(word):
    return zlib.crc32(word.encode()) % VOCABULARY


def texts(library):
    """{row of ids: group}: what two of them say is said once."""
    found = {}
    for group, names in enumerate(GROUPS.values()):
        mine = {}
        for name in names.split():
            for path in files(library, name):
                for text in docstrings(path):
                    words = re.findall("[a-z]+", text.lower())[:WORDS]
                    if len(words) == WORDS:
                        mine[tuple(map(id_of, words))] = group
        # as many of each, from the whole of the group
        rows = list(mine)
        chosen = np.linspace(0, len(rows) - 1, min(MOST, len(rows)))
        found |= {rows[int(i)]: group for i in chosen}
    return found


def main():
    found = texts(pathlib.Path(sysconfig.get_path("stdlib")))
    x = np.array(list(found), np.uint16)
    target = np.array(list(found.values()), np.uint8)
    about = {
        "python": platform.python_version(),
        "sha256": sha256(x.tobytes() + target.tobytes()),
    }
    data = save(dict(x=x, target=target), metadata=about)
    write(DATA / "texts.safetensors", data)
    print(f"{len(x)} texts, {np.bincount(target)}, {len(data)} bytes")


if __name__ == "__main__":
    main()

"""In .venv/ports: run items, and answer with one line of JSON for each.

python -m shared_tests.ports.worker PART NAME [PART NAME ...]
"""

import importlib
import json
import sys
import time

from shared_tests.processes import answers


def answer(part, name):
    """{"rows"} of an item, or {"error"}: the next item is not lost."""
    start = time.monotonic()
    try:
        module = importlib.import_module(f"shared_tests.ports.{part}")
        found = dict(rows=module.run(name))
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        found = dict(rows=[], error=text[:400])
    found["seconds"] = round(time.monotonic() - start, 1)
    return found


def main(words):
    with answers() as out:
        from shared_tests.ports import compat  # noqa: F401

        for part, name in zip(words[::2], words[1::2]):
            line = json.dumps(answer(part, name))
            out.write(f"{line}\n".encode())
            out.flush()


if __name__ == "__main__":
    main(sys.argv[1:])

"""The Python of docs/ports/deviations.md, run as it stands there."""

import contextlib
import io
import re

from shared_tests.files import ROOT

PAGE = ROOT / "docs" / "ports" / "deviations.md"


def blocks(text):
    """{heading: its Python}; what stands before all headings is ""."""
    parts = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)
    named = dict(zip(["", *parts[1::2]], parts[::2]))
    return {
        heading: "".join(re.findall(r"```python\n(.*?)```", part, re.S))
        for heading, part in named.items()
    }


def printed(heading, text):
    """What the reproduction under a heading prints, in one line."""
    found = blocks(text)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(found[""] + found[heading], {"__name__": heading})
    return " ".join(said.getvalue().split())

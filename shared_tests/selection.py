"""Selection: what a word given to make stands for.

LAYER       layers (Linear), pages (linear, quantization/lsq) or how a
            case's id begins (Linear-basic, attention_t)
FRAMEWORKS  pytorch, jax, tf, mxnet
PRECISION   float64, float32, bfloat16, float16
Each is a list with commas or spaces; an empty one stands for all.
"""

import ast
import difflib
from typing import NamedTuple

from shared_tests.cases import CASES
from shared_tests.environments import FRAMEWORKS
from shared_tests.files import ROOT

PRECISIONS = ("float64", "float32", "bfloat16", "float16")


class Unknown(Exception):
    """A word that stands for nothing; says which and what is near."""


class Part(NamedTuple):
    """What was asked for; text is empty where that is everything."""

    text: str
    cases: frozenset  # their ids
    frameworks: tuple
    precisions: tuple


def close(word, known):
    """Near matches as a question, or nothing."""
    lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), lower)
    names = " or ".join(lower[name] for name in near)
    return f"; did you mean {names}?" if names else ""


def words(text):
    return text.replace(",", " ").split()


def page_layers():
    """{page: its public names}, read from pytorch_impl's imports."""
    text = (ROOT / "pytorch_impl" / "__init__.py").read_text()
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom):
            page = node.module.split(".", 1)[1].replace(".", "/")
            found[page] = [alias.name for alias in node.names]
    return found


def cases_of(word):
    """The ids that one word stands for: the closest meaning it has."""
    pages = page_layers()
    names = next(
        (
            pages[page]
            for page in pages
            if word in (page, page.split("/")[-1])
        ),
        [],
    )
    layers = {case.layer for case in CASES}
    if word in layers:
        found = {case.id for case in CASES if case.layer == word}
    elif layers.intersection(names):
        found = {case.id for case in CASES if case.layer in names}
    else:
        found = {case.id for case in CASES if case.id.startswith(word)}
    if not found:
        known = [case.id for case in CASES] + sorted(layers) + [*pages]
        raise Unknown(
            "LAYER expected layers, pages or the beginning of a case's "
            f"id, got {word!r}{close(word, known)}"
        )
    return found


def chosen(name, text, known):
    """Those of known that text names, in the order of known."""
    for word in words(text):
        if word not in known:
            want = f"{name} expected some of {', '.join(known)}"
            near = close(word, known)
            raise Unknown(f"{want}, got {word!r}{near}")
    return tuple(x for x in known if x in words(text)) or tuple(known)


def part(layer="", frameworks="", precision=""):
    """Part; raises Unknown."""
    asked = {
        "LAYER": layer,
        "FRAMEWORKS": frameworks,
        "PRECISION": precision,
    }
    ids = {case.id for case in CASES}
    if words(layer):
        ids = set().union(*map(cases_of, words(layer)))
    return Part(
        described(asked),
        frozenset(ids),
        chosen("FRAMEWORKS", frameworks, FRAMEWORKS),
        chosen("PRECISION", precision, PRECISIONS),
    )


def described(asked):
    """LAYER=attention FRAMEWORKS=jax: what was given, nothing else."""
    return " ".join(
        f"{name}={','.join(words(text))}"
        for name, text in asked.items()
        if words(text)
    )

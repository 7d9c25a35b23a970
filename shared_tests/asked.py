"""What the table of cases asks for: rows that must come, once, and right.

What came is held against this, never against itself: a fixture without a
reference, or a worker that leaves something out, must not make the answer
smaller than the question. The question, for each case, is
    out.<name>        its output
    grad.<name>       of every floating input and of every parameter
    trained.<name>    the loss and every parameter, of a training run
in each precision and mode (run.py), in each framework. Only what its
adapter declares in UNSUPPORTED may, and has to, come as "unsupported".
"""

import ast
import json

from shared_tests.fixture_files import (
    FixtureError,
    asked_of,
    read_fixture,
)
from shared_tests.kept import adapter_of, compiler

# pages whose compiled form needs a C++ compiler on this machine
BUILT = {"pytorch": ("*", "*", "compiled")}
QUOTED = 200  # characters of what was wrong
NAMED = 3  # rows that are missing


# region question
def question(wanted, manifest, fixtures):
    """{run: {array: (kind, elements)}}, elements of its reference."""
    known, found = {}, {}
    for case, precision, mode in wanted:
        if case.id not in known:
            try:
                fixture = read_fixture(case, manifest, fixtures)
            except FixtureError:
                fixture = {}  # the processes will say it
            kinds = asked_of(case, fixture)
            sizes = {n: fixture.get(f"ref.{n}") for n in kinds}
            known[case.id] = {
                name: (kinds[name], 0 if ref is None else ref.size)
                for name, ref in sizes.items()
            }
        found[f"{case.id}.{precision}.{mode}"] = known[case.id]
    return found


def declared(framework):
    """Keys of UNSUPPORTED, read without importing the adapter."""
    found = set()
    for node in ast.parse(adapter_of(framework).read_text()).body:
        if ast.unparse(node).startswith("UNSUPPORTED ="):
            found |= {ast.literal_eval(k) for k in node.value.keys}
    if framework in BUILT and compiler() is None:
        found.add(BUILT[framework])
    return found


def lacks(table, layer, precision, mode):
    """Is it in a table of declared()?"""
    row = layer, precision, mode
    return any(
        all(want in ("*", got) for want, got in zip(key, row))
        for key in table
    )


# endregion


# region answer
def run_of(row):
    return "{layer}-{case}.{precision}.{mode}".format(**row)


def wrong_row(row, framework, question, table):
    """What is wrong with one row, in words; "" if nothing is.

    question: as from question(); table: as from declared()
    """
    if row["framework"] != framework:
        return f"the row of another framework, {row['framework']!r}"
    asked = question.get(run_of(row), {}).get(row["array"])
    if asked is None:
        return "a row that nobody asked for"
    kind, size = asked
    word, ratio = row["verdict"], row["ratio"]
    lacking = lacks(
        table, *(row[k] for k in ("layer", "precision", "mode"))
    )
    if word == "unsupported":
        if not lacking:
            return "unsupported, but its adapter does not declare it"
        if ratio is not None or row["elements"] or not row["detail"]:
            return "unsupported, expected a reason and no numbers"
    elif lacking:
        return "judged, though its adapter declares it unsupported"
    elif word not in ("pass", "fail"):
        return (
            f"verdict expected pass, fail or unsupported, got {word!r}"
        )
    elif row["kind"] != kind and word == "pass":
        return f"kind expected {kind}, got {row['kind']!r}"
    elif row["elements"] != size and word == "pass":
        return f"elements expected {size}, got {row['elements']}"
    elif not is_ratio(ratio, word):
        want = "0 to 1" if word == "pass" else "at least 0, or null"
        return f"ratio expected {want}, got {ratio!r}"
    return ""


def is_ratio(ratio, word):
    """Of a pass: from 0 to 1; of a failure a number, or none."""
    if word == "pass":
        return ratio is not None and 0 <= ratio <= 1
    return ratio is None or 0 <= ratio < float("inf")


def missing(rows, question):
    """Which rows did not come, in words; "" if all did."""
    came = {(run_of(row), row["array"]) for row in rows}
    asked = [(run, name) for run in question for name in question[run]]
    left = [key for key in asked if key not in came]
    if not left:
        return ""
    names = ", ".join(" ".join(key) for key in left[:NAMED])
    more = f" and {len(left) - NAMED} more" if left[NAMED:] else ""
    return (
        f"{len(left)} of the {len(asked)} rows that the table of cases "
        f"asks for are missing: {names}{more}"
    )


# endregion


# region events
TEXT, NUMBER = (str,), (int, float)
EVENTS = {
    "hello": {"total": (int,), "versions": (dict,), "sources": (dict,)},
    "start": {"case": TEXT, "mode": TEXT, "precision": TEXT},
    "row": {
        **dict.fromkeys(("framework", "layer", "case", "mode"), TEXT),
        **dict.fromkeys(("precision", "array", "kind"), TEXT),
        **dict.fromkeys(("verdict", "detail"), TEXT),
        "elements": (int,),
        "ratio": (*NUMBER, type(None)),
    },
    "end": {"run": TEXT, "seconds": NUMBER},
    "error": {"message": TEXT},
    "done": {},
}


class Wrong(Exception):
    """What a process printed is no event; says why."""


def event_of(line):
    """The event on one line, of the words and keys that run.py writes."""
    try:
        event = json.loads(line)
        line.decode()
        json.dumps(event, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # or bytes that are no UTF-8
        raise Wrong("no JSON") from None
    if not isinstance(event, dict) or "event" not in event:
        raise Wrong("JSON without an event")
    known = ", ".join(EVENTS)
    word = event["event"]
    if not isinstance(word, str) or word not in EVENTS:
        raise Wrong(f"event expected one of {known}, got {word!r}")
    want = EVENTS[word]
    if event.keys() - {"event"} != want.keys():
        keys = ", ".join(sorted(event.keys() - {"event"}))
        raise Wrong(
            f"{word} expected the keys {', '.join(sorted(want))}, got {keys}"
        )
    for key, kinds in want.items():
        if type(event[key]) not in kinds:
            names = " or ".join(k.__name__ for k in kinds)
            got = type(event[key]).__name__
            raise Wrong(f"{word}: {key} expected {names}, got {got}")
    for key in ("versions", "sources"):
        for name in event.get(key, ()):
            if type(event[key][name]) is not str:
                raise Wrong(f"{word}: {key} expected texts")
    return event


def quoted(line):
    """The beginning of a line, readable whatever is in it."""
    text = line.decode(errors="backslashreplace").strip()
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}..."


# endregion

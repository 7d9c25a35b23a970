"""Every lie a worker can tell: parity names it, quotes it, and goes on.

A small script that prints prepared lines stands in for each framework's
process. One lies; the other three are reported whole.
"""

import json
import sys

import numpy as np
import pytest

from shared_tests import asked, parity, run
from shared_tests.cases import CASES
from shared_tests.environments import FRAMEWORKS, TITLES
from shared_tests.fixture_files import (
    FIXTURES,
    asked_of,
    read_fixture,
    read_manifest,
)

ENVIRONMENTS = ("tools",)

LIAR = "tf"
PART = ("--layer", "Linear-basic", "--precision", "float32,bfloat16")
WANTED = [
    one
    for one in run.runs()
    if one[0].id == "Linear-basic" and one[1] in ("float32", "bfloat16")
]
PLAY = """
import shutil, sys
with open(sys.argv[1], "rb") as lines:
    shutil.copyfileobj(lines, sys.stdout.buffer)
    sys.stdout.flush()
"""
ENDLESS = PLAY + "while True: sys.stdout.write({word!r})"


def honest(framework):
    """The events of a worker that does what is asked of it."""
    table = asked.declared(framework)
    question = asked.question(WANTED, read_manifest(), FIXTURES)
    events = [
        {"event": "hello", "total": len(run.runs())}
        | {"versions": {"numpy": "1"}, "sources": {}}
    ]
    for case, precision, mode in WANTED:
        where = {"mode": mode, "precision": precision}
        events.append({"event": "start", "case": case.id} | where)
        name = run.run_name(case, precision, mode)
        lacking = asked.lacks(table, case.layer, precision, mode)
        for array, (kind, size) in question[name].items():
            one = {"event": "row", "framework": framework} | where
            one |= {"layer": case.layer, "case": case.name}
            one |= {"array": array, "kind": kind}
            told = {"elements": size, "ratio": 0.25, "verdict": "pass"}
            if lacking:
                told = {"elements": 0, "ratio": None}
                told |= {"verdict": "unsupported"}
            events.append(one | told | {"detail": "why" * lacking})
        events.append({"event": "end", "run": name, "seconds": 0.1})
    return [*events, {"event": "done"}]


def index(events, word, nth=0):
    found = [i for i, e in enumerate(events) if e["event"] == word]
    return found[nth]


def changed(word="row", **changes):
    """One event of that word says something else."""

    def lie(events):
        events[index(events, word)] |= changes
        return events

    return lie


def without(word, key=None):
    """One event, or one of its keys, is left out."""

    def lie(events):
        if key:
            del events[index(events, word)][key]
        else:
            del events[index(events, word)]
        return events

    return lie


def only(*words):
    return lambda events: [e for e in events if e["event"] in words]


def added(line, before="end"):
    """A line that does not belong there."""

    def lie(events):
        events.insert(index(events, before), line)
        return events

    return lie


def twice(word):
    def lie(events):
        at = index(events, word)
        return [*events[: at + 1], *events[at:]]

    return lie


def unsupported(events):
    told = {"verdict": "unsupported", "ratio": None}
    told |= {"elements": 0, "detail": "not today"}
    return [e | told if e["event"] == "row" else e for e in events]


def nested(depth):
    return b"[" * depth + b"]" * depth


ERROR = {"event": "error", "message": "I give up"}
STRANGE = {"event": "row", "framework": LIAR, "layer": "Linear"}
STRANGE |= {"case": "basic", "mode": "eager", "precision": "float32"}
STRANGE |= {"array": "grad.nothing", "kind": "output", "elements": 1}
STRANGE |= {"ratio": 0.1, "verdict": "pass", "detail": ""}
# name: (the lie, words that the report must have)
LIES = {
    "total 0": (
        lambda events: [events[0] | {"total": 0}, events[-1]],
        "total expected",
    ),
    "nothing run": (only("hello", "done"), "runs never ended"),
    "no rows": (only("hello", "start", "end", "done"), "are missing"),
    "starts without rows": (only("hello", "start", "done"), "missing"),
    "one row less": (without("row"), "1 of the"),
    "nothing said": (lambda events: [], "while starting"),
    "no done": (without("done"), "exit status 0"),
    "no hello": (without("hello"), "before hello"),
    "no start": (without("start"), "outside its run"),
    "no end": (without("end"), "never ended"),
    "hello twice": (twice("hello"), "hello a second time"),
    "start twice": (twice("start"), "started a second time"),
    "row twice": (twice("row"), "a row a second time"),
    "end twice": (twice("end"), "the end of no run"),
    "done twice": (twice("done"), "done after done"),
    "row after done": (lambda e: [*e, STRANGE], "row after done"),
    "error, then done": (added(ERROR, "done"), "I give up"),
    "FAIL": (changed(verdict="FAIL"), "got 'FAIL'"),
    "another word": (changed(verdict="passed"), "got 'passed'"),
    "fail": (
        changed(verdict="fail", ratio=3.5, detail="at [0]: got 1"),
        "at [0]: got 1",
    ),
    "pass above 1": (changed(ratio=1e9), "ratio expected 0 to 1"),
    "pass with NaN": (changed(ratio=float("nan")), "got nan"),
    "pass with infinity": (changed(ratio=float("inf")), "got inf"),
    "pass below 0": (changed(ratio=-0.5), "got -0.5"),
    "pass without ratio": (changed(ratio=None), "0 to 1, got None"),
    "fail with NaN": (
        changed(verdict="fail", ratio=float("nan")),
        "at least 0, or null",
    ),
    "ratio a word": (changed(ratio="0.1"), "ratio expected"),
    "ratio true": (changed(ratio=True), "ratio expected"),
    "fewer elements": (changed(elements=1), "elements expected"),
    "another kind": (changed(kind="trained"), "kind expected output"),
    "another framework": (
        changed(framework="jax"),
        "another framework",
    ),
    "another array": (changed(array="out.z"), "nobody asked for"),
    "another case": (changed(case="vector"), "nobody asked for"),
    "another layer": (changed(layer="MLP"), "nobody asked for"),
    "another mode": (changed(mode="fast"), "nobody asked for"),
    "one row more": (added(STRANGE), "nobody asked for"),
    "another start": (
        changed("start", case="Linear-vector"),
        "nobody asked for",
    ),
    "another end": (changed("end", run="x"), "the end of no run"),
    "all unsupported": (unsupported, "does not declare it"),
    "unknown event": (added({"event": "rows"}), "got 'rows'"),
    "event a number": (added({"event": 5}), "got 5"),
    "event a list": (added({"event": [1]}), "got [1]"),
    "no key": (without("row", "verdict"), "row expected the keys"),
    "one key more": (changed(more=1), "row expected the keys"),
    "no case": (without("start", "case"), "start expected the keys"),
    "no versions": (changed("hello", versions=None), "versions exp"),
    "versions of lists": (
        changed("hello", versions={"a": []}),
        "versions expected texts",
    ),
    "detail a number": (changed(detail=5), "detail expected str"),
    "half a letter": (changed(detail="\ud800"), "no JSON"),
    "text": (added(b"Loading model ..."), "no JSON: Loading model"),
    "a number": (added(b"5"), "JSON without an event: 5"),
    "null": (added(b"null"), "JSON without an event: null"),
    "a list": (added(b'["event"]'), 'event: ["event"]'),
    "no event": (added({"row": 1}), 'without an event: {"row": 1}'),
    "an empty line": (added(b""), "no JSON"),
    "no UTF-8": (added(b"\xff\xfe\x00 5"), r"no JSON: \xff\xfe"),
    "deep": (added(nested(10**5)), "no JSON: [["),
    "a long line": (added(b"x" * 2**24 + b"xx"), "16777216 bytes: xxx"),
}
# name: (what goes on forever, words)
FLOODS = {
    "an endless line": ("y" * 4096, "16777216 bytes: yyy"),
    "endless lines": ("a line\n" * 99, "more than 20 wrong lines"),
}


def written(events):
    """Events as a worker prints them; bytes are printed as they are."""
    lines = [
        e if isinstance(e, bytes) else json.dumps(e).encode()
        for e in events
    ]
    return b"".join(line + b"\n" for line in lines)


@pytest.fixture
def trial(tmp_path, monkeypatch, capsys):
    """trial(lie, program): exit status, results, page, terminal."""

    def trial(lie=None, program=PLAY):
        programs = dict.fromkeys(FRAMEWORKS, PLAY) | {LIAR: program}
        for framework in FRAMEWORKS:
            events = honest(framework)
            if lie and framework == LIAR:
                events = lie(events)
            (tmp_path / framework).write_bytes(written(events))
        monkeypatch.setattr(
            parity,
            "run_command",
            lambda framework, *_: (
                *(sys.executable, "-c", programs[framework]),
                str(tmp_path / framework),
            ),
        )
        monkeypatch.setattr(parity, "CACHE", tmp_path / "cache")
        output = tmp_path / "parity"
        words = ("parity", *PART, "--fresh", "--output", str(output))
        monkeypatch.setattr(sys, "argv", [*words])
        status = parity.main()
        results = json.loads((output / "results.json").read_text())
        page = (output / "index.html").read_text()
        return status, results, page, capsys.readouterr().out

    return trial


def counted(results):
    """{framework: how many rows}"""
    names = [row["framework"] for row in results["rows"]]
    return {name: names.count(name) for name in FRAMEWORKS}


def test_without_a_lie_it_is_green(trial):
    status, results, page, shown = trial()
    assert status == 0, shown
    rows = sum(e["event"] == "row" for e in honest(LIAR))
    assert counted(results) == dict.fromkeys(FRAMEWORKS, rows)
    assert "all within budget" in page and "0 failures" in shown


def check(answer, words):
    status, results, page, shown = answer
    assert status == 1
    said = [line for line in shown.splitlines() if words in line]
    assert said, shown
    assert any(TITLES[LIAR] in x or x.startswith(LIAR) for x in said)
    assert "not within budget" in page
    rows = sum(e["event"] == "row" for e in honest(LIAR))
    for framework, count in counted(results).items():
        if framework != LIAR:
            assert count == rows
            assert results["frameworks"][framework]["wrong"] == []
            assert results["frameworks"][framework]["status"] == "ran"


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_named_and_the_others_are_reported(trial, name):
    lie, words = LIES[name]
    check(trial(lie), words)


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_ended(trial, name):
    word, words = FLOODS[name]
    program = ENDLESS.format(word=word)
    check(trial(lambda events: events[:-1], program), words)


def test_a_crash_after_the_last_word_is_no_success(trial):
    program = PLAY + "sys.exit('too late')"
    check(trial(program=program), "exit status 1: too late")


class Copycat:
    """An adapter that has every right answer, or raises."""

    def __init__(self, references, error=None):
        self.references, self.error = references, error

    def build(self, *_):
        if self.error:
            raise self.error

    def run(self, *_):
        return {
            n: np.asarray(x, "f4") for n, x in self.references.items()
        }

    def unsupported(self, *_):
        return None


@pytest.mark.parametrize("error", [None, ValueError("no such layer")])
@pytest.mark.parametrize(
    "head", ["ref.", "ref.grad.", "sigma.", ("ref.grad.", "cotangent.")]
)
def test_a_fixture_that_lacks_something_asks_for_no_less(head, error):
    (case,) = [case for case in CASES if case.id == "Linear-basic"]
    fixture = read_fixture(case, read_manifest())
    adapter = Copycat(run.group(fixture, "ref"), error)
    poor = {k: x for k, x in fixture.items() if not k.startswith(head)}
    names = ["out.y", "grad.x", "grad.bias", "grad.weight"]
    rows = [*run.rows("jax", adapter, case, "float32", "eager", poor)]
    assert [row["array"] for row in rows] == names
    lost = {n for n in names if f"ref.{n}".startswith(head)}
    lost = set(names) if error or head == "sigma." else lost
    for row in rows:
        failed = row["array"] in lost
        assert row["verdict"] == ("fail" if failed else "pass")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_fixtures_hold_what_the_table_asks_for(case):
    fixture = read_fixture(case, read_manifest())
    names = asked_of(case, fixture)
    assert set(names) == set(run.group(fixture, "ref"))
    assert set(names) == set(run.group(fixture, "sigma"))

"""The matrix of exports turns red when it should: without a framework."""

import importlib
import re

import numpy as np
import pytest

from shared_tests.cases import CASES
from shared_tests.exports import judging, make_exports, report
from shared_tests.exports.artefacts import (
    CHOSEN,
    INT8,
    Artefact,
    artefacts,
    case_of,
    dynamic_of,
    example,
    feeds,
    fixture_of,
    letters_of,
)
from shared_tests.exports.engine import ENGINES, OF_FORMAT, NoPages
from shared_tests.run import group

ENVIRONMENTS = ("tools",)

TABLE = [
    judging.Known("jax", "onnx", "*", "LSQ PACT", "*", judging.FAILS,
                  "no operator", "jax2onnx lacks it"),
]  # fmt: skip


def row(layer="Linear", verdict="pass", ratio=0.5, detail="", **more):
    found = dict(framework="jax", format="onnx", engine="onnxruntime")
    found |= dict(layer=layer, case="basic", precision="float32")
    found |= dict(size="case", verdict=verdict, ratio=ratio)
    return found | dict(detail=detail, dynamic="B") | more


def failing(**more):
    return row(verdict="fail", ratio=None, **more)


@pytest.mark.parametrize(
    "one, words",
    [
        (failing(detail="no operator"), "Linear-basic.* fails: no op"),
        (row("LSQ"), "LSQ-basic.* works now"),
        (
            failing(layer="LSQ", detail="other"),
            "fails otherwise: other",
        ),
    ],
)
def test_what_ends_a_run(one, words):
    _, wrong, _ = judging.judged([row(), one], TABLE)
    (line,) = wrong
    assert re.search(words, line)


def test_what_is_known_ends_no_run():
    known = failing(layer="LSQ", detail="it has no operator for that")
    rows, wrong, unused = judging.judged([row(), known], TABLE)
    assert not wrong and not unused
    assert [r["state"] for r in rows] == ["pass", judging.FAILS]
    assert judging.cell(rows) == ("pass", 0.5, ["jax2onnx lacks it"])
    assert judging.cell(rows[1:])[0] == judging.FAILS
    assert judging.judged([row()], TABLE)[2] == TABLE  # needed no more


def test_no_cell_is_green_that_was_not_run():
    assert judging.cell([])[0] == "none"
    refused = row(verdict="refused", ratio=None, detail="no format")
    rows, wrong, _ = judging.judged([refused], TABLE)
    assert wrong and judging.cell(rows)[0] == judging.FAIL


def results(rows, wrong=()):
    rows, more, _ = judging.judged(rows, TABLE)
    head = dict(schema=1, part="", machine="a machine", versions={})
    return head | dict(rows=rows, wrong=[*wrong, *more])


def test_a_report_counts_and_says_why():
    known = failing(layer="LSQ", detail="no operator <b>")
    good = results([row(), known])
    assert report.succeeded(good)
    assert report.counts(good) == {
        "pass": 1, "fails": 1, "not offered": 0, "fail": 0, "none": 0
    }  # fmt: skip
    page = report.html(good)
    assert "jax2onnx lacks it" in page and "all as expected" in page
    bad = results([row(), failing(detail="<b>")])
    assert not report.succeeded(bad)
    assert "&lt;b&gt;" in report.html(bad) and "<b>" not in report.html(
        bad
    )
    assert not report.succeeded(results([]))
    assert not report.succeeded(results([row()], ["no environment"]))


def test_every_layer_is_in_the_matrix():
    layers = {case.layer for case in CASES if not case.training}
    assert set(CHOSEN) == layers | {INT8}
    for artefact in artefacts():
        assert case_of(artefact)


def test_an_example_has_other_sizes_on_every_dynamic_axis():
    for artefact in artefacts():
        case = case_of(artefact)
        fixture = fixture_of(case)
        inputs, dynamic = (
            group(fixture, "in"),
            dynamic_of(case, fixture),
        )
        made = example(inputs, dynamic)
        assert letters_of(dynamic), case.id
        sizes = {}
        for name, x in made.items():
            for axis in range(x.ndim):
                letter = dynamic.get(name, {}).get(axis)
                same = x.shape[axis] == inputs[name].shape[axis]
                assert same == (letter is None), (case.id, name, axis)
                if letter:
                    sizes.setdefault(letter, set()).add(x.shape[axis])
        assert all(len(found) == 1 for found in sizes.values()), case.id


def test_other_sizes_than_those_of_the_case_are_run():
    artefact = Artefact("Linear", "basic", "float32")
    case = case_of(artefact)
    fixture = fixture_of(case)
    found = feeds(case, fixture, "float32", dynamic_of(case, fixture))
    shapes = {
        n: (x["x"].shape, y.shape) for n, (x, y, _) in found.items()
    }
    assert shapes == {
        "case": ((5, 7), (5, 3)),
        "twice": ((10, 7), (10, 3)),
        "one": ((1, 7), (1, 3)),
    }
    assert np.array_equal(found["one"][1], found["case"][1][:1])


def test_an_engine_imports_no_page():
    with pytest.raises(ImportError, match="an engine imports no page"):
        NoPages().find_spec("pytorch_impl.linear")
    assert NoPages().find_spec("numpy") is None


def test_every_format_has_an_engine():
    wanted = {
        f for formats in make_exports.FORMATS.values() for f in formats
    }
    assert wanted == set(OF_FORMAT)
    assert {e for found in OF_FORMAT.values() for e in found} == set(
        ENGINES
    )
    engine = importlib.import_module("shared_tests.exports.engine")
    assert all(callable(getattr(engine, name)) for name in ENGINES)


def test_what_is_missing_is_a_failure(monkeypatch, tmp_path):
    """An environment, a file that no author wrote, one that nobody ran."""
    place = make_exports.environments
    monkeypatch.setattr(
        place, "environment_error", lambda name: f"no {name}"
    )
    rows, wrong = make_exports.written("jax", ("onnx",), (), tmp_path)
    assert not rows and "jax onnx: no " in wrong[0]
    rows, wrong = make_exports.ran("openvino", "jax", [row()], tmp_path)
    assert not rows and wrong == ["openvino: no exports"]
    every = make_exports.missing([], ("mxnet",), ("Linear",))
    assert len(every) == 2 * len(artefacts(("Linear",)))


def test_what_is_further_off_than_is_known_fails_otherwise():
    """Float64 in float32 explains no other number."""
    table = [TABLE[0]._replace(layer="*", words="", most=2.0**29)]
    for ratio, expected in ((3e7, []), (3e14, ["fails otherwise"])):
        one = row(verdict="fail", ratio=ratio, detail="allowed error")
        _, wrong, _ = judging.judged([one], table)
        assert [
            w.split("float32 (case) ")[1][:15] for w in wrong
        ] == expected


def test_each_row_has_words_of_its_own():
    """Without words a row would excuse any failure."""
    for known in judging.KNOWN:
        assert all(len(w) > 4 for w in known.words.split(" | ")), known

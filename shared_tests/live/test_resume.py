"""Stopped in one framework, continued in another: all 12 ordered pairs.

A part of the table of docs/resume.md, which has the transformer by
every rule.
"""

import itertools

import pytest

from shared_tests.environments import FRAMEWORKS
from shared_tests.live.resume import LIGHT, resumed

ENVIRONMENTS = ("tools",)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return list(resumed(tmp_path_factory.mktemp("resumed"), LIGHT))


def test_every_pair_and_rule(found):
    pairs = list(itertools.permutations(FRAMEWORKS, 2))
    assert len(pairs) == 12
    assert {case.id for case in LIGHT} == {
        "MLP-sgd",
        "MLP-momentum",
        "MLP-adam",
        "TransformerClassifier-adam",
    }
    assert [(f.case.id, f.one, f.other) for f in found] == [
        (case.id, *pair) for case in LIGHT for pair in pairs
    ]


def test_within_the_budget_of_the_unbroken_run(found):
    """Every loss and every parameter, after each of the 20 steps."""
    wrong = [
        f"{f.case.id} {f.one} to {f.other}: {name} {verdict.detail}"
        for f in found
        for name, verdict in f.verdicts.items()
        if not verdict.passed
    ]
    assert not wrong

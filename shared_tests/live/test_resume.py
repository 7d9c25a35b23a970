"""Stopped in one framework, continued in another: all 12 ordered pairs."""

import itertools

import pytest

from shared_tests.environments import FRAMEWORKS
from shared_tests.live.resume import CASES, resumed

ENVIRONMENTS = ("tools",)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return list(resumed(tmp_path_factory.mktemp("resumed")))


def test_every_pair_and_rule(found):
    pairs = list(itertools.permutations(FRAMEWORKS, 2))
    assert len(pairs) == 12
    assert {(f.case.layer, f.case.training["rule"]) for f in found} == {
        (layer, rule)
        for layer in ("MLP", "TransformerClassifier")
        for rule in ("sgd", "momentum", "adam")
    }
    assert [(f.case.id, f.one, f.other) for f in found] == [
        (case.id, *pair) for case in CASES for pair in pairs
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
    for f in found:
        # the second half ran: nothing but rounding is 0 everywhere
        assert len(f.verdicts) > 4

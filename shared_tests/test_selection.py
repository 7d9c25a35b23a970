"""What LAYER, FRAMEWORKS and PRECISION stand for."""

import pytest

from shared_tests.cases import CASES
from shared_tests.environments import FRAMEWORKS
from shared_tests.parity import part_of, wanted_runs
from shared_tests.run import runs
from shared_tests.run_tests import keyword
from shared_tests.selection import PRECISIONS, Unknown, part

ENVIRONMENTS = ("tools",)


def layers(asked):
    return {case.layer for case in CASES if case.id in asked.cases}


def test_nothing_asked_is_everything():
    asked = part()
    assert asked.frameworks == FRAMEWORKS
    assert asked.precisions == PRECISIONS
    assert wanted_runs(asked) == runs()
    assert part_of(asked) is None


@pytest.mark.parametrize(
    "text, want",
    [
        ("attention", {"attention"}),
        ("linear", {"Linear", "LinearReLU"}),
        ("quantization/pact", {"PACT", "pact"}),
        ("Linear-basic", {"Linear"}),
        ("attention_t", {"attention_tiled"}),
        ("Linear, MLP", {"Linear", "MLP"}),
    ],
)
def test_a_layer_a_page_or_how_a_case_begins(text, want):
    assert layers(part(text)) == want


def test_a_case_is_that_case():
    assert part("Linear-basic").cases == {"Linear-basic"}


def test_the_three_together():
    asked = part("MLP", "jax pytorch", "float32")
    assert asked.frameworks == ("pytorch", "jax")
    found = wanted_runs(asked)
    assert {case.layer for case, _, _ in found} == {"MLP"}
    assert {precision for _, precision, _ in found} == {"float32"}
    assert {mode for _, _, mode in found} == {"eager", "compiled"}
    assert part_of(asked) == {
        "asked": "LAYER=MLP FRAMEWORKS=jax,pytorch PRECISION=float32",
        "frameworks": ["pytorch", "jax"],
    }


@pytest.mark.parametrize(
    "words, said",
    [
        (("attenion",), "'attenion'; did you mean attention"),
        (("", "pytroch"), "'pytroch'; did you mean pytorch"),
        (("", "", "float23"), "'float23'; did you mean float32"),
    ],
)
def test_an_unknown_word_is_named_with_what_is_near(words, said):
    with pytest.raises(Unknown) as error:
        part(*words)
    assert "expected" in str(error.value) and said in str(error.value)


def test_a_part_without_any_run_is_an_error():
    with pytest.raises(Unknown, match="at least one run, got none"):
        wanted_runs(part("HalfSpectrum", precision="float16"))


def test_tests_are_chosen_by_the_same_words():
    assert keyword("attention, Linear-basic") == (
        "attention or Linear-basic"
    )
    assert keyword("quantization/pact") == "pact"
    with pytest.raises(Unknown):
        keyword("attenion")

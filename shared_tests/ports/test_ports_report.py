"""The tables from rows: what counts as off, and who rejected it."""

import pytest

from shared_tests.ports import report

ENVIRONMENTS = ("tools",)


def found(ratio, close=0.1, elements=10):
    return {
        "budget": ratio,
        "abs 1e-5": close,
        "assert_close": close,
        "allclose": close,
        "elements": elements,
    }


def row(port, factor=1.0, **arrays):
    return dict(port=port, seed=0, factor=factor, arrays=arrays)


def item(name, *rows, **more):
    return dict(part="families", name=name, rows=list(rows), **more)


ITEMS = [
    item(
        "right", row("torch", y=found(0.2)), row("tf", y=found(0.9, 3))
    ),
    item(
        "wrong",
        row("torch", x=found(0.1), y=found(0.3)),
        row("tf", x=found(0.1), y=found(7.0), z=found(9.0)),
        row("tf", 6.0, x=found(0.1), y=found(70.0, 2)),
    ),
]


def test_one_array_outside_makes_a_pair_off():
    good, off = report.split(report.by_pair(ITEMS))
    assert list(off) == [("wrong", "tf")]
    assert set(good) == {
        ("right", "torch"),
        ("right", "tf"),
        ("wrong", "torch"),
    }


def test_pairs_that_agree_are_counted_with_those_that_reject_them():
    text = report.agreement(ITEMS)
    # 3 pairs, 3 runs, 40 elements; abs 1e-5 rejects one of them
    assert "| all | 3 | 3 | 40 | 0.90 | 0 | 1 | 1 | 1 |" in text
    assert "| torch | 2 | 2 | 30 | 0.30 | 0 | 0 | 0 | 0 |" in text
    assert "off, not counted above: 1" in text


def test_what_is_off_names_its_first_array_and_who_sees_it():
    (line,) = report.off_table(ITEMS).splitlines()[2:]
    assert "| wrong | tf | `y` | 9.00 | 0 of 1 |" in line
    assert "70.00 | 1 of 1" in line


def test_a_wrong_shape_is_outside():
    wrong = row("tf", y=dict(shape="expected [2], got [3]"))
    assert report.worst(wrong) == float("inf")
    assert report.first_outside(wrong) == "y"


def test_errors_are_shown():
    text = report.errors_table(
        [
            item("a", error="exit status 3"),
            item("b", dict(port="tf", error="a | b")),
        ]
    )
    assert "| a | all | exit status 3 |" in text
    assert "| b | tf | a \\| b |" in text
    assert report.errors_table(ITEMS) == "None."


def test_faults_are_right_where_the_first_array_is_the_expected():
    def planted(first, expected):
        arrays = {
            name: found(5.0 if name >= first else 0.1)
            for name in ("x", "y", "z")
        }
        return dict(
            **row("flax", **arrays), fault="f", expected=expected
        )

    rows = [planted("y", "y"), planted("x", "y")]
    text = report.faults_table([item("bert", *rows)])
    assert "| f | 1 of 2 | 5.00 |" in text


def test_the_tutorial_passes_its_own_criterion():
    rows = [
        row("as described", **{"out.block_0": found(20.0)}),
        row("repaired", **{"out.block_0": found(0.2)}),
    ]
    rows = [each | {"passes 1e-1": True} for each in rows]
    text = report.tutorial_table([item("vit", *rows)])
    described = "| as described | 1 | 20.00 to 20.00 | `out.block_0` |"
    assert f"{described} 1 of 1 |" in text
    assert "| repaired | 1 | 0.20 to 0.20 | - | 1 of 1 |" in text


def test_a_block_is_replaced_and_nothing_else():
    text = "a\n<!-- errors -->\nold\n<!-- /errors -->\nb\n"
    new = report.replaced(text, dict(items=ITEMS))
    assert new == "a\n<!-- errors -->\nNone.\n<!-- /errors -->\nb\n"
    assert report.replaced(new, dict(items=ITEMS)) == new


@pytest.mark.parametrize(
    "text", ["<!-- errors -->\n", "<!-- nothing -->\n<!-- /nothing -->"]
)
def test_a_block_that_cannot_be_filled_is_an_error(text):
    with pytest.raises(ValueError, match="expected one"):
        report.replaced(text, dict(items=ITEMS))

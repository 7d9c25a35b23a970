"""The table of layouts: its page, and the other table of the repo."""

import numpy as np
import pytest

from shared_tests.layers import builtin_table
from shared_tests.roundoff.maps.entries import total
from shared_tests.roundoff.maps.layouts import layout

ENVIRONMENTS = ("tools",)

LAYOUTS = builtin_table.layouts()
SIZES = {"C": 12, "H": 3, "G": 3, "D": 4}
SIZES |= {"HD": 12, "HD+GD": 24, "HD+2GD": 36}
ATTENTION = {
    "qkv.weight": (36, 12),
    "qkv.bias": (36,),
    "out.weight": (12, 12),
    "out.bias": (12,),
}
# (ours, PyTorch's, its sizes, shapes of ours)
SAME = [
    ("Linear", "Linear", {}, {"weight": (3, 7), "bias": (3,)}),
    (
        "StandardizedConv2d",
        "Conv2d",
        {},
        {"weight": (5, 2, 3, 4), "bias": (5,)},
    ),
    ("RMSNorm", "RMSNorm", {}, {"weight": (7,)}),
    (
        "MultiHeadAttention",
        "MultiheadAttention",
        dict(embed_dim=12, num_heads=3),
        ATTENTION,
    ),
]
PORTS = {"jax": "nnx", "tf": "keras", "mxnet": "gluon"}


def test_the_page_is_that_of_the_tables():
    text = builtin_table.PAGE.read_text()
    assert text == builtin_table.written(text)


def resolved(entry):
    if isinstance(entry, str):
        return entry
    return {
        word: value
        if word == "from"
        else [SIZES.get(n, n) for n in value]
        for word, value in entry.items()
    }


def laid_out(entries, arrays):
    return {n: total(resolved(e), arrays) for n, e in entries.items()}


@pytest.mark.parametrize("framework", PORTS)
@pytest.mark.parametrize(
    "ours, theirs, sizes, shapes", SAME, ids=[s[0] for s in SAME]
)
def test_both_tables_say_the_same(
    framework, ours, theirs, sizes, shapes
):
    """From ours to a port is from ours to PyTorch, and on from there."""
    if ours not in LAYOUTS[framework]:
        words = "is there for"
        with pytest.raises(ValueError, match=words):
            layout(theirs, PORTS[framework])
        return
    rng = np.random.default_rng(0)
    arrays = {n: rng.normal(size=shape) for n, shape in shapes.items()}
    torch = laid_out(LAYOUTS["pytorch"][ours][theirs], arrays)
    onwards = layout(theirs, PORTS[framework], **sizes)
    for entries in LAYOUTS[framework][ours].values():
        direct = laid_out(entries, arrays)
        assert set(direct) == set(onwards)
        for name, entry in onwards.items():
            assert np.array_equal(direct[name], total(entry, torch))

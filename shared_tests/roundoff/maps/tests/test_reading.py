"""The map is read off where index-numbered weights went."""

import numpy as np
import pytest

from shared_tests.roundoff.maps.entries import sources
from shared_tests.roundoff.maps.reading import number, read_entry
from shared_tests.roundoff.maps.weights import forward

ENVIRONMENTS = ("tools",)

H, D, E = 3, 2, 5  # heads, width of one, features
SHAPES = {
    "first": (7,),
    "q": (H * D, E),
    "k": (H * D, E),
    "small": (D, E),
    "square": (6, 6),
    "fused": (3 * H * D, E),
    "unequal": ((H + 2) * D, E),
    "conv": (4, 3, 2, 5),
    "transposed conv": (3, 4, 2, 5),
    "fc": (4, 3 * 2 * 5),
    "bias": (3 * H * D,),
    "one": (1,),
    "scalar": (),
}
NUMBERS = number({n: np.zeros(s, "f4") for n, s in SHAPES.items()})
N = NUMBERS
HEADS = N["fused"].reshape(H, 3, D, E)  # q, k, v of each head in turn


def interleave(*parts):
    whole = np.stack([p.reshape(H, D, E) for p in parts], axis=1)
    return whole.reshape(-1, E)


LAYOUTS = {
    "same": N["q"],
    "transposed": N["q"].T,
    "transposed square": N["square"].T,
    "scalar": N["scalar"],
    "one": N["one"],
    "another rank": N["one"].reshape(()),
    "heads apart": N["q"].T.reshape(E, H, D),
    "heads first": N["q"].reshape(H, D, E).transpose(0, 2, 1),
    "channels last": N["conv"].transpose(2, 3, 1, 0),
    "flipped": N["transposed conv"][:, :, ::-1, ::-1].transpose(
        2, 3, 0, 1
    ),
    "one axis flipped": N["conv"][:, :, ::-1],
    "flattened image": N["fc"]
    .reshape(4, 3, 2, 5)
    .transpose(2, 3, 1, 0)
    .reshape(-1, 4),
    "rotary halves": N["q"]
    .reshape(H, D // 2, 2, E)
    .transpose(0, 2, 1, 3)
    .reshape(H * D, E),
    "a third": N["fused"][H * D : 2 * H * D].T,
    "a part": N["unequal"][H * D : (H + 1) * D].T,
    "a corner": N["conv"][1:3, :, :, 2:],
    "of every head": HEADS[:, 1].reshape(H * D, E).T,
    "the last of every head": HEADS[:, 2].transpose(2, 0, 1),
    "a bias of every head": N["bias"].reshape(H, 3, D)[:, 0],
    "joined": np.concatenate([N["q"], N["k"], N["small"]]),
    "joined and transposed": np.concatenate([N["q"], N["k"]]).T,
    "in turns": interleave(N["q"], N["k"]),
    "in turns, transposed": interleave(N["q"], N["k"]).T,
    "gates in another order": np.concatenate(
        [N["fused"][i * 6 : (i + 1) * 6].T for i in (1, 0, 2)], axis=1
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_read(name):
    places = LAYOUTS[name]
    entry = read_entry(places, NUMBERS)
    assert entry is not None
    rng = np.random.default_rng(0)
    arrays = {n: rng.standard_normal(s) for n, s in SHAPES.items()}
    flat = np.concatenate([a.ravel() for a in arrays.values()])
    made = forward({"w": entry}, arrays)["w"]
    assert np.array_equal(made, flat[places - 1])
    assert set(sources(entry)) <= set(SHAPES)


def test_plain_layouts_read_plainly():
    for name, entry in {
        "same": "q",
        "transposed": {"from": "q", "transpose": [1, 0]},
        "heads apart": {
            "from": "q",
            "transpose": [1, 0],
            "reshape": [E, H, D],
        },
        "channels last": {"from": "conv", "transpose": [2, 3, 1, 0]},
        "a part": {
            "from": {"from": "unequal", "slice": [0, 6, 8]},
            "transpose": [1, 0],
        },
        "joined": {"concat": ["q", "k", "small"], "axis": 0},
    }.items():
        assert read_entry(LAYOUTS[name], NUMBERS) == entry


BLOCKS = {
    "the same twice": np.concatenate([N["small"], N["small"]]),
    "thirds in another order": np.concatenate(
        [N["fused"][12:], N["fused"][:6], N["fused"][6:12]]
    ),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_of_one_array_are_joined(name):
    entry = read_entry(BLOCKS[name], NUMBERS)
    assert list(entry) == ["concat", "axis"]


@pytest.mark.parametrize(
    "places",
    [
        np.zeros((2, 2), int),
        np.where(N["q"] == N["q"][1, 1], 0, N["q"]),
        np.random.default_rng(1).permutation(N["conv"].ravel()),
        np.zeros((0, 2), int),
        np.diag(N["square"])[[0, 3, 1, 5, 4, 2]],
        np.full(3, 10**6),
    ],
)
def test_what_is_no_layout_is_none(places):
    assert read_entry(places, NUMBERS) is None

"""Maps between the weights of two sides: exact, invertible, refused."""

import json

import numpy as np
import pytest

from shared_tests.roundoff.maps.weights import (
    backward,
    expand,
    forward,
    inverse,
    leftover,
)

ENVIRONMENTS = ("tools",)

H, D, E = 3, 2, 6  # heads, width of one, features


def whole(seed, *shape):
    """Whole numbers as float32: sums and products of them are exact."""
    rng = np.random.default_rng(seed)
    return rng.integers(-9, 10, shape).astype(np.float32)


ARRAYS = {
    "q.weight": whole(1, E, E),
    "k.weight": whole(2, E, E),
    "v.weight": whole(3, 2 * D, E),
    "qkv.weight": whole(4, 3 * E, E),
    "conv.weight": whole(5, 5, 4, 3, 2),
    "b_ih": whole(6, 4 * E),
    "b_hh": whole(7, 4 * E),
    "fc.weight": whole(8, 7, 5 * 3 * 2),
    "scale": whole(9),
}
A = ARRAYS
CONCAT = {"concat": ["q.weight", "k.weight", "v.weight"]}
FLATTENED = {
    "from": {"from": "fc.weight", "reshape": [7, 5, 3, 2]},
    "transpose": [2, 3, 1, 0],
    "reshape": [-1, 7],
}
BIASES = [
    {"add": [{"from": b, "split": [0, i, 4]} for b in ("b_ih", "b_hh")]}
    for i in range(4)
]
MIXED = {  # one part is a sum, the other is not
    "concat": [BIASES[0], {"from": "b_hh", "slice": [0, 2, 5]}],
    "flip": [0],
}
# name: (entry, what it has to be)
ENTRIES = {
    "same": ("q.weight", A["q.weight"]),
    "scalar": ("scale", A["scale"]),
    "transposed": (
        {"from": "q.weight", "transpose": [1, 0]},
        A["q.weight"].T,
    ),
    "heads": (
        {"from": "q.weight", "transpose": [1, 0], "reshape": [E, H, D]},
        A["q.weight"].T.reshape(E, H, D),
    ),
    "split": (
        {"from": "qkv.weight", "split": [0, 1, 3]},
        A["qkv.weight"][E : 2 * E],
    ),
    "slice of an inner axis": (
        {"from": "conv.weight", "slice": [2, 1, 3]},
        A["conv.weight"][:, :, 1:3],
    ),
    "flipped": (
        {"from": "conv.weight", "flip": [2, 3]},
        A["conv.weight"][:, :, ::-1, ::-1],
    ),
    "fused": (
        {**CONCAT, "transpose": [1, 0]},
        np.concatenate(
            [A[n] for n in ("q.weight", "k.weight", "v.weight")]
        ).T,
    ),
    "flattened image": (
        FLATTENED,
        A["fc.weight"]
        .reshape(7, 5, 3, 2)
        .transpose(2, 3, 1, 0)
        .reshape(-1, 7),
    ),
    "one bias for two": (
        {"add": ["b_ih", "b_hh"]},
        A["b_ih"] + A["b_hh"],
    ),
    "gates in another order": (
        {"concat": [BIASES[i] for i in (2, 0, 3, 1)]},
        (A["b_ih"] + A["b_hh"]).reshape(4, E)[[2, 0, 3, 1]].ravel(),
    ),
    "a sum beside none": (
        MIXED,
        np.concatenate([A["b_ih"][:E] + A["b_hh"][:E], A["b_hh"][2:5]])[
            ::-1
        ],
    ),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_is_what_it_says(name):
    entry, want = ENTRIES[name]
    made = forward(json.loads(json.dumps({"w": entry})), ARRAYS)["w"]
    assert made.dtype == np.float32 and made.shape == want.shape
    assert np.array_equal(made, want)


def dot(one, other):
    return sum(int((a * b).sum()) for a, b in zip(one, other))


@pytest.mark.parametrize(
    "names", [*([n] for n in ENTRIES), list(ENTRIES)]
)
def test_backward_is_the_adjoint(names):
    """<forward(x), g> = <x, backward(g)> for all x and g, exactly."""
    mapping = {n: ENTRIES[n][0] for n in names}
    made = forward(mapping, ARRAYS)
    grads = {
        n: whole(20 + i, *made[n].shape) for i, n in enumerate(made)
    }
    back = backward(mapping, grads, ARRAYS)
    for name, grad in back.items():
        assert grad.shape == ARRAYS[name].shape
        assert grad.dtype == np.float32
    assert dot(made.values(), (grads[n] for n in made)) == dot(
        back.values(), (ARRAYS[n] for n in back)
    )


def test_gradients_of_several_uses_add_up():
    mapping = {"head": "q.weight", "table": "q.weight"}
    grads = {"head": whole(1, E, E), "table": whole(2, E, E)}
    back = backward(mapping, grads, ARRAYS)["q.weight"]
    assert np.array_equal(back, grads["head"] + grads["table"])


def test_the_inverse_undoes_forward():
    names = "same scalar transposed heads flipped fused".split()
    names = [*names, "slice of an inner axis", "flattened image"]
    mapping = {n: ENTRIES[n][0] for n in names}
    back = inverse(mapping, forward(mapping, ARRAYS), ARRAYS)
    assert set(back) == {
        *("q.weight", "k.weight", "v.weight"),
        *("conv.weight", "fc.weight", "scale"),
    }
    for name, array in back.items():
        assert np.array_equal(array, ARRAYS[name])


@pytest.mark.parametrize(
    "mapping, change, words",
    [
        (
            {"b": {"add": ["b_ih", "b_hh"]}},
            {},
            "b is a sum, which has no inverse",
        ),
        (
            {"w": {"from": "qkv.weight", "split": [0, 0, 3]}},
            {},
            "72 of 108 numbers of qkv.weight have no place in the port",
        ),
        (
            {"w": {"concat": ["scale", "scale"]}},
            {},
            r"concat on axis 0 expected shapes .* got \[\(\), \(\)\]",
        ),
        (
            {"head": "q.weight", "table": "q.weight"},
            {"table": whole(77, E, E)},
            "head and table hold different values of q.weight",
        ),
        (
            {"w": {"concat": ["b_ih", "b_ih"]}},
            {"w": whole(78, 8 * E)},
            "w holds two values of one number",
        ),
    ],
)
def test_what_has_no_inverse_is_refused(mapping, change, words):
    with pytest.raises(ValueError, match=words):
        values = forward(mapping, ARRAYS)
        inverse(mapping, {**values, **change}, ARRAYS)


LAYERS = {
    f"layers.{i}.{n}": whole(30 + i, 2, 3) for i in (0, 1) for n in "qk"
}
FUSED = {
    "encoder_*/attention": {"concat": ["layers.*.q", "layers.*.k"]}
}


def test_a_pattern_is_for_every_layer():
    assert expand(FUSED, LAYERS) == {
        f"encoder_{i}/attention": {
            "concat": [f"layers.{i}.q", f"layers.{i}.k"]
        }
        for i in "01"
    }
    made = forward(FUSED, LAYERS)["encoder_1/attention"]
    pair = [LAYERS["layers.1.q"], LAYERS["layers.1.k"]]
    assert np.array_equal(made, np.concatenate(pair))


def test_an_exact_name_wins_over_a_pattern():
    mapping = {"l*.q": "layers.*.q", "l1.q": "layers.1.k"}
    assert expand(mapping, LAYERS) == {
        "l0.q": "layers.0.q",
        "l1.q": "layers.1.k",
    }


def test_stars_of_a_name_stay_apart():
    mapping = {"l*/p*": {"from": "layers.*.*", "transpose": [1, 0]}}
    full = expand(mapping, LAYERS)
    assert full["l1/pk"] == {"from": "layers.1.k", "transpose": [1, 0]}
    assert len(full) == 4


def test_every_name_is_mapped_or_left_over():
    mapping = {"l*.q": "layers.*.q"}
    left = leftover(mapping, LAYERS, ["l0.q", "l1.q", "step"])
    assert left == (["layers.0.k", "layers.1.k"], ["step"])
    with pytest.raises(ValueError, match=r"no .l1\.q.; it has"):
        leftover(mapping, LAYERS, ["l0.q", "l1_q"])


@pytest.mark.parametrize(
    "entry, words",
    [
        ("fc.wieght", "w takes 'fc.wieght', which .* has fc.weight"),
        ({}, "an entry expected a name or"),
        ({"from": "scale", "add": []}, "an entry expected a name or"),
        (3, "an entry expected a name or"),
        ({"from": "scale", "permute": [0]}, r"got \['permute'\]"),
        ({"from": "scale", "axis": 0}, r"got \['axis'\]"),
        ({"concat": "scale"}, "'concat' expected a list"),
        ({"add": []}, "'add' expected a list"),
        (
            {"from": "q.weight", "transpose": [0, 1, 2]},
            r"w: transpose expected what fits shape \(6, 6\)"
            r", got \[0, 1, 2\]",
        ),
        (
            {"from": "q.weight", "reshape": [5, -1]},
            r"w: reshape expected what fits shape \(6, 6\)"
            r", got \[5, -1\]",
        ),
        ({"from": "q.weight", "reshape": [36, 2]}, "reshape expected"),
        (
            {"from": "q.weight", "reshape": [-1, -1]},
            "reshape expected",
        ),
        ({"from": "q.weight", "split": [0, 0, 4]}, "split expected"),
        ({"from": "q.weight", "split": [0, 3, 3]}, "split expected"),
        ({"from": "q.weight", "slice": [2, 0, 1]}, "slice expected"),
        ({"from": "q.weight", "slice": [0, 3, 7]}, "slice expected"),
        ({"from": "q.weight", "flip": [2]}, "flip expected"),
        (
            {"add": ["q.weight", "b_ih"]},
            r"w: add expected one shape, got \[\(6, 6\), \(24,\)\]",
        ),
        (
            {"concat": ["q.weight", "v.weight"], "axis": 1},
            r"w: concat on axis 1 expected .*\(6, 6\), \(4, 6\)",
        ),
    ],
)
def test_a_bad_entry_says_what_fits(entry, words):
    with pytest.raises(ValueError, match="weights map: .*" + words):
        forward({"w": entry}, ARRAYS)


@pytest.mark.parametrize(
    "mapping, words",
    [
        ({"l*": "layers.0.q"}, "'l\\*' has 1 stars, .* as many, got"),
        ({"l*": "layers.*.*"}, "has 1 stars"),
        ({"l*": "blocks.*.q"}, "no name of the PyTorch module is like"),
        (
            {"*.q": "layers.*.q", "*.*": "layers.*.*"},
            "0.q has two entries, of '\\*.q' and of '\\*.\\*'",
        ),
    ],
)
def test_a_bad_pattern_is_refused(mapping, words):
    with pytest.raises(ValueError, match=words):
        expand(mapping, LAYERS)


def test_shapes_of_the_port_are_held():
    mapping = {"kernel": "fc.weight"}
    words = r"kernel expected shape \(30, 7\), got \(7, 30\)"
    with pytest.raises(ValueError, match=words):
        forward(mapping, ARRAYS, {"kernel": (30, 7)})
    forward(mapping, ARRAYS, {"kernel": (7, 30), "other": (1,)})


@pytest.mark.parametrize("undo", [backward, inverse])
def test_arrays_of_the_port_must_fit(undo):
    mapping = {"kernel": {"from": "v.weight", "transpose": [1, 0]}}
    with pytest.raises(ValueError, match=r"\(6, 4\), got \(4, 6\)"):
        undo(mapping, {"kernel": ARRAYS["v.weight"]}, ARRAYS)
    with pytest.raises(ValueError, match=r"kernel has no .*there are"):
        undo(mapping, {"kernal": ARRAYS["v.weight"]}, ARRAYS)

"""A map is suggested where there is evidence, and doubt is said."""

import numpy as np
import pytest

from shared_tests.roundoff.maps.probing import from_converter, probes
from shared_tests.roundoff.maps.suggest import suggest
from shared_tests.roundoff.maps.weights import forward

ENVIRONMENTS = ("tools",)


def draw(seed, *shape):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape).astype(np.float32)


E, F, H = 6, 10, 3
TORCH = {
    "embed.weight": draw(1, 11, E),
    **{
        f"layers.{i}.{name}.{kind}": draw(10 * i + j, *shape)
        for i in range(2)
        for j, (name, kind, shape) in enumerate(
            [
                ("q", "weight", (E, E)),
                ("k", "weight", (E, E)),
                ("q", "bias", (E,)),
                ("k", "bias", (E,)),
                ("fc1", "weight", (F, E)),
                ("fc2", "weight", (E, F)),
                ("fc1", "bias", (F,)),
                ("fc2", "bias", (E,)),
                ("norm", "weight", (E,)),
                ("norm", "bias", (E,)),
            ]
        )
    },
    "conv.weight": draw(31, 5, 4, 3, 3),
    "bn.running_mean": draw(32, 5),
    "bn.running_var": draw(33, 5),
    "bn.num_batches_tracked": np.zeros((), np.int64),
}


def convert(arrays):
    """As a converter of Flax names writes them."""
    port = {"embed/embedding": arrays["embed.weight"]}
    for i in range(2):
        at, to = f"layers.{i}", f"encoder/layer_{i}"
        for ours, theirs in (("q", "query"), ("k", "key")):
            weight = arrays[f"{at}.{ours}.weight"].T
            port[f"{to}/{theirs}/kernel"] = weight.reshape(E, H, -1)
            port[f"{to}/{theirs}/bias"] = arrays[
                f"{at}.{ours}.bias"
            ].reshape(H, -1)
        for name in ("fc1", "fc2"):
            port[f"{to}/{name}/kernel"] = arrays[
                f"{at}.{name}.weight"
            ].T
            port[f"{to}/{name}/bias"] = arrays[f"{at}.{name}.bias"]
        port[f"{to}/norm/scale"] = arrays[f"{at}.norm.weight"]
        port[f"{to}/norm/bias"] = arrays[f"{at}.norm.bias"]
    port["conv/kernel"] = arrays["conv.weight"].transpose(2, 3, 1, 0)
    port["bn/mean"] = arrays["bn.running_mean"]
    port["bn/var"] = arrays["bn.running_var"]
    return port


def test_values_tell_all():
    port = convert(TORCH)
    found = suggest(TORCH, port)
    assert found.ambiguous == {} and found.leftover_port == []
    assert found.leftover_torch == ["bn.num_batches_tracked"]
    for name, array in forward(found.map, TORCH).items():
        assert np.array_equal(array, port[name])
    turned = {"from": "layers.1.q.weight", "transpose": [1, 0]}
    kernel = found.map["encoder/layer_1/query/kernel"]
    assert kernel == {**turned, "reshape": [E, H, E // H]}


def test_without_values_names_and_shapes_tell_what_they_can():
    port = {n: a * 0 for n, a in convert(TORCH).items()}
    found = suggest(TORCH, port)
    told = {
        "embed/embedding": "embed.weight",
        "conv/kernel": {
            "from": "conv.weight",
            "transpose": [2, 3, 1, 0],
        },
        "bn/mean": "bn.running_mean",
        "bn/var": "bn.running_var",
    }
    for i in range(2):
        at, to = f"layers.{i}", f"encoder/layer_{i}"
        for name in ("fc1", "fc2"):
            told[f"{to}/{name}/bias"] = f"{at}.{name}.bias"
            told[f"{to}/{name}/kernel"] = {
                "from": f"{at}.{name}.weight",
                "transpose": [1, 0],
            }
        told[f"{to}/norm/scale"] = f"{at}.norm.weight"
        told[f"{to}/norm/bias"] = f"{at}.norm.bias"
    assert found.map == told
    square = found.ambiguous["encoder/layer_0/key/kernel"]
    of = {"from": "layers.0.k.weight", "reshape": [E, H, E // H]}
    assert of in square and {**of, "transpose": [1, 0]} in square
    assert len(found.ambiguous) == 8
    assert found.leftover_torch == ["bn.num_batches_tracked"]


def test_a_square_matrix_is_not_guessed():
    square = {"proj.weight": draw(1, 4, 4)}
    found = suggest(square, {"proj.kernel": draw(2, 4, 4)})
    assert found.map == {}
    assert found.ambiguous == {
        "proj.kernel": [
            "proj.weight",
            {"from": "proj.weight", "transpose": [1, 0]},
        ]
    }
    for kernel, entry in zip(
        (square["proj.weight"], square["proj.weight"].T),
        ("proj.weight", {"from": "proj.weight", "transpose": [1, 0]}),
    ):
        found = suggest(square, {"proj.kernel": kernel})
        assert found.map == {"proj.kernel": entry}


def test_a_symmetric_matrix_stays_a_riddle():
    half = draw(1, 4, 4)
    square = {"proj.weight": half + half.T}
    found = suggest(square, {"proj.kernel": square["proj.weight"].T})
    assert list(found.ambiguous) == ["proj.kernel"]
    assert found.leftover_torch == [] == found.leftover_port


def test_numbers_that_start_elsewhere_are_not_guessed():
    ours = {f"conv{i}.weight": draw(i, 3, 2) for i in (1, 2)}
    theirs = {f"conv_{i}.kernel": draw(9, 2, 3) for i in (0, 1)}
    found = suggest(ours, theirs)
    assert found.map == {}
    assert set(found.ambiguous) == set(theirs)
    keras = {f"conv{i}.kernel": draw(9, 2, 3) for i in ("", "_1")}
    assert suggest(ours, keras).map == {}
    keras = {f"conv{i}.kernel": draw(9, 2, 3) for i in ("", "_1", "_2")}
    assert suggest(ours, keras).map == {}
    equal = {f"conv_{i}.kernel": draw(9, 2, 3) for i in (1, 2)}
    assert suggest(ours, equal).map == {
        f"conv_{i}.kernel": {
            "from": f"conv{i}.weight",
            "transpose": [1, 0],
        }
        for i in (1, 2)
    }


def test_swapped_numbers_are_two_places_and_no_set():
    ours = {f"a.{i}.b.{j}.w": draw(1, 3) for i in "01" for j in "01"}
    theirs = {f"a_{i}/b_{j}/w": draw(2, 3) for i in "01" for j in "01"}
    assert suggest(ours, theirs).map == {
        f"a_{i}/b_{j}/w": f"a.{i}.b.{j}.w" for i in "01" for j in "01"
    }


def test_a_shape_that_is_there_once_needs_no_name():
    ours = {"a.weight": draw(1, 3, 2), "b.weight": draw(2, 5, 4)}
    theirs = {"x.kernel": draw(3, 4, 5), "y.bias": draw(4, 7)}
    found = suggest(ours, theirs)
    assert found.map == {
        "x.kernel": {"from": "b.weight", "transpose": [1, 0]}
    }
    assert found.leftover_torch == ["a.weight"]
    assert found.leftover_port == ["y.bias"]


def test_tied_arrays_go_by_name():
    table = draw(1, 7, 4)
    ours = {"embed.weight": table, "head.weight": table}
    theirs = {"head.kernel": table.T, "embed.embedding": table}
    assert suggest(ours, theirs).map == {
        "head.kernel": {"from": "head.weight", "transpose": [1, 0]},
        "embed.embedding": "embed.weight",
    }


def test_parts_and_sums_are_found_by_value():
    ours = {
        "in_proj": draw(1, 3 * E, E),
        "q.weight": draw(2, E, E),
        "k.weight": draw(3, E, E),
        "bias_ih": draw(4, 4 * E),
        "bias_hh": draw(5, 4 * E),
    }
    both = np.concatenate([ours["q.weight"], ours["k.weight"]]).T
    bias = ours["bias_ih"] + ours["bias_hh"]
    theirs = {
        "key": ours["in_proj"][E : 2 * E].T,
        "qk": both,
        "bias": bias,
        "gate": bias[2 * E : 3 * E],
    }
    found = suggest(ours, theirs)
    made = forward(found.map, ours)
    assert set(made) == set(theirs) and found.leftover_torch == []
    for name, array in made.items():
        assert np.array_equal(array, theirs[name])


def test_a_converter_tells_the_map():
    mapping, ours, theirs = from_converter(convert, TORCH)
    assert ours == ["bn.num_batches_tracked"] and theirs == []
    made, want = forward(mapping, TORCH), convert(TORCH)
    for name, array in want.items():
        assert np.array_equal(made[name], array)


def test_probes_are_small_whole_numbers():
    runs = probes({"a": draw(1, 300, 300), "b": draw(2, 7)})
    assert len(runs) == 3
    assert max(a.max() for run in runs for a in run.values()) == 255


def in_sixteen_bits(arrays):
    return {
        name: array.astype(np.float16)
        for name, array in convert(arrays).items()
    }


def test_a_converter_may_round():
    mapping, _, left = from_converter(in_sixteen_bits, TORCH)
    assert left == [] and len(mapping) == len(convert(TORCH))


def awkward(arrays):
    port = convert(arrays)
    port["encoder/layer_0/fc1/kernel"] = (
        port["encoder/layer_0/fc1/kernel"] * 0.25
    )
    port["gates/bias"] = (
        arrays["layers.0.q.bias"] + (arrays["layers.1.q.bias"])
    )
    port["ones"] = np.ones(E, np.float32)
    port["zeros"] = np.zeros(E, np.float32)
    return port


def test_what_a_converter_makes_otherwise_is_left_over():
    mapping, _, left = from_converter(awkward, TORCH)
    assert left == ["encoder/layer_0/fc1/kernel", "ones", "zeros"]
    sums = {"add": ["layers.0.q.bias", "layers.1.q.bias"]}
    assert mapping["gates/bias"] == sums


def test_equal_numbers_tell_nothing():
    """A fresh batch norm: what is 0 is of several kinds."""
    zeros = np.zeros(5, np.float32)
    ours = {"bn.bias": zeros, "bn.running_mean": zeros}
    theirs = {"bn.moving_mean": -zeros, "bn.beta": zeros}
    assert suggest(ours, theirs).map == {
        "bn.moving_mean": "bn.running_mean",
        "bn.beta": "bn.bias",
    }


def test_which_zero_it_is_does_not_count():
    weight = np.float32([0.0, 1.0, 2.0])
    ours = {"a": weight, "c": weight + 1}
    found = suggest(ours, {"b": np.float32([-0.0, 1.0, 2.0])})
    assert found.map == {"b": "a"}


def test_one_array_is_not_given_to_two():
    ours = {"enc.q.weight": draw(1, 3, 2)}
    theirs = {f"enc.{n}.kernel": draw(2, 2, 3) for n in ("q", "z")}
    found = suggest(ours, theirs)
    assert list(found.map) == ["enc.q.kernel"]
    assert found.leftover_port == ["enc.z.kernel"]
    theirs = {f"{n}.kernel": draw(2, 2, 3) for n in ("x", "y")}
    found = suggest(ours, theirs)
    assert found.map == {} and set(found.ambiguous) == set(theirs)


def test_numbers_that_are_there_twice_do_not_tell_a_part():
    q, k = draw(1, 4, 3), draw(2, 4, 3)
    ours = {"q.weight": q, "r.weight": q, "k.weight": k}
    found = suggest(ours, {"qk": np.concatenate([q, k])})
    assert found.leftover_port == ["qk"]


def test_shapes_that_no_reshape_of_neighbours_gives_do_not_fit():
    ours = {"w": draw(1, 6, 4)}
    assert suggest(ours, {"w": draw(2, 3, 8, 1)}).map == {}
    assert suggest(ours, {"w": draw(2, 3, 2, 4)}).map == {
        "w": {"from": "w", "reshape": [3, 2, 4]}
    }


def one_more(arrays):
    return {name: array + 1 for name, array in arrays.items()}


def test_what_a_converter_changes_is_no_entry():
    """1 more is the place of the next number, but not the number."""
    weights = {"a": draw(1, 5), "b": draw(2, 5)}
    assert from_converter(one_more, weights)[0] == {}


@pytest.mark.parametrize("arrays", [{}, {"w": draw(1, 0, 3)}])
def test_nothing_gives_nothing(arrays):
    assert suggest(arrays, {})[:2] == ({}, {})
    assert suggest({}, arrays).map == {}
    assert from_converter(lambda arrays: {}, arrays)[0] == {}

"""One array against its budget, the order of arrays, planted changes."""

import numpy as np
import pytest
import torch

from shared_tests.ports import faults, measuring, models, optimizers
from shared_tests.ports import torch_models as zoo

ENVIRONMENTS = ("pytorch",)

U = measuring.U


def test_one_wrong_element_is_the_worst_ratio():
    reference = np.linspace(1, 2, 60).reshape(3, 20)
    sigma = np.ones_like(reference)
    value = reference.astype(np.float32)
    assert measuring.measured(value, reference, sigma)["budget"] < 0.1
    value[1, 7] += 32 * U
    found = measuring.measured(value, reference, sigma)
    assert found["budget"] == pytest.approx(2, rel=0.1)
    assert found["elements"] == 60
    # too small for the tolerances that people use
    assert found["abs 1e-5"] < 1 and found["assert_close"] < 1


def test_the_usual_criteria():
    reference = np.array([100.0, 0.0])
    value = np.array([100.002, 0.0], np.float32)
    found = measuring.measured(value, reference, np.ones(2))
    assert found["abs 1e-5"] == pytest.approx(200, rel=0.01)
    assert found["assert_close"] == pytest.approx(14.3, rel=0.01)
    assert found["allclose"] == pytest.approx(2, rel=0.01)


def test_images_may_have_their_channels_last():
    reference = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    value = reference.transpose(0, 2, 3, 1).astype(np.float32)
    sigma = np.ones_like(reference)
    assert measuring.measured(value, reference, sigma)["budget"] < 1
    found = measuring.measured(value[:1], reference, sigma)
    assert found == dict(
        shape="expected [2, 3, 4, 5], got [1, 4, 5, 3]"
    )


def test_nan_is_outside():
    value = np.array([np.nan], np.float32)
    found = measuring.measured(value, np.ones(1), np.ones(1))
    assert found["budget"] == found["error"] == float("inf")


def test_arrays_come_in_the_order_of_the_forward_pass():
    names = """
    out.encoder_hidden_states.0 out.encoder_hidden_states.10
    out.encoder_last_hidden_state out.decoder_hidden_states.0
    out.decoder_hidden_states.2 out.logits
    """.split()
    shuffled = sorted(names, reverse=True)
    assert sorted(shuffled, key=measuring.forward_order) == names
    bad = {name: dict(budget=2.0) for name in names[3:]}
    good = {name: dict(budget=0.5) for name in names[:3]}
    assert measuring.first_wrong({**good, **bad}) == names[3]


def test_the_generator_of_rag_has_its_encoder_first():
    names = """
    out.generator_enc_hidden_states.0 out.generator_dec_hidden_states.0
    out.logits
    """.split()
    shuffled = sorted(names)
    assert shuffled != names
    assert sorted(shuffled, key=measuring.forward_order) == names


def test_what_one_side_lacks_is_listed():
    one, two = np.ones(2), np.ones(2, np.float32)
    found, missing = measuring.compared(
        {"a": two, "c": two}, {"a": one, "b": one}, {"a": one, "b": one}
    )
    assert list(found) == ["a"] and missing == ["b", "c"]


def test_a_planted_change_leaves_the_rest_as_it_was():
    tree = {"a": {"b": np.ones(2), "c": np.ones(2)}}
    new = faults.changed(tree, ("a", "b"), lambda x: 2 * x)
    assert new["a"]["b"].tolist() == [2, 2]
    assert new["a"]["c"] is tree["a"]["c"]
    assert tree["a"]["b"].tolist() == [1, 1]


def test_tf32_keeps_ten_bits():
    exact = np.array([1 + 2.0**-10, -3.0, 0.0], np.float32)
    assert (faults.in_tf32(exact) == exact).all()
    near = np.array([1 + 2.0**-10 + 2.0**-20], np.float32)
    assert faults.in_tf32(near)[0] == 1 + 2.0**-10


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_another_epsilon_of_an_optimizer_is_seen(name, monkeypatch):
    def steps(dtype):
        return optimizers.torch_steps(name, 0, dtype)

    wanted, sigma = measuring.estimate(
        lambda: steps(torch.float64), 0, 8
    )
    found, _ = measuring.compared(steps(torch.float32), wanted, sigma)
    assert not measuring.first_wrong(found)
    kind, options = optimizers.TORCH[name]
    wrong = {**options, "eps": 1e-5}
    monkeypatch.setitem(optimizers.TORCH, name, (kind, wrong))
    found, _ = measuring.compared(steps(torch.float32), wanted, sigma)
    assert measuring.first_wrong(found)


def test_models_are_these():
    assert len(zoo.MODELS) == 35
    assert tuple(zoo.MODELS) == models.NAMES


def test_outputs_of_any_nest_have_paths():
    x = torch.ones(2)
    nest = dict(a=x, b=(x, [x]), ids=torch.tensor([1]))
    assert list(models.tensors(nest)) == [
        "out.a",
        "out.b.0",
        "out.b.1.0",
    ]
    assert list(models.tensors(x)) == ["out.y"]

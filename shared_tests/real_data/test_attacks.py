"""Attacks on the digits: in the four the same pixels move the same way."""

import json

import numpy as np
import pytest

from shared_tests.files import ROOT, write
from shared_tests.real_data import attacks
from shared_tests.real_data.attacks import (
    BOUND,
    BOUNDS,
    SHORT,
    SOME,
    STEP,
    STEPS,
)
from shared_tests.verdict import budget, judge

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

# the others, and 240 steps of training, are in test_attack_effect.py
TESTED = 0, 1 / 8
FIGURES = {}


@pytest.fixture(scope="module")
def kept(framework):
    """The reference; what this framework got is left in build/."""
    yield attacks.read()
    path = ROOT / "build" / "attacks" / f"{framework}.json"
    write(path, json.dumps(FIGURES) + "\n")


@pytest.fixture(scope="module")
def attacker(adapter):
    model = attacks.trained_transformer()

    def attacker(precision):
        return attacks.Attacker(adapter, *model, precision)

    return attacker


def test_signs_of_the_whole_test_set(kept, attacker):
    """360 images, 23,040 pixels, in float64: not one differs."""
    (x, target), _ = attacks.digits()
    moved = attacker("float64").call("fgsm", x, target, STEP)
    assert moved.dtype == np.float64
    assert np.array_equal(moved, x + STEP * kept["sign"])
    assert len(x) == 360 and (kept["sign"] != 0).all()


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_gradients_are_within_budget(kept, attacker, precision):
    (x, target), _ = attacks.digits()
    found = attacker(precision).call(
        "input_gradient", x[:SOME], target[:SOME]
    )
    want, sigma = kept["ref.gradient"], kept["sigma.gradient"]
    verdict = judge(found, want, sigma, precision)
    assert verdict.passed, verdict.detail
    # a sign is undecided where the budget lets the number be 0
    decided = np.abs(want) > budget(sigma, precision)
    assert np.array_equal(
        np.sign(found[decided]), np.sign(want[decided])
    )
    FIGURES[f"undecided {precision}"] = int((~decided).sum())
    other = np.sign(found) != np.sign(want)
    FIGURES[f"other signs {precision}"] = int(other.sum())
    assert other.sum() <= (~decided).sum() <= 0.001 * want.size


def test_pgd_ends_at_the_same_place(kept, adapter, attacker):
    """From a given start, every pixel, in float64; inside the bound."""
    (x, target), _ = attacks.digits()
    noise = attacks.start_noise(x.shape)
    start = adapter.to_tensor(noise, "float64")
    end = attacker("float64").call(
        "pgd", x, target, STEP, BOUND, STEPS, start=start
    )
    assert np.array_equal(end, x + kept["pgd"] / 512)
    assert np.abs(end - x).max() == BOUND


def test_the_same_images_are_lost(kept, adapter):
    found = attacks.rights(adapter, "transformer", None, TESTED)
    FIGURES["transformer"] = found
    every = kept["right.transformer"].tolist()
    assert found == [every[BOUNDS.index(b)] for b in TESTED]
    assert every == sorted(every, reverse=True) and every[0] == 355


@pytest.mark.parametrize("way", attacks.WAYS)
def test_training(kept, adapter, way):
    """20 losses and the parameters after them are within budget."""
    head = "start."
    start = {
        key.removeprefix(head): value
        for key, value in kept.items()
        if key.startswith(head)
    }
    found = attacks.train_mlp(adapter, start, way, SHORT)
    for name in ("loss", *start):
        want = kept[f"ref.{way}.{name}"]
        sigma = kept[f"sigma.{way}.{name}"][()]
        wide = np.full(want.shape, sigma)
        verdict = judge(found[name], want, wide, "float64")
        assert verdict.passed, f"{name}: {verdict.detail}"


def test_a_start_of_another_shape(adapter, attacker):
    (x, target), _ = attacks.digits()
    start = adapter.to_tensor(np.zeros((1, 8, 8)), "float64")
    words = r"pgd: start expected shape \(4, 8, 8\), got \(1, 8, 8\)"
    with pytest.raises(ValueError, match=words):
        attacker("float64").call(
            "pgd", x[:4], target[:4], STEP, BOUND, 1, start=start
        )


def test_a_long_step_stays_inside_the_bound(attacker):
    (x, target), _ = attacks.digits()
    one = attacker("float64")
    end = one.call("pgd", x[:4], target[:4], 10 * BOUND, BOUND, 2)
    assert (np.abs(end - x[:4]) == BOUND).all()
    none = one.call("pgd", x[:4], target[:4], STEP, BOUND, 0)
    assert np.array_equal(none, x[:4])


def test_an_attack_changes_no_gradient_of_a_parameter(
    framework, attacker
):
    """In PyTorch and MXNet a parameter holds one, which a loop uses."""
    (x, target), _ = attacks.digits()
    one = attacker("float64")
    own = list(one.layer.params.values())
    if framework == "mxnet":
        for p in own:
            p.grad()[()] = 7
    one.call("fgsm", x[:4], target[:4], STEP)
    if framework == "mxnet":
        assert all((p.grad() == 7).all() for p in own)
    if framework == "pytorch":
        assert all(p.grad is None for p in own)

"""Real data: every framework ends where the reference ends, in float64."""

import json

import numpy as np
import pytest
from safetensors import safe_open

from shared_tests.files import ROOT, sha256
from shared_tests.real_data.tasks import (
    DATA,
    TASKS,
    loss_on_test,
    read_run,
    samples,
    train_and_test,
    verdicts,
)

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")


@pytest.fixture(scope="module", params=TASKS)
def task(request, adapter, framework):
    """(name, its run, what this framework got); kept in build/."""
    name = request.param
    run = read_run(name)
    results = train_and_test(adapter, name, run)
    (_, target), _ = samples(name, run["split"])
    y = results["out.y"]
    figures = {
        "loss": loss_on_test(name, y, target),
        "worst": max(v.ratio for v in verdicts(results, run).values()),
    }
    if name != "diabetes":
        guess, reference = (
            y.argmax(axis=1),
            run["ref.out.y"].argmax(axis=1),
        )
        figures["correct"] = int((guess == target).sum())
        figures["same"] = int((guess == reference).sum())
    folder = ROOT / "build" / "real_data"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{framework}.json"
    path.write_text(json.dumps(figures) + "\n")
    return name, run, results, target


def test_the_whole_run_is_within_budget(task):
    """Every loss, every final parameter, every output on the test set."""
    _, run, results, _ = task
    wrong = {
        array: verdict.detail
        for array, verdict in verdicts(results, run).items()
        if not verdict.passed
    }
    assert not wrong


def test_the_same_test_loss(task):
    name, run, results, target = task
    reference = loss_on_test(name, run["ref.out.y"], target)
    loss = loss_on_test(name, results["out.y"], target)
    assert f"{loss:.9g}" == f"{reference:.9g}"


def test_it_has_learned(task):
    """Digits: 96 % of the test set. Diabetes: better than the mean.
    Texts: 70 %, where 30 % are of the largest class."""
    name, _, results, target = task
    y = results["out.y"]
    if name == "digits":
        assert np.mean(y.argmax(axis=1) == target) >= 0.96
    elif name == "texts":
        assert np.bincount(target).max() <= 0.32 * len(target)
        assert np.mean(y.argmax(axis=1) == target) >= 0.7
    else:
        assert loss_on_test(name, y, target) < 0.6 * np.mean(target**2)


def test_the_same_predictions(task):
    name, run, results, _ = task
    if name != "diabetes":
        same = results["out.y"].argmax(1) == run["ref.out.y"].argmax(1)
        assert np.mean(same) >= 0.995
    else:
        assert results["out.y"].shape == run["ref.out.y"].shape


def test_the_texts_are_those_of_their_digest():
    """What make_texts.py wrote: the release of Python, and SHA-256."""
    path = DATA / "texts.safetensors"
    with safe_open(path, "numpy") as file:
        about = file.metadata()
        x, target = file.get_tensor("x"), file.get_tensor("target")
    assert about["python"].startswith("3.11.")
    assert about["sha256"] == sha256(x.tobytes() + target.tobytes())
    assert x.max() < TASKS["texts"].config["num_embeddings"]
    assert len({tuple(row) for row in x.tolist()}) == len(x)

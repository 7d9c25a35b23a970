"""Real data: every framework ends where the reference ends, in float64."""

import json

import numpy as np
import pytest

from shared_tests.files import ROOT
from shared_tests.real_data.tasks import (
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
    if name == "digits":
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
    """Digits: 96 % of the test set. Diabetes: better than the mean."""
    name, _, results, target = task
    y = results["out.y"]
    if name == "digits":
        assert np.mean(y.argmax(axis=1) == target) >= 0.96
    else:
        assert loss_on_test(name, y, target) < 0.6 * np.mean(target**2)


def test_the_same_predictions(task):
    name, run, results, _ = task
    if name == "digits":
        same = results["out.y"].argmax(1) == run["ref.out.y"].argmax(1)
        assert np.mean(same) >= 0.995
    else:
        assert results["out.y"].shape == run["ref.out.y"].shape

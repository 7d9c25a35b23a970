"""Three real data sets, trained from one start in every framework.

digits    8 x 8 images as 8 tokens of 8 pixels, TransformerClassifier
diabetes  10 measurements against the disease a year later, MLP
texts     16 words of a docstring against what its module is for,
          TextClassifier (make_texts.py)

data/<name>.safetensors      the data (make_data.py)
data/<name>_run.safetensors  start, batches and the float64 reference
    start.<parameter>        float32
    split (samples)          a permutation; the first TEST are the test set
    order (steps, batch)     which training samples each step sees
    ref.trained.loss (steps), ref.trained.<parameter>, ref.out.y
    sigma.<array>            one number an array: the spread of NOISY runs
                             with random rounding errors, pooled over the
                             elements, in units of u; hundreds of steps
                             are too many for the 48 runs of budget.py

NumPy and safetensors only.
"""

import pathlib
from typing import NamedTuple

import numpy as np
from safetensors.numpy import load_file

from shared_tests.verdict import judge

DATA = pathlib.Path(__file__).resolve().parent / "data"


class Task(NamedTuple):
    layer: str
    config: dict
    training: dict
    batch: int
    steps: int
    test: int


TASKS = {
    "digits": Task(
        "TransformerClassifier",
        dict(
            input_dim=8,
            embed_dim=32,
            num_heads=4,
            num_layers=2,
            num_classes=10,
        ),
        dict(loss="cross_entropy", rule="adam", lr=1 / 512),
        batch=64,
        steps=500,
        test=360,
    ),
    "diabetes": Task(
        "MLP",
        dict(input_size=10, hidden_size=32, output_size=1),
        dict(loss="squared_error", rule="momentum", lr=1 / 64),
        batch=32,
        steps=300,
        test=88,
    ),
    "texts": Task(
        "TextClassifier",
        dict(num_embeddings=512, embedding_dim=8, num_classes=4),
        dict(loss="cross_entropy", rule="adam", lr=1 / 64),
        batch=64,
        steps=200,
        test=400,
    ),
}


def read_run(name):
    return load_file(DATA / f"{name}_run.safetensors")


def draw_order(rng, count, batch, steps):
    """(steps, batch): all of count samples once, then again."""
    epochs = batch * steps // count + 1
    order = [rng.permutation(count) for _ in range(epochs)]
    order = np.concatenate(order)[: batch * steps]
    return order.reshape(steps, batch)


def samples(name, split):
    """x, target of the test set and of the training set, scaled."""
    task, data = TASKS[name], load_file(DATA / f"{name}.safetensors")
    x, target = data["x"][split], data["target"][split]
    if name == "digits":
        x, target = x / 16, target.astype(np.int32)
    elif name == "texts":  # ids stay integers
        x, target = x.astype(np.int32), target.astype(np.int32)
    else:
        x, target = np.float64(x), np.float64(target)[:, None]
        for array in (x, target):
            rest = array[task.test :]
            array -= rest.mean(axis=0)
            array /= rest.std(axis=0)
        target = target.astype(np.float32)
    if name != "texts":
        x = x.astype(np.float32)
    return (x[: task.test], target[: task.test]), (
        x[task.test :],
        target[task.test :],
    )


def train_and_test(adapter, name, run):
    """{array: ndarray} of one framework, in float64."""
    task = TASKS[name]
    (x, _), (train_x, train_target) = samples(name, run["split"])
    start = {
        key.removeprefix("start."): value
        for key, value in run.items()
        if key.startswith("start.")
    }
    order = run["order"]
    batches = dict(x=train_x[order], target=train_target[order])
    built = adapter.build(task.layer, task.config, start, "float64")
    results = adapter.train(
        built, batches, history=False, **task.training
    )
    end = {n: results[f"trained.{n}"] for n in start}
    built = adapter.build(task.layer, task.config, end, "float64")
    return results | adapter.run(built, {"x": x})


def loss_on_test(name, y, target):
    """What the reader wants to know of y; mean squared error, in units
    of the variance, or cross entropy, in nats."""
    if name == "diabetes":
        return float(np.mean((y - target) ** 2))
    top = y.max(axis=1, keepdims=True)
    log_p = y - top - np.log(np.exp(y - top).sum(axis=1, keepdims=True))
    return float(-log_p[np.arange(len(y)), target].mean())


def verdicts(results, run):
    """{array: Verdict}, with the pooled sigma of each array."""
    return {
        name: judge(
            results[name],
            run[f"ref.{name}"],
            np.full(run[f"ref.{name}"].shape, run[f"sigma.{name}"][()]),
            "float64",
        )
        for name in (
            key.removeprefix("ref.") for key in run if key[:4] == "ref."
        )
    }

"""Attacks on models of the digits, and a defence, in every framework.

The TransformerClassifier whose training is in data/digits_run is
attacked on the whole test set; two MLP are trained, one on the images
as they are and one on attacked ones, and attacked both.

data/attacks.safetensors     (make_attacks.py; PyTorch, float64)
    ref.gradient             of the loss with respect to the first SOME
    sigma.gradient           images of the test set, and its spread
    sign (360, 8, 8)         int8, of that gradient for every image
    pgd (360, 8, 8)          int8, where PGD ends, in steps
    start.<parameter>        float32, where both MLP start
    ref.<way>.<array>        way plain or attacked: their loss in the
    sigma.<way>.<array>      first SHORT steps and their parameters after
                             these, and one number, the spread pooled
                             over the elements
    right.<model>            of 360, for each of BOUNDS, by PGD

NumPy and safetensors only.
"""

import importlib

import numpy as np
from safetensors.numpy import load_file

from shared_tests.real_data.tasks import (
    DATA,
    TASKS,
    draw_order,
    read_run,
    samples,
)

SOME = 96
# dyadic, so that no framework rounds a step; a pixel is from 0 to 1
STEP, BOUND, STEPS = 1 / 32, 1 / 8, 6
BOUNDS = (0, 1 / 32, 1 / 16, 1 / 8, 1 / 4)
MLP = dict(input_size=64, hidden_size=32, output_size=10, scale=1.0)
WAYS = ("plain", "attacked")
LR, BATCH, BATCHES = 1 / 128, 64, 240
SHORT = 20  # steps that are judged, by 4 runs with noise
SPREAD = 1 / 8  # of the attack that training sees


def read():
    return load_file(DATA / "attacks.safetensors")


def trained_transformer():
    """The name, the configuration and the trained parameters."""
    run, head = read_run("digits"), "ref.trained."
    params = {
        key.removeprefix(head): value
        for key, value in run.items()
        if key.startswith(head) and key != f"{head}loss"
    }
    task = TASKS["digits"]
    return task.layer, task.config, params


def digits():
    """The test set and the training set, in the order of that run."""
    return samples("digits", read_run("digits")["split"])


class Attacker:
    """One framework and one model, NumPy in and out."""

    def __init__(self, adapter, layer, config, params, precision):
        self.adapter, self.precision = adapter, precision
        self.layer = adapter.build(layer, config, params, precision)
        home = adapter.__name__.split(".")[0]
        self.page = importlib.import_module(f"{home}.adversarial")
        self.loss = importlib.import_module(
            f"{home}.training"
        ).cross_entropy

    def tensors(self, *arrays):
        return [
            self.adapter.to_tensor(a, self.precision) for a in arrays
        ]

    def call(self, name, x, target, *more, **options):
        x, target = self.tensors(x, target)
        function = getattr(self.page, name)
        call = self.layer.call
        y = function(call, self.loss, x, target, *more, **options)
        return self.adapter.to_numpy(y)

    def right(self, x, target):
        """How many of them it recognises."""
        y = self.adapter.run(self.layer, dict(x=x))["out.y"]
        return int((y.argmax(axis=1) == target).sum())

    def right_under(self, x, target, bound):
        steps = STEPS if bound else 0
        step = bound / 4
        y = self.call("pgd", x, target, step, bound, steps)
        return self.right(y, target)


def start_noise(shape):
    """Numbers of either sign within half a bound, the same everywhere."""
    n = np.arange(np.prod(shape)).reshape(shape)
    return ((37 * n) % 65 - 32) / 64 * BOUND


def train_mlp(adapter, start, way, count):
    """{array: ndarray} of one way of training, in float64: the losses
    of that many steps, and the parameters after them."""
    home = adapter.__name__.split(".")[0]
    training, page = (
        importlib.import_module(f"{home}.{name}")
        for name in ("training", "adversarial")
    )
    _, (x, target) = digits()
    order = draw_order(np.random.default_rng(1), len(x), BATCH, BATCHES)
    built = adapter.build("MLP", MLP, start, "float64")
    flat = x.reshape(len(x), 64)
    batches = (
        [adapter.to_tensor(a[rows], "float64") for a in (flat, target)]
        for rows in order[:count]
    )
    loss = training.cross_entropy
    if way == "attacked":
        batches = page.attacked(built.call, loss, batches, SPREAD)
    steps = training.train(built.call, loss, training.adam, batches, LR)
    losses = [adapter.to_numpy(value) for value in steps]
    parameters = importlib.import_module(f"{home}.parameters")
    named = parameters.named_parameters(built.call)
    return {"loss": np.stack(losses)} | {
        n: adapter.to_numpy(value_of(home, p)).copy()
        for n, p in named.items()
    }


def value_of(home, param):
    if home == "mxnet_impl":
        return param.data()
    if home == "jax_impl":
        return param[...]
    return param.value if home == "tf_impl" else param


def rights(adapter, model, params, bounds=BOUNDS):
    """How many of the test set are right under PGD, for each bound."""
    (x, target), _ = digits()
    if model == "transformer":
        layer, config, params = trained_transformer()
    else:
        layer, config, x = "MLP", MLP, x.reshape(len(x), 64)
    one = Attacker(adapter, layer, config, params, "float64")
    return [one.right_under(x, target, bound) for bound in bounds]

"""Training with quantizers: the same integers, and what it recovers."""

import numpy as np
from safetensors.numpy import load_file

from shared_tests.real_data import quantized_digits
from shared_tests.real_data.quantized_digits import Framework
from shared_tests.real_data.tasks import DATA

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")


def test_the_same_integers_after_200_steps(framework):
    """Weights, biases and zero points of a model of all quantizers."""
    reference = load_file(DATA / "digits_quantized.safetensors")
    found, losses = quantized_digits.integers(framework)
    wanted = {n: v for n, v in reference.items() if n != "loss"}
    assert found.keys() == wanted.keys()
    wrong = {}
    for name, value in wanted.items():
        assert found[name].shape == value.shape
        assert found[name].dtype == value.dtype
        where = np.argwhere(found[name] != value)
        if len(where):
            at = tuple(where[0])
            wrong[name] = at, found[name][at], value[at], len(where)
    assert not wrong, (wrong, np.abs(losses - reference["loss"]).max())
    assert losses[-20:].mean() < losses[:20].mean()


def test_training_recovers(framework):
    """One cell of the table: LSQ against the model quantized as it is.

    At 2 bits, where that loses every fourth image: at 3 bits it is one
    in forty, too few for one seed.
    """
    name, seed, bits = "MLP", 0, 2
    of = Framework(framework)
    test, _ = quantized_digits.images(
        quantized_digits.MODELS[name], seed
    )
    params = quantized_digits.float_start(of, name, seed)
    built = of.build(quantized_digits.MODELS[name], params)
    best = of.correct(built.call, *test)
    plain, learned = (
        of.correct(
            quantized_digits.quantized(
                of, name, seed, params, method, bits
            ),
            *test,
        )
        for method in ("ptq", "lsq")
    )
    assert plain < best
    assert learned - plain >= 0.8 * (best - plain)

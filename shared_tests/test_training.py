"""Training: the loop, what it leaves alone, and the built-in optimizers.

The four pages run the same formulas. The frameworks' own SGD and Adam
run here from the same start on the same batches, judged by the budgets
of the same trajectories; docs/training.md has the table.
"""

import importlib
import inspect
import textwrap
from typing import NamedTuple

import numpy as np
import pytest

from shared_tests.cases import CASES
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.run import ROOT, group, sigmas
from shared_tests.verdict import failed, judge

MLP = dict(input_size=7, hidden_size=11, output_size=3)
BETAS, EPS = (7 / 8, 1 - 2**-10), 2**-27
RULES = ("sgd", "momentum", "adam")


@pytest.fixture(scope="session")
def training(framework):
    return importlib.import_module(f"{framework}_impl.training")


# the frameworks' own optimizers: update(x, target) makes one step
def torch_updates(layer, loss, rule, lr, repaired):
    import torch

    params = layer.parameters()
    optimizer = {
        "sgd": lambda: torch.optim.SGD(params, lr),
        "momentum": lambda: torch.optim.SGD(params, lr, BETAS[0]),
        "adam": lambda: torch.optim.Adam(params, lr, BETAS, EPS),
    }[rule]()

    def update(x, target):
        optimizer.zero_grad()
        value = loss(layer(x), target)
        value.backward()
        optimizer.step()
        return value

    return update


def optax_updates(layer, loss, rule, lr, repaired):
    import optax
    from flax import nnx

    transform = {
        "sgd": lambda: optax.sgd(lr),
        "momentum": lambda: optax.sgd(lr, BETAS[0]),
        "adam": lambda: optax.adam(lr, *BETAS, EPS),
    }[rule]()
    optimizer = nnx.Optimizer(layer, transform, wrt=nnx.Param)

    @nnx.jit
    def update(layer, optimizer, x, target):
        forward = nnx.value_and_grad(lambda m: loss(m(x), target))
        value, grads = forward(layer)
        optimizer.update(layer, grads)
        return value

    return lambda x, target: update(layer, optimizer, x, target)


def keras_adam():
    import tensorflow as tf

    class Adam(tf.keras.optimizers.Adam):
        def update_step(self, gradient, variable, learning_rate):
            t = tf.cast(self.iterations + 1, variable.dtype)
            eps = self.epsilon
            self.epsilon = eps * tf.sqrt(1 - self.beta_2**t)
            super().update_step(gradient, variable, learning_rate)
            self.epsilon = eps

    return Adam


def keras_updates(layer, loss, rule, lr, repaired):
    import tensorflow as tf

    sgd, adam = tf.keras.optimizers.SGD, tf.keras.optimizers.Adam
    adam = keras_adam() if repaired else adam
    optimizer = {
        "sgd": lambda: sgd(lr),
        "momentum": lambda: sgd(lr, BETAS[0]),
        "adam": lambda: adam(lr, *BETAS, EPS),
    }[rule]()
    params = layer.trainable_variables
    optimizer.build(params)

    @tf.function(autograph=False)
    def update(x, target):
        with tf.GradientTape() as tape:
            value = loss(layer(x), target)
        grads = tape.gradient(value, params)
        optimizer.apply_gradients(zip(grads, params))
        return value

    return update


def gluon_adam():
    import mxnet as mx
    from mxnet import np

    from mxnet_impl.training import adam, bias_correction

    class Adam(mx.optimizer.Optimizer):
        def create_state(self, index, weight):
            return np.zeros_like(weight), np.zeros_like(weight)

        def update(self, index, weight, grad, state):
            self._update_count(index)
            correct = bias_correction(self._index_update_count[index])
            g, lr = grad * self.rescale_grad, self._get_lr(index)
            new, states = adam(weight, g, state, correct, lr)
            for old, value in zip((weight, *state), (new, *states)):
                old[:] = value

    return Adam


def gluon_updates(layer, loss, rule, lr, repaired):
    from mxnet import autograd, gluon

    rate = dict(learning_rate=lr)
    betas = dict(beta1=BETAS[0], beta2=BETAS[1], epsilon=EPS)
    optimizer, options = {
        "sgd": ("sgd", rate),
        "momentum": ("sgd", rate | dict(momentum=BETAS[0])),
        "adam": ("adam", rate | betas),
    }[rule]
    if repaired:
        optimizer, options = gluon_adam()(**rate), None
    params = layer.collect_params()
    trainer = gluon.Trainer(params, optimizer, options)

    def update(x, target):
        with autograd.record():
            value = loss(layer(x), target)
        value.backward()
        trainer.step(1)  # divides the gradients by that
        return value

    return update


BUILT_IN = {
    "pytorch": torch_updates,
    "jax": optax_updates,
    "tf": keras_updates,
    "mxnet": gluon_updates,
}


def main():
    import sys

    fw = sys.argv[1]
    ad = importlib.import_module(f"{fw}_impl.adapter")
    tr = importlib.import_module(f"{fw}_impl.training")
    named = importlib.import_module(
        f"{fw}_impl.parameters"
    ).named_parameters
    array = {
        "pytorch": lambda p: p.detach().clone(),
        "jax": lambda p: p[...],
        "tf": lambda p: p.value,
        "mxnet": lambda p: p.data(),
    }[fw]
    m = read_manifest()
    for rule in RULES:
        for name in (
            "Linear",
            "MLP",
            "StandardizedConv2d",
            "TransformerClassifier",
        ):
            for c in CASES:
                if c.id == f"{name}-{rule}":
                    fx = read_fixture(c, m)
                    for prec in ("float64", "float32"):
                        for rep in (
                            (False, True)
                            if fw in ("tf", "mxnet") and rule == "adam"
                            else (False,)
                        ):
                            b = ad.build(
                                c.layer,
                                c.config,
                                group(fx, "param"),
                                prec,
                            )
                            up = BUILT_IN[fw](
                                b.call,
                                getattr(tr, c.training["loss"]),
                                rule,
                                c.training["lr"],
                                rep,
                            )
                            got = {"trained.loss": []}
                            for x, t in zip(
                                *(
                                    ad.to_tensor(fx[f"in.{n}"], prec)
                                    for n in ("x", "target")
                                )
                            ):
                                v = up(x, t)
                                got["trained.loss"].append(
                                    ad.to_numpy(v)
                                )
                                for n, p in named(b.call).items():
                                    got.setdefault(
                                        f"trained.{n}", []
                                    ).append(
                                        ad.to_numpy(array(p)).copy()
                                    )
                            rs = {
                                k: judge(
                                    np.stack(a),
                                    fx[f"ref.{k}"],
                                    fx[f"sigma.{k}"],
                                    prec,
                                )
                                for k, a in got.items()
                            }
                            er = max(
                                np.abs(
                                    np.stack(a) - fx[f"ref.{k}"]
                                ).max()
                                for k, a in got.items()
                            )
                            w = max((v.ratio, k) for k, v in rs.items())
                            print(
                                fw,
                                c.id,
                                prec,
                                "repaired" if rep else "built-in",
                                f"{w[0]:.4g}",
                                w[1],
                                f"{er:.3g}",
                            )


if __name__ == "__main__":
    main()

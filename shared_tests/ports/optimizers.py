"""Part "optimizers": torch's, optax's and Keras' on one small network.

Ten steps on the same data; the reference is torch's optimizer in float64
with noise, so that the budget grows as rounding does along the way.
Options are the same in the three, where a library has that option; what
it calls by another name or does otherwise is set here, and what cannot
be set is off.
"""

import contextlib

import numpy as np

from shared_tests.ports import measuring
from shared_tests.ports.inputs import floats

SEEDS = (0,)
STEPS = 10
RATE = 0.01
EPS = 1e-8
DYADIC = (
    7 / 8,
    1 - 2.0**-10,
)  # betas that float32 has, as 0.999 is not
# name: (torch's class, its options)
TORCH = {
    "sgd": ("SGD", dict(lr=RATE)),
    "momentum": ("SGD", dict(lr=RATE, momentum=0.9)),
    "nesterov": ("SGD", dict(lr=RATE, momentum=0.9, nesterov=True)),
    "adam": ("Adam", dict(lr=RATE, eps=EPS)),
    "adam_dyadic": ("Adam", dict(lr=RATE, eps=EPS, betas=DYADIC)),
    "adamw": ("AdamW", dict(lr=RATE, eps=EPS, weight_decay=0.1)),
    "adamax": ("Adamax", dict(lr=RATE, eps=EPS)),
    "nadam": ("NAdam", dict(lr=RATE, eps=EPS)),
    "rmsprop": ("RMSprop", dict(lr=RATE, alpha=0.9, eps=EPS)),
    "adagrad": ("Adagrad", dict(lr=RATE, eps=1e-10)),
    "adadelta": ("Adadelta", dict(lr=1.0, rho=0.9, eps=1e-6)),
}
NAMES = tuple(TORCH)


def optax_of(name):
    """{port: transformation}"""
    import optax

    adagrad = dict(initial_accumulator_value=0.0, eps=1e-10)
    rms = dict(decay=0.9, eps=EPS)
    return {
        "sgd": {"optax": optax.sgd(RATE)},
        "momentum": {"optax": optax.sgd(RATE, momentum=0.9)},
        "nesterov": {
            "optax": optax.sgd(RATE, momentum=0.9, nesterov=True)
        },
        "adam": {"optax": optax.adam(RATE, eps=EPS)},
        "adam_dyadic": {"optax": optax.adam(RATE, *DYADIC, eps=EPS)},
        "adamw": {
            "optax": optax.adamw(RATE, eps=EPS, weight_decay=0.1),
            "optax, its own decay": optax.adamw(RATE, eps=EPS),
        },
        "adamax": {"optax": optax.adamax(RATE, eps=EPS)},
        "nadam": {"optax": optax.nadam(RATE, eps=EPS)},
        "rmsprop": {
            "optax": optax.rmsprop(RATE, **rms),
            "optax, eps_in_sqrt=False": optax.rmsprop(
                RATE, **rms, eps_in_sqrt=False
            ),
        },
        "adagrad": {
            "optax": optax.adagrad(RATE),
            "optax, from 0": optax.adagrad(RATE, **adagrad),
        },
        "adadelta": {"optax": optax.adadelta(1.0, rho=0.9, eps=1e-6)},
    }[name]


def keras_of(name):
    """{port: function that makes an optimizer}"""
    from keras import optimizers as k

    same = dict(learning_rate=RATE, epsilon=EPS)
    return {
        "sgd": {"keras": lambda: k.SGD(RATE)},
        "momentum": {"keras": lambda: k.SGD(RATE, momentum=0.9)},
        "nesterov": {
            "keras": lambda: k.SGD(RATE, momentum=0.9, nesterov=True)
        },
        "adam": {
            "keras": lambda: k.Adam(**same),
            "keras, its own epsilon": lambda: k.Adam(RATE),
        },
        "adam_dyadic": {"keras": lambda: k.Adam(RATE, *DYADIC, EPS)},
        "adamw": {"keras": lambda: k.AdamW(**same, weight_decay=0.1)},
        "adamax": {"keras": lambda: k.Adamax(**same)},
        "nadam": {"keras": lambda: k.Nadam(**same)},
        "rmsprop": {"keras": lambda: k.RMSprop(**same)},
        "adagrad": {
            "keras": lambda: k.Adagrad(RATE, epsilon=1e-10),
            "keras, from 0": lambda: k.Adagrad(
                RATE, epsilon=1e-10, initial_accumulator_value=0.0
            ),
        },
        "adadelta": {
            "keras": lambda: k.Adadelta(1.0, rho=0.9, epsilon=1e-6)
        },
    }[name]


def start(seed):
    """(parameters, inputs, targets): two layers, tanh between them."""
    rng = np.random.default_rng(seed)
    shapes = dict(w1=(8, 16), b1=(16,), w2=(16, 4), b2=(4,))
    params = {k: 0.5 * floats(rng, *v) for k, v in shapes.items()}
    return params, floats(rng, 12, 8), floats(rng, 12, 4)


def loss(params, x, target, tanh):
    """The mean of squares, in any framework's arrays."""
    y = tanh(x @ params["w1"] + params["b1"])
    difference = y @ params["w2"] + params["b2"] - target
    return (difference * difference).mean()


@contextlib.contextmanager
def without_profiler():
    """torch.optim marks its steps for the profiler by an operation."""
    from torch.autograd import profiler

    mark = profiler.record_function
    profiler.record_function = lambda name: contextlib.nullcontext()
    try:
        yield
    finally:
        profiler.record_function = mark


@without_profiler()
def torch_steps(name, seed, dtype):
    import torch

    params, x, target = start(seed)
    params = {
        k: torch.tensor(v, dtype=dtype, requires_grad=True)
        for k, v in params.items()
    }
    x, target = (torch.tensor(a, dtype=dtype) for a in (x, target))
    kind, options = TORCH[name]
    make = getattr(torch.optim, kind)
    optimizer = make(list(params.values()), foreach=False, **options)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(params, x, target, torch.tanh).backward()
        optimizer.step()
    return {f"out.{k}": v.detach().numpy() for k, v in params.items()}


def gradients(seed):
    """(parameters, function that gives their gradients), in JAX."""
    import jax
    import jax.numpy as jnp

    params, x, target = start(seed)
    params = {k: jnp.asarray(v) for k, v in params.items()}
    return params, jax.grad(lambda p: loss(p, x, target, jnp.tanh))


def optax_steps(transformation, seed):
    import optax

    params, gradient = gradients(seed)
    state = transformation.init(params)
    for _ in range(STEPS):
        updates, state = transformation.update(
            gradient(params), state, params
        )
        params = optax.apply_updates(params, updates)
    return {f"out.{k}": np.asarray(v) for k, v in params.items()}


def keras_steps(make, seed):
    import keras

    params, gradient = gradients(seed)
    variables = {k: keras.Variable(v) for k, v in params.items()}
    optimizer = make()
    optimizer.build(list(variables.values()))
    for _ in range(STEPS):
        found = gradient({k: v.value for k, v in variables.items()})
        optimizer.apply_gradients(
            [(found[k], variables[k]) for k in variables]
        )
    return {f"out.{k}": np.asarray(v) for k, v in variables.items()}


def rows_of(name, seed):
    import torch

    wanted, sigma = measuring.estimate(
        lambda: torch_steps(name, seed, torch.float64), seed
    )
    ports = {"torch": lambda: torch_steps(name, seed, torch.float32)}
    for port, transformation in optax_of(name).items():
        ports[port] = lambda t=transformation: optax_steps(t, seed)
    for port, make in keras_of(name).items():
        ports[port] = lambda m=make: keras_steps(m, seed)
    for port, steps in ports.items():
        found, missing = measuring.compared(steps(), wanted, sigma)
        row = dict(port=port, seed=seed, factor=1.0, arrays=found)
        yield row | dict(missing=missing)


def run(name):
    return [row for seed in SEEDS for row in rows_of(name, seed)]

"""What the tests of the rules share: inputs of four kinds, and how a
real float32 result stands to its budget."""

import numpy as np
import torch

from shared_tests.roundoff.budget import estimate
from shared_tests.roundoff.verdict import UNIT_ROUNDOFF, ratio

U = UNIT_ROUNDOFF["float32"]
KINDS = "random", "cancelling", "constant", "wide"


def inputs(kind, seed, *shape):
    """A float64 tensor whose numbers are exact in float32."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    if kind == "cancelling":  # sums over the last axis are about 0
        half = x[..., : shape[-1] // 2]
        x[..., shape[-1] - half.shape[-1] :] = -half * (1 + 1e-6)
    if kind == "constant":
        x = np.full(shape, 1.1 + seed / 3)
    if kind == "wide":
        x = x * 10 ** rng.uniform(-3, 3, shape)
    return torch.tensor(x).float().double()


def positive(x):
    return (x.abs() + 0.1).float().double()


def small(x):
    """Within (-0.99, 0.99), where asin and its kind are defined."""
    return (0.99 * torch.tanh(x)).float().double()


def moderate(x):
    return torch.clamp(x, -20, 20)


def above_one(x):
    return positive(x) + 1


def gradients(operation):
    """The operation's gradients, all in one, for a random cotangent."""

    def run(*args):
        args = [
            a.clone().requires_grad_() if a.is_floating_point() else a
            for a in args
        ]
        y = operation(*args)
        upstream = inputs("random", 99, *y.shape).to(y.dtype)
        wanted = [a for a in args if a.requires_grad]
        grads = torch.autograd.grad(y, wanted, upstream)
        return torch.cat([g.flatten() for g in grads])

    return run


def as_array(y):
    if isinstance(y, torch.Tensor) and y.is_complex():
        y = torch.view_as_real(y)
    if isinstance(y, np.ndarray) and y.dtype.kind == "c":
        y = np.stack([y.real, y.imag], -1)
    return y.numpy() if isinstance(y, torch.Tensor) else y


def budgeted(operation, *args, runs=24):
    """(reference, sigma) of the operation on float64 tensors."""
    reference, sigma = estimate(
        lambda: {"y": as_array(operation(*args))}, 0, runs
    )
    return reference["y"], sigma["y"]


def narrow(value):
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return value.float()
    return value


def in_pytorch(operation, *args):
    return as_array(operation(*map(narrow, args)))


def in_numpy(operation, *args):
    """The same in another float32: `operation` takes arrays."""
    args = [
        narrow(a).numpy() if isinstance(a, torch.Tensor) else a
        for a in args
    ]
    with np.errstate(all="ignore"):
        return as_array(np.asarray(operation(*args)))


def worst(value, reference, sigma):
    assert value.dtype == np.float32, value.dtype
    assert value.shape == reference.shape
    return float(ratio(value, reference, sigma, "float32").max())


def rms(value, reference, sigma):
    """rms of error / sigma: 1 where the rule knows the error exactly."""
    some = sigma > 0
    error = (value - reference)[some] / (U * sigma[some])
    return float(np.sqrt(np.mean(error**2))) if some.any() else 0.0

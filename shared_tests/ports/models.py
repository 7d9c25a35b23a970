"""Part "models": PyTorch's float32 against the budget, with gradients.

The port is PyTorch itself in float32: the same module, so that whatever
is outside is a rule of the budget that misjudges an operation, or a
kernel of PyTorch that loses digits.
"""

import copy

import numpy as np

from shared_tests.ports import measuring
from shared_tests.ports.torch_models import MODELS

NAMES = tuple(MODELS)
SEEDS = (0,)


def tensors(found):
    """{"out.<path>": float tensor} of a nest; one bare tensor is out.y."""
    import torch

    flat = {}

    def walk(path, value):
        if torch.is_tensor(value):
            if value.is_floating_point():
                flat[path] = value
        elif hasattr(value, "items"):
            for key, part in value.items():
                walk(f"{path}.{key}", part)
        elif isinstance(value, (list, tuple)):
            for number, part in enumerate(value):
                walk(f"{path}.{number}", part)

    walk("out.y" if torch.is_tensor(found) else "out", found)
    return flat


def cotangents_of_shapes(shapes, seed):
    """One for each output, exact in float32."""
    rng = np.random.default_rng(seed + 99)
    return {
        path: rng.standard_normal(tuple(shape)).astype(np.float32)
        for path, shape in shapes.items()
    }


def results(module, arrays, dtype, seed):
    """Outputs, gradients, changed buffers: {name: array}.

    The module is copied first, since in training its buffers change.
    """
    import torch

    from shared_tests.ports import hugging

    module = copy.deepcopy(module).to(dtype)
    before = {k: v.clone() for k, v in module.named_buffers()}
    with hugging.default_dtype(dtype):
        given = hugging.torch_arguments(arrays, dtype)
        wanted = {
            name: x.requires_grad_()
            for name, x in given.items()
            if x.is_floating_point()
        }
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:  # not a table of positions
                wanted[name] = parameter
        flat = tensors(module(**given))
        paths = [p for p, y in flat.items() if y.requires_grad]
        shapes = {path: flat[path].shape for path in paths}
        upstream = cotangents_of_shapes(shapes, seed)
        grads = torch.autograd.grad(
            [flat[p] for p in paths],
            list(wanted.values()),
            [torch.tensor(upstream[p], dtype=dtype) for p in paths],
            allow_unused=True,
        )
    found = {**flat}
    for name, grad in zip(wanted, grads):
        if grad is not None:
            found[f"grad.{name}"] = grad
    for name, buffer in module.named_buffers():
        if (
            buffer.is_floating_point()
            and (buffer != before[name]).any()
        ):
            found[f"buffer.{name}"] = buffer
    return {k: hugging.numpy_of(v).copy() for k, v in found.items()}


def row_of(name, seed):
    import torch

    from shared_tests.ports import torch_models

    module, arrays = torch_models.make(name, seed)
    wanted, sigma = measuring.estimate(
        lambda: results(module, arrays, torch.float64, seed), seed
    )
    values = results(module, arrays, torch.float32, seed)
    found, missing = measuring.compared(values, wanted, sigma)
    row = dict(port="torch", seed=seed, factor=1.0)
    return row | dict(arrays=found, missing=missing)


def run(name):
    return [row_of(name, seed) for seed in SEEDS]

"""The reference runs of real_data.py, by PyTorch in float64.

python -m shared_tests.real_data.make_runs        takes some minutes
"""

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from safetensors.numpy import load_file, save

import pytorch_impl
from pytorch_impl import adapter
from pytorch_impl.parameters import named_parameters, seeded
from shared_tests.budget import RoundingNoise
from shared_tests.files import write
from shared_tests.make_fixtures import SEED
from shared_tests.real_data.quantized_digits import integers
from shared_tests.real_data.tasks import (
    DATA,
    TASKS,
    draw_order,
    train_and_test,
)
from shared_tests.verdict import UNIT_ROUNDOFF

NOISY = 4
U = UNIT_ROUNDOFF["float64"]


def make_run(name):
    task, rng = TASKS[name], np.random.default_rng(SEED)
    make = getattr(pytorch_impl, task.layer)
    layer = seeded(lambda: make(**task.config), seed=SEED)
    run = {
        f"start.{key}": adapter.to_numpy(param)
        for key, param in named_parameters(layer).items()
    }
    total = len(load_file(DATA / f"{name}.safetensors")["target"])
    run["split"] = rng.permutation(total).astype(np.int16)
    order = draw_order(rng, total - task.test, task.batch, task.steps)
    run["order"] = order.astype(np.int16)
    reference = train_and_test(adapter, name, run)
    squares = dict.fromkeys(reference, 0.0)
    console = Console(stderr=True)
    for seed in track(range(NOISY), name, console=console):
        generator = torch.Generator().manual_seed(seed)
        with RoundingNoise(generator, step=U):
            noisy = train_and_test(adapter, name, run)
        for key, value in reference.items():
            squares[key] += np.mean((noisy[key] - value) ** 2) / NOISY
    for key, value in reference.items():
        run[f"ref.{key}"] = value
        run[f"sigma.{key}"] = np.array(np.sqrt(squares[key]) / U)
    return run


def write_arrays(name, arrays):
    arrays = {
        key: np.ascontiguousarray(value).reshape(np.shape(value))
        for key, value in arrays.items()
    }
    path, data = DATA / f"{name}.safetensors", save(arrays)
    write(path, data)
    print(f"wrote {path.name}, {len(data)} bytes")


def main():
    torch.set_num_threads(
        1
    )  # small arrays: a second only gets in the way
    for name in TASKS:
        write_arrays(f"{name}_run", make_run(name))
    found, losses = integers("pytorch")
    write_arrays("digits_quantized", found | {"loss": losses})


if __name__ == "__main__":
    main()

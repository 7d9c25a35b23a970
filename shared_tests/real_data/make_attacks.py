"""The reference of attacks.py, by PyTorch in float64.

python -m shared_tests.real_data.make_attacks        takes some minutes
"""

import numpy as np
import torch

import pytorch_impl
from pytorch_impl import adapter
from pytorch_impl.parameters import named_parameters, seeded
from shared_tests import budget
from shared_tests.budget import RoundingNoise
from shared_tests.make_fixtures import SEED, compact
from shared_tests.real_data import attacks
from shared_tests.real_data.attacks import (
    BOUND,
    SHORT,
    SOME,
    STEP,
    STEPS,
)
from shared_tests.real_data.make_runs import NOISY, U, write_arrays


def of_the_transformer():
    model = attacks.trained_transformer()
    (x, target), _ = attacks.digits()

    def compute():
        one = attacks.Attacker(adapter, *model, "float64")
        some = x[:SOME], target[:SOME]
        return {"gradient": one.call("input_gradient", *some)}

    reference, sigma = budget.estimate(compute, SEED, budget.RUNS)
    one = attacks.Attacker(adapter, *model, "float64")
    noise = adapter.to_tensor(attacks.start_noise(x.shape), "float64")
    ends = one.call("pgd", x, target, STEP, BOUND, STEPS, start=noise)
    sign = np.sign(one.call("input_gradient", x, target))
    return {
        "ref.gradient": reference["gradient"],
        "sigma.gradient": compact(sigma["gradient"]),
        "sign": sign.astype(np.int8),
        "pgd": np.rint((ends - x) * 512).astype(np.int8),
        "right.transformer": np.array(
            attacks.rights(adapter, "transformer", None)
        ),
    }


def of_training():
    layer = seeded(lambda: pytorch_impl.MLP(**attacks.MLP), seed=SEED)
    start = {
        n: adapter.to_numpy(p)
        for n, p in named_parameters(layer).items()
    }
    found = {f"start.{n}": p for n, p in start.items()}
    for way in attacks.WAYS:
        reference = attacks.train_mlp(adapter, start, way, SHORT)
        squares = dict.fromkeys(reference, 0.0)
        for seed in range(NOISY):
            generator = torch.Generator().manual_seed(seed)
            with RoundingNoise(generator, step=U):
                noisy = attacks.train_mlp(adapter, start, way, SHORT)
            for name, value in reference.items():
                error = noisy[name] - value
                squares[name] += np.mean(error**2) / NOISY
        for name, value in reference.items():
            found[f"ref.{way}.{name}"] = value
            sigma = np.array(np.sqrt(squares[name]) / U)
            found[f"sigma.{way}.{name}"] = sigma
        last = attacks.train_mlp(adapter, start, way, attacks.BATCHES)
        end = {n: last[n] for n in start}
        right = attacks.rights(adapter, way, end)
        found[f"right.{way}"] = np.array(right)
    return found


def main():
    torch.set_num_threads(1)
    found = of_the_transformer() | of_training()
    write_arrays("attacks", found)
    for name in ("transformer", *attacks.WAYS):
        print(name, found[f"right.{name}"].tolist())


if __name__ == "__main__":
    main()

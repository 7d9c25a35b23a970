"""cases.py x pytorch_impl in float64 -> fixtures/, with their budgets.

python -m shared_tests.make_fixtures            rewrite fixtures/
python -m shared_tests.make_fixtures --check    regenerate and compare
    --seed N --output DIR                       other numbers, elsewhere
"""

import argparse
import math
import pathlib
import sys
import zlib

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from pytorch_impl import adapter
from shared_tests import budget
from shared_tests.cases import CASES
from shared_tests.draws import normal
from shared_tests.fixture_files import (
    FIXTURES,
    FixtureError,
    check_manifest,
    read_fixture,
    read_manifest,
    write_fixtures,
)
from shared_tests.verdict import UNIT_ROUNDOFF, judge

SEED = 20260101
ACCUMULATOR = UNIT_ROUNDOFF["float32"]


def draw_array(rng, draw, low_precision):
    """One array, exact in float32, or in all four precisions."""
    if draw.allow is not None:
        array = rng.random(draw.shape) < draw.allow
        array[..., draw.closed, :] = False
        return array
    if draw.classes:
        return rng.integers(draw.classes, size=draw.shape, dtype="i4")
    if draw.values:
        array = np.array(draw.values).reshape(draw.shape)
        if draw.whole:
            return array.astype(np.int32)
    else:
        array = draw.offset + draw.scale * rng.standard_normal(
            draw.shape
        )
    if low_precision:
        # 8 significant bits: exact in bfloat16 and in float16
        mantissa, exponent = np.frexp(array)
        array = np.ldexp(np.round(mantissa * 256) / 256, exponent)
        array = np.round(array * 2**24) / 2**24  # float16's last place
    return np.asarray(array, np.float32)


def reference(
    layer,
    config,
    params,
    inputs,
    cotangents=None,
    precision="float32",
    seed=0,
    training=None,
    runs=budget.RUNS,
):
    """Reference and sigma of this layer on these numbers.

    seed: of the noise; training: instead of a gradient, as in cases.py
    Returns: ({array: float64 or integers}, {array: sigma}), sigma in
        units of u; float64 is held against the sigma of float32
    """

    def compute():
        # built anew: what it has observed or learned must not stay
        built = adapter.build(layer, config, params, "float64")
        if training:
            return adapter.train(built, inputs, **training)
        return adapter.run(built, inputs, cotangents or None)

    if precision in ("float64", "float32"):
        return budget.estimate(compute, seed, runs)
    # the true step, since bfloat16 is coarse enough to cross kinks
    step = UNIT_ROUNDOFF[precision]
    return budget.estimate(
        compute, seed, runs, ACCUMULATOR / step, step
    )


def make_fixture(case, seed):
    """{key: array} of one case, as fixture_files describes it."""
    low = "low_precision" in case.flags
    start = zlib.crc32(case.id.encode())
    rng = np.random.default_rng([seed, start])
    inputs = {
        n: draw_array(rng, d, low) for n, d in case.inputs.items()
    }
    params = {}
    for name, shape in adapter.shapes(case.layer, case.config).items():
        fan = math.prod(shape[1:]) ** 0.5 if len(shape) > 1 else 1.0
        usual = case_draw(case, name, shape, 1 / fan)
        params[name] = draw_array(rng, usual, low)
    built = adapter.build(case.layer, case.config, params, "float64")
    cotangents = {}
    if not case.training:
        y = adapter.run(built, inputs)["out.y"]
        if y.dtype.kind == "f":  # codes have no gradient
            usual = case_draw(case, "cotangent", y.shape, 1.0)
            cotangents = {"y": draw_array(rng, usual, low)}

    fixture = {f"in.{n}": x for n, x in inputs.items()}
    fixture |= {f"param.{n}": p for n, p in params.items()}
    fixture |= {f"cotangent.{n}": c for n, c in cotangents.items()}

    def measured(precision):
        return reference(
            case.layer,
            case.config,
            params,
            inputs,
            cotangents,
            precision,
            start,
            case.training,
        )

    references, sigmas = measured("float32")
    fixture |= {f"ref.{k}": v for k, v in references.items()}
    fixture |= {f"sigma.{k}": compact(v) for k, v in sigmas.items()}
    for precision in ("bfloat16", "float16") if low else ():
        for key, sigma in measured(precision)[1].items():
            fixture[f"sigma_{precision}.{key}"] = compact(sigma)
    return fixture


def compact(sigma):
    """float32, unless that would flush a sigma to 0 or to infinity."""
    with np.errstate(over="ignore", under="ignore"):
        narrow = np.asarray(sigma, np.float32)
    kept = np.isfinite(narrow) & (
        (np.abs(narrow) > 1e-37) | (sigma == 0)
    )
    return narrow if kept.all() else np.asarray(sigma)


def case_draw(case, name, shape, scale):
    return case.params.get(name, normal(*shape, scale=scale))


def compare(case, old, new):
    """What differs between a committed fixture and a fresh one.

    Inputs equal, references within their own float64 budget, sigma within
    six standard errors of a spread that is estimated from RUNS samples.
    """
    if old.keys() != new.keys():
        return [f"{case.id}: arrays {sorted(old.keys() ^ new.keys())}"]
    wrong = []
    for key in new:
        kind, name = key.split(".", 1)
        if kind == "ref":
            sigma = old[f"sigma.{name}"]
            verdict = judge(new[key], old[key], sigma, "float64")
            if not verdict.passed:
                wrong.append(f"{case.id} {key}: {verdict.detail}")
        elif kind.startswith("sigma"):
            wrong += compare_sigma(
                f"{case.id} {key}", old[key], new[key]
            )
        elif not np.array_equal(old[key], new[key]):
            wrong.append(f"{case.id} {key}: the drawn numbers differ")
    return wrong


def compare_sigma(what, old, new):
    if not np.array_equal(old > 0, new > 0):
        return [f"{what}: exact elements differ"]
    if not (old > 0).any():
        return []
    spread = [
        math.log(np.sum(np.square(s, dtype=float))) for s in (old, new)
    ]
    error = math.sqrt(
        2 * 2 / budget.RUNS
    )  # of the log of two variances
    if abs(spread[0] - spread[1]) > 6 * error:
        return [
            f"{what}: variance ratio {math.exp(spread[1] - spread[0])}"
        ]
    return []


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--output", type=pathlib.Path, default=FIXTURES)
    args = parser.parse_args()
    torch.set_num_threads(
        1
    )  # small arrays: a second only gets in the way
    console = Console(stderr=True)
    own = [case for case in CASES if not case.like]
    rows = track(own, "fixtures", console=console, transient=True)
    if not args.check:
        arrays = {
            case.id: make_fixture(case, args.seed) for case in rows
        }
        write_fixtures(
            arrays, args.seed, adapter.versions(), args.output
        )
        print(f"wrote {len(arrays)} fixtures to {args.output}")
        return 0
    try:
        manifest = read_manifest(args.output)
        check_manifest(manifest)
        wrong = []
        for case in rows:
            old = read_fixture(case, manifest, args.output)
            wrong += compare(
                case, old, make_fixture(case, manifest["seed"])
            )
    except FixtureError as error:
        wrong = [str(error)]
    for line in wrong:
        print(line)
    if wrong:
        print("the fixtures are stale: run `make fixtures`")
    else:
        print(f"{len(own)} fixtures are what the reference computes")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

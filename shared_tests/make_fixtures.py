"""One case -> its numbers, their reference in float64 and its budget.

fixture = make_fixture(case, SEED)
Only what makes numbers is here: a change of it, other than of words,
makes all fixtures stale. renew_fixtures.py writes and compares them.
"""

import math
import zlib

import numpy as np

from pytorch_impl import adapter
from shared_tests import budget
from shared_tests.draws import normal
from shared_tests.verdict import UNIT_ROUNDOFF

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

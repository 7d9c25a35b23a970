"""A port against the reference's error budget, and what others would say.

The verdict is roundoff's: |value - reference| <= 16 u sigma + tiny. The
other three are what people use today, each as its worst error divided by
what it allows, so that 1 is the limit for all of them.
"""

import copy
import re

import numpy as np

from shared_tests.roundoff import verdict

RUNS = 16
U = verdict.UNIT_ROUNDOFF["float32"]
CRITERIA = ("budget", "abs 1e-5", "assert_close", "allclose")


def double(model):
    """A float64 copy; tied weights stay tied."""
    return copy.deepcopy(model).double()


def estimate(compute, seed, runs=RUNS):
    """Reference and sigma; attention by its formula, not as one kernel."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from shared_tests.roundoff import budget

    with sdpa_kernel(SDPBackend.MATH):
        return budget.estimate(compute, seed, runs)


def as_channels_first(value, reference):
    """Flax and TensorFlow return images with their channels last."""
    if value.ndim == 4 and value.shape != reference.shape:
        turned = value.transpose(0, 3, 1, 2)
        if turned.size == reference.size:
            return turned.reshape(reference.shape)
    return value


def measured(value, reference, sigma):
    """{criterion: worst ratio}, and what else the tables need."""
    value = as_channels_first(np.asarray(value), reference)
    if value.shape != reference.shape:
        have, want = list(value.shape), list(reference.shape)
        return dict(shape=f"expected {want}, got {have}")
    ratios = verdict.ratio(value, reference, sigma, "float32")
    error = np.abs(value.astype(np.float64) - reference)
    size = np.abs(reference)
    counts = sigma > 0
    ours = error[counts] / (U * sigma[counts])
    return {
        "budget": top(ratios),
        "abs 1e-5": top(error / 1e-5),
        "assert_close": top(error / (1e-5 + 1.3e-6 * size)),
        "allclose": top(error / (1e-8 + 1e-5 * size)),
        "rms": float(np.sqrt(np.mean(ours**2))) if ours.size else 0.0,
        "elements": int(reference.size),
        "error": top(error),
        "largest": top(size),
    }


def top(values):
    """The largest; infinite where one is not a number."""
    if not values.size:
        return 0.0
    peak = float(np.max(values))
    return peak if peak == peak else float("inf")


def compared(values, reference, sigma):
    """{array: what measured() says} and the arrays that one side lacks."""
    both = [name for name in reference if name in values]
    arrays = {
        name: measured(values[name], reference[name], sigma[name])
        for name in sorted(both, key=forward_order)
    }
    return arrays, sorted(set(reference) ^ set(values))


def forward_order(path):
    """Hidden states come before what is made of them, encoders first."""
    stage = 2
    if any(w in path for w in ("encoder_", "_enc_", "text", "vision")):
        stage = 0
    if "decoder_" in path or "_dec_" in path:
        stage = 1
    if "hidden_states" not in path:
        stage += 0.5
    numbers = [int(n) for n in re.findall(r"\d+", path)]
    return stage, re.sub(r"\d+", "", path), numbers


def first_wrong(arrays, criterion="budget"):
    """The first array outside, in the order of the forward pass; or ""."""
    for name, found in arrays.items():
        if "shape" in found or found[criterion] > 1:
            return name
    return ""

"""How many noisy runs a verdict needs: schemes for fewer, measured.

python -m shared_tests.performance.verdict_runs [seeds]     in PyTorch

Ten small layers, outputs and gradients, real float32 PyTorch against the
budget of the first k of 48 runs, by four ways to make up for so few, and
by the proof of roundoff/sampling.py. Prints the tables of
docs/performance/verdict.md: false alarms, the worst ratio, and what each
way does to the budget (its 95th percentile and largest, in units of the
budget of all 48 runs: a wider one sees less).
"""

import collections
import math
import sys

import mpmath
import numpy as np
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import _disable_current_modes

from shared_tests.roundoff.budget import RUNS, STEP, RoundingNoise
from shared_tests.roundoff.verdict import FACTOR, ratio

FEW = (3, 4, 8, 12, 16, RUNS)


def attention(q, k, v):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return torch.softmax(scores, -1) @ v


def layer_norm(x, weight, bias):
    centred = x - x.mean(-1, keepdim=True)
    variance = (centred * centred).mean(-1, keepdim=True)
    return centred / torch.sqrt(variance + 1e-5) * weight + bias


def mlp(x, w1, b1, w2, b2):
    return F.linear(torch.tanh(F.linear(x, w1, b1)), w2, b2)


def rms_norm(x, weight):
    power = (x * x).mean(-1, keepdim=True)
    return x / torch.sqrt(power + 1e-6) * weight


HEADS = [(2, 3, 17, 8), (2, 3, 19, 8), (2, 3, 19, 8)]
ROWS = [(29, 64), (64,), (64,)]
# name: (function, shapes, scale and offset of the first input)
LAYERS = {
    "centred": (lambda x: x - x.mean(), [(33, 47)], 1, 5),
    "linear": (F.linear, [(19, 129), (23, 129), (23,)], 1, 0),
    "mlp": (mlp, [(17, 31), (65, 31), (65,), (13, 65), (13,)], 1, 0),
    "attention": (attention, HEADS, 1, 0),
    "attention, large scores": (attention, HEADS, 9, 0),
    "layer norm": (layer_norm, ROWS, 1, 0),
    "layer norm, mean 10": (layer_norm, ROWS, 1, 10),
    "rms norm": (rms_norm, ROWS[:2], 1, 0),
    "softmax": (lambda x: torch.softmax(x, -1), [(31, 37)], 4, 0),
    "products": (lambda x, y: x * y + x, [(41, 43), (41, 43)], 1, 0),
}


def given(name, seed):
    """Inputs that are exact in float32, and the cotangent's generator."""
    _, shapes, scale, offset = LAYERS[name]
    generator = torch.Generator().manual_seed(seed)
    first, *rest = (
        torch.randn(*s, generator=generator) for s in shapes
    )
    return [first * scale + offset, *rest], generator


def results(name, seed, dtype):
    """Output and all gradients, as float64 arrays."""
    with _disable_current_modes():
        xs, generator = given(name, seed)
        xs = [x.to(dtype).requires_grad_() for x in xs]
    y = LAYERS[name][0](*xs)
    with _disable_current_modes():
        up = torch.randn(y.shape, generator=generator).to(dtype)
    grads = torch.autograd.grad(y, xs, up)
    return [a.detach().numpy().astype(np.float64) for a in (y, *grads)]


def squares(name, seed, reference):
    """For each array, sums of squared deviations after 1 to RUNS runs."""
    total = [np.zeros((RUNS, *a.shape)) for a in reference]
    generator = torch.Generator().manual_seed(seed)
    for run in range(RUNS):
        with RoundingNoise(generator):
            noisy = results(name, seed, torch.float64)
        for t, a, right in zip(total, noisy, reference):
            t[run] = ((a - right) / STEP) ** 2
    return [np.cumsum(t, 0) for t in total]


def tail(k, x):
    """P(|t| > x) of Student's t with k degrees of freedom."""
    return mpmath.betainc(
        k / 2, 0.5, 0, k / (k + x * x), regularized=True
    )


def student(k):
    """By which k runs are widened, to leave what 48 leave beyond 16."""
    want = mpmath.log(tail(RUNS, FACTOR))

    def miss(log_x):
        return mpmath.log(tail(k, mpmath.exp(log_x))) - want

    start = mpmath.log(FACTOR) + 5 / k
    return float(mpmath.exp(mpmath.findroot(miss, start))) / FACTOR


def schemes(s, k, factor):
    """{name: sigma} of k runs with the mean square s; exact stays 0."""
    sigma = np.sqrt(s)
    floor = np.maximum(sigma, np.median(sigma) / 4)
    row = np.sqrt(s.mean(-1, keepdims=True)) if s.ndim else sigma
    return {
        "as it is": sigma,
        "at least a quarter of the median": np.where(s > 0, floor, 0),
        "at least the mean square of its row": np.where(
            s > 0, np.maximum(sigma, row), 0
        ),
        "times Student's factor": factor * sigma,
    }


class Tally:
    def __init__(self):
        self.worst, self.outside, self.elements = 0.0, 0, 0
        self.widths = []

    def add(self, ratios, sigma, full):
        self.worst = max(self.worst, float(ratios.max()))
        self.outside += int((ratios > 1).sum())
        self.elements += ratios.size
        self.widths.append((sigma[full > 0] / full[full > 0]).ravel())

    def row(self):
        widths = np.concatenate(self.widths)
        return (
            f"{self.outside} | {self.worst:.2g} | "
            f"{np.quantile(widths, 0.95):.2g} | {widths.max():.2g}"
        )


def runs_needed(values, reference, sums):
    """After how many runs a pass of all 48 is proven."""
    for k in range(1, RUNS + 1):
        if all(
            ratio(v, right, np.sqrt(s[k - 1] / RUNS), "float32").max()
            <= 1
            for v, right, s in zip(values, reference, sums)
        ):
            return k
    raise AssertionError("a right layer is outside after all runs")


def main(seeds=20):
    torch.set_num_threads(1)
    tallies, needed = collections.defaultdict(Tally), {}
    factors = {k: student(k) for k in FEW}
    for name in LAYERS:
        needed[name] = []
        for seed in range(seeds):
            values = results(name, seed, torch.float32)
            reference = results(name, seed, torch.float64)
            sums = squares(name, seed, reference)
            needed[name].append(runs_needed(values, reference, sums))
            for v, right, s in zip(values, reference, sums):
                full = np.sqrt(s[-1] / RUNS)
                for k in FEW:
                    found = schemes(s[k - 1] / k, k, factors[k])
                    for label, sigma in found.items():
                        ratios = ratio(v, right, sigma, "float32")
                        tallies[label, k].add(ratios, sigma, full)
    print("| runs | sigma | false alarms | worst ratio | 95 % | most |")
    print("|---|---|---|---|---|---|")
    for (label, k), tally in sorted(tallies.items()):
        print(f"| {k} | {label} | {tally.row()} |")
    print(f"{tallies['as it is', RUNS].elements} elements")
    for name, counts in needed.items():
        middle, most = np.median(counts), max(counts)
        print(f"| {name} | {middle:g} | {most} |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

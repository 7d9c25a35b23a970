"""Error budgets from the reference itself, by Monte Carlo arithmetic.

The canonical layer runs in float64 under a mode that adds, to the result
of every arithmetic operation, the random error that rounding to a working
precision would make there. The spread of each output over RUNS runs is
sigma, the rounding error to expect, in units of the unit roundoff u.
Cancellation and conditioning come out of the sampling, so no layer needs
a formula or a tolerance of its own.

Noise on one result y, standard deviation in units of u:
    exact operations (exact.py; also negation, rounding to an integer,
        times a power of two, integer dtypes, whole numbers that add up
        to at most 2^24, and what is infinite or no number)          none
    elementwise                     ulps |y| / sqrt 3, see elementwise.py
    sums of n terms p_i with result S, Q = sum p_i^2          see sums.py
    averages over windows                                  see pooling.py
    a Fourier transform of the last axis                   see fourier.py
Anything else is decomposed into these, or refused (decompositions.py).
docs/operations.md lists which operation is treated how.

Ref: Parker 1997, Monte Carlo Arithmetic; Higham, Mary 2019, SIAM J. Sci.
Comput. 41, A2815 (why random errors are the right model)
"""

import numpy as np
import torch

from .rules.elementwise import STEP
from .rules.noise import RoundingNoise
from .rules.selfcheck import SelfCheckError, self_check
from .rules.widened import Widened

__all__ = [
    "RUNS",
    "STEP",
    "RoundingNoise",
    "SelfCheckError",
    "Widened",
    "estimate",
]

RUNS = 48


def estimate(compute, seed, runs=RUNS, accumulator=1.0, step=STEP):
    """Reference and sigma of every array that compute() returns.

    compute: no arguments, float64 PyTorch inside, returns {name: ndarray}
    Returns: ({name: float64 ndarray}, {name: float64 ndarray}), sigma in
        units of the unit roundoff. Of integers it says where noise moves
        one, by how much: no budget, integers must be equal (verdict.py)
    Raises: NotImplementedError for an operation without a rule,
        SelfCheckError where a decomposition is not what it stands for
    """
    with Widened():
        reference = compute()
    total = {k: np.zeros(np.shape(v)) for k, v in reference.items()}
    generator = torch.Generator().manual_seed(seed)
    for _ in range(runs):
        with RoundingNoise(generator, accumulator, step):
            noisy = compute()
        for k, value in noisy.items():
            total[k] += (value - reference[k].astype(np.float64)) ** 2
    sigma = {k: np.sqrt(v / runs) / step for k, v in total.items()}
    self_check(compute, reference, sigma)
    return reference, sigma

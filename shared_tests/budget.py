"""The error budget, as the rest of this repo uses it: roundoff/budget.py."""

from shared_tests.roundoff.budget import (
    RUNS,
    STEP,
    RoundingNoise,
    estimate,
)

__all__ = ["RUNS", "STEP", "RoundingNoise", "estimate"]

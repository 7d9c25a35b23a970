"""The verdict, as the rest of this repo uses it: roundoff/verdict.py."""

from shared_tests.roundoff.verdict import (
    FACTOR,
    LARGEST,
    TINY,
    UNIT_ROUNDOFF,
    Verdict,
    budget,
    failed,
    judge,
    ratio,
    sigma_error,
)

__all__ = [
    "FACTOR",
    "LARGEST",
    "TINY",
    "UNIT_ROUNDOFF",
    "Verdict",
    "budget",
    "failed",
    "judge",
    "ratio",
    "sigma_error",
]

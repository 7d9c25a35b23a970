"""Functions of single elements: real float32 stays within the budget,
and uses it."""

import numpy as np
import pytest
import torch

from shared_tests.roundoff.rules.elementwise import RULES, ULPS
from shared_tests.roundoff.rules.tests.two_sided import (
    KINDS,
    above_one,
    budgeted,
    in_numpy,
    in_pytorch,
    inputs,
    moderate,
    positive,
    rms,
    small,
    worst,
)

ENVIRONMENTS = ("pytorch",)

aten = torch.ops.aten
SHAPE = 23, 61


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# operation, NumPy's, and where each argument comes from; None where
# NumPy has no such function: then it is PyTorch's own scalar loop
ROWS = {
    aten.add: (np.add, torch.clone, torch.clone),
    aten.sub: (np.subtract, torch.clone, torch.clone),
    aten.rsub: (lambda x, y: y - x, torch.clone, torch.clone),
    aten.mul: (np.multiply, torch.clone, torch.clone),
    aten.div: (np.divide, torch.clone, positive),
    aten.reciprocal: (np.reciprocal, positive),
    aten.square: (np.square, torch.clone),
    aten.sqrt: (np.sqrt, positive),
    aten.rsqrt: (lambda x: 1 / np.sqrt(x), positive),
    aten.exp: (np.exp, moderate),
    aten.exp2: (np.exp2, moderate),
    aten.expm1: (np.expm1, moderate),
    aten.log: (np.log, positive),
    aten.log2: (np.log2, positive),
    aten.log10: (np.log10, positive),
    aten.log1p: (np.log1p, positive),
    aten.sin: (np.sin, moderate),
    aten.cos: (np.cos, moderate),
    aten.tan: (np.tan, moderate),
    aten.asin: (np.arcsin, small),
    aten.acos: (np.arccos, small),
    aten.atan: (np.arctan, torch.clone),
    aten.atan2: (np.arctan2, torch.clone, torch.clone),
    aten.sinh: (np.sinh, moderate),
    aten.cosh: (np.cosh, moderate),
    aten.tanh: (np.tanh, torch.clone),
    aten.asinh: (np.arcsinh, torch.clone),
    aten.acosh: (np.arccosh, above_one),
    aten.atanh: (np.arctanh, small),
    aten.sigmoid: (sigmoid, moderate),
    aten.hypot: (np.hypot, torch.clone, torch.clone),
    aten.pow: (np.power, positive, small),
    aten.erf: (None, torch.clone),
    aten.erfc: (None, small),
    aten.erfinv: (None, small),
    aten.lgamma: (None, positive),
    aten.digamma: (None, positive),
    aten.special_erfcx: (None, small),
    aten.special_ndtri: (None, lambda x: torch.sigmoid(small(x))),
    aten.special_entr: (None, positive),
    aten.i0: (None, moderate),
    aten.special_i0e: (None, moderate),
    aten.special_i1: (None, moderate),
    aten.special_i1e: (None, moderate),
}
# rows of complex numbers have tests of their own: test_rules_complex.py
ELSEWHERE = {aten.angle, aten.sgn, aten.polar, aten.polygamma}


def test_every_rule_has_a_row():
    assert ROWS.keys() | ELSEWHERE == ULPS.keys() | RULES.keys()


def arguments(op, kind):
    _, *sources = ROWS[op]
    return [
        source(inputs(kind, seed, *SHAPE)).float().double()
        for seed, source in enumerate(sources, 1)
    ]


def strided(op, *args):
    """Every other element of an array: not the vectorised loop."""
    wide = [torch.stack([a.float(), a.float()], -1) for a in args]
    return op(*(w[..., 0] for w in wide)).numpy()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("op", ROWS, ids=str)
def test_float32_keeps_the_budget(op, kind):
    other, args = ROWS[op][0], arguments(op, kind)
    reference, sigma = budgeted(op, *args)
    assert worst(in_pytorch(op, *args), reference, sigma) <= 1
    again = in_numpy(other, *args) if other else strided(op, *args)
    assert worst(again, reference, sigma) <= 1


@pytest.mark.parametrize("op", ROWS, ids=str)
def test_float32_uses_the_budget(op):
    """rms error / sigma; a library may be as much better as `ulps`
    allow others to be worse."""
    args = arguments(op, "random")
    reference, sigma = budgeted(op, *args)
    used = rms(in_pytorch(op, *args), reference, sigma)
    assert 0.2 / ULPS[op] < used < 1.1

"""Ranges: what the reference computes in a narrower range of numbers.

Where overflow, underflow or an exact tie decides an element, each
framework may order it another way, and judging.py leaves it out. These
float64 runs find such elements: see there.
"""

from unittest import mock

import numpy as np
import torch

from pytorch_impl import adapter
from pytorch_impl.quantization import qat_linear
from shared_tests import budget
from shared_tests.verdict import LARGEST, TINY

SMALL = {precision: 4 * tiny for precision, tiny in TINY.items()}
SMALL["float64"] = 2.0**-480  # its squares are sums in budget.py

aten = torch.ops.aten
SUMS = (aten.sum, aten.mean, aten.mm, aten.bmm, aten.convolution)


class Range(budget.RoundingNoise):
    """The float64 reference, with a narrower precision's numbers."""

    def __init__(self, precision):
        super().__init__(
            torch.Generator()
        )  # without one nothing rounds
        self.dtype = getattr(torch, precision)
        self.small = SMALL[precision]
        self.large = LARGEST[precision] / 256
        self.lost = torch.nan
        self.overflowed = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Constants, such as 1 / levels, are rounded as well."""
        args = tuple(
            float(torch.tensor(a, dtype=self.dtype))
            if isinstance(a, float)
            else a
            for a in args
        )
        return super().__torch_dispatch__(func, types, args, kwargs)

    def deviation(self, op, y, args, kwargs):
        """What is lost where parts of a sum overflow, by their order; no
        noise."""
        if op not in SUMS:
            return 0.0
        sizes = (a.abs() if torch.is_tensor(a) else a for a in args)
        parts = op(*sizes, **kwargs)
        # of one sign the parts add up to |y|, but for float64's rounding
        mixed = parts.isfinite() & (parts > y.abs() * (1 + 1e-9))
        lost = mixed & (parts > self.large)
        self.overflowed |= bool(lost.any())
        y[lost] = self.lost
        return 0.0

    def perturb(self, y, noise):
        for part in y if isinstance(y, list | tuple) else [y]:
            if part is None:
                continue
            if part.is_complex():
                part = torch.view_as_real(part)
            part[part.abs() < self.small] = 0
            beyond = part.abs() > self.large
            self.overflowed |= bool(part[beyond].isfinite().any())
            part[beyond] *= torch.inf
            part.copy_(part.to(self.dtype))
        return y


class InfiniteSums(Range):
    """mxnet 1.9.1: sum([inf, 1]) is NaN; docs/deviations.md."""

    def deviation(self, op, y, args, kwargs):
        super().deviation(op, y, args, kwargs)
        if op in (aten.sum, aten.mean):
            y[y.isinf()] = torch.nan
        return 0.0


class Gradual(Range):
    """Another way out of the range, at both ends.

    Underflow by steps of the smallest subnormal number, not to 0; and
    -inf where parts overflow, which a rectifier closes, and NaN opens.
    """

    def __init__(self, precision):
        super().__init__(precision)
        self.small, self.lost = 0.0, -torch.inf


def ranged(request, kind=Range):
    """What the reference computes in that range; did it overflow?

    ({}, True) if it refuses that: the QAT pages do so for a range of inf
    """
    mode = kind(request.precision)

    def cut(arrays):
        wide = {n: np.array(a) for n, a in arrays.items()}
        for array in wide.values():
            if array.dtype.kind == "f":
                array[np.abs(array) < mode.small] = 0
        return wide

    layer, config, params, inputs, cotangents = request[:5]
    built = adapter.build(layer, config, cut(params), "float64")
    cotangents = cut(cotangents) or None
    with mode:
        try:
            arrays = adapter.run(built, cut(inputs), cotangents)
        except ValueError:
            return {}, True
    return arrays, mode.overflowed


def in_range(request):
    """Both of the ways in which numbers leave the range."""
    return [ranged(request, kind) for kind in (Range, Gradual)]


def infinite_sums(request):
    return ranged(request, InfiniteSums)[0]


def narrow_sums(request):
    """jax 0.10.2 without x64 has no int64: its code_linear sums codes in
    int32, and y is NaN where that, or the bias beside it, would wrap."""
    exact = qat_linear.code_linear

    def narrow(x, weight, bias, x_scale, w_scale):
        y = exact(x, weight, bias, x_scale, w_scale)
        step = (x_scale * w_scale).detach()
        b = torch.zeros_like(step) if bias is None else bias.detach()
        most = (y.detach() - b).abs() / step + b.abs() / step
        # so that no rounding on the way to 2^31 is on the other
        # side; of an infinite bias, most is NaN
        wraps = ~(most < 2.0**31 * (1 - 2.0**-12))
        nothing = torch.zeros_like(y)
        return y + torch.where(wraps, nothing + torch.nan, nothing)

    with mock.patch.object(qat_linear, "code_linear", narrow):
        return ranged(request)[0]


# NaN where these have it, and the framework too, is no news
QUIRKS = {"mxnet": infinite_sums, "jax": narrow_sums}

"""Error budgets from the reference itself, by Monte Carlo arithmetic.

The canonical layer runs in float64 under a mode that adds, to the result
of every arithmetic operation, the random error that rounding to a working
precision would make there. The spread of each output over RUNS runs is
sigma, the rounding error to expect, in units of the unit roundoff u.
Cancellation and conditioning come out of the sampling, so no layer needs
a formula or a tolerance of its own.

Noise on one result y, standard deviation in units of u:
    exact operations (views, selections, comparisons, negation, rounding
        to an integer, times a power of two, integer plus integer, sums
        of products of integers below 2^24, integer dtypes)          none
    elementwise                                             ulps |y| / sqrt 3
    sums of n terms p_i with result S, Q = sum p_i^2        see `sum_noise`
    a Fourier transform of the last axis                    see `fft_noise`
Anything else is decomposed by PyTorch into these, or refused.

Ref: Parker 1997, Monte Carlo Arithmetic; Higham, Mary 2019, SIAM J. Sci.
Comput. 41, A2815 (why random errors are the right model)
"""

import math

import numpy as np
import torch
from torch._decomp import core_aten_decompositions, get_decompositions
from torch.utils._python_dispatch import TorchDispatchMode

RUNS = 48
STEP = 2.0**-24  # the u of the sampling; small enough to stay linear

aten = torch.ops.aten
# built-in layers that PyTorch does not count as composed of others
COMPOUND = [
    getattr(aten, name)
    for name in """
    addmm baddbmm gelu gelu_backward silu silu_backward
    _softmax _softmax_backward_data
    _log_softmax _log_softmax_backward_data
    """.split()
]
DECOMPOSITIONS = core_aten_decompositions()
DECOMPOSITIONS.update(get_decompositions(COMPOUND))

EXACT = {
    getattr(aten, name)
    for name in """
    _local_scalar_dense _reshape_alias _to_copy _unsafe_view abs alias
    amax amin any arange as_strided bitwise_and bitwise_not cat clamp
    clone contiguous copy_ detach detach_ empty empty_like eq expand
    fill_ full full_like ge gt index is_same_size isnan le lift_fresh lt
    maximum minimum ne neg new_empty new_zeros ones ones_like permute
    real relu reshape round scalar_tensor scatter_ select
    select_backward slice slice_backward sort split squeeze squeeze_
    stack t transpose tril uniform_ unsqueeze view view_as_complex
    view_as_real where zero_ zeros zeros_like
    """.split()
}

WHOLE = (torch.bool, torch.int8, torch.int32, torch.int64)

# ulps that good vector libraries allow
ELEMENTWISE = {
    aten.add: 1,
    aten.sub: 1,
    aten.rsub: 1,
    aten.mul: 1,
    aten.div: 1,
    aten.reciprocal: 1,
    aten.sqrt: 1,
    aten.exp: 4,
    aten.log: 4,
    aten.sin: 4,
    aten.cos: 4,
    aten.tanh: 6,
    aten.sigmoid: 6,
    aten.erf: 6,
}


def sum_noise(n, total, squares):
    """Expected error of adding n terms one by one in random order."""
    serial = n * (total**2 / 3 + squares / 6) / 3 + squares / 3
    several = torch.as_tensor(n > 1)
    return torch.where(several, torch.sqrt(serial), 0)


def fft_noise(power):
    """Error of a transform whose n coefficients have |X|^2 = power.

    The stage of an FFT that makes m coefficients out of one sum leaves
    an error as large as these m, n/m apart, are on the average. Which
    stages there are is each library's choice: all divisors count, and
    at least log2 n stages. A prime above 50 goes through a convolution
    of another length, which can put the largest coefficient anywhere.
    Measured with torch 2.13.0 (MKL) and jax 0.10.2 (DUCC), n = 2 to
    4096: worst 7 sigma. The mean over all n alone, which does for noise,
    was 24 sigma at n = 331 and 56 at 4096 for x with a mean of 11.
    """
    n = power.shape[-1]
    if n == 1:
        return torch.zeros_like(power)
    parts = [m for m in range(1, n) if n % m == 0]
    mean = torch.mean(power, dim=-1, keepdim=True)
    total = max(1, math.log2(n) - len(parts)) * mean
    for m in parts:
        apart = power.unflatten(-1, (m, n // m))
        every = torch.mean(apart, dim=-2, keepdim=True)
        total = total + every.expand(apart.shape).flatten(-2)
    if largest_prime(n) > 50:
        total = total + torch.amax(power, dim=-1, keepdim=True)
    return 0.6 * torch.sqrt(total)


def largest_prime(n):
    for p in range(2, n):
        if n % p == 0:
            return max(p, largest_prime(n // p))
    return n


def power_of_two(value):
    """Where a factor is +-2^k, so that multiplying by it is exact."""
    if isinstance(value, torch.Tensor):
        return torch.frexp(value.abs()).mantissa == 0.5
    return math.frexp(abs(value))[0] == 0.5


def scaling_noise(y, a, b, **_):
    inexact = y.abs() / math.sqrt(3)
    free = power_of_two(b)
    if torch.is_tensor(free):
        return torch.where(free, torch.zeros_like(y), inexact)
    return torch.zeros_like(y) if free else inexact


def reciprocal_noise(y, a, **_):
    return scaling_noise(y, y, a)


def product_noise(y, a, b, **_):
    noise = scaling_noise(y, a, b)
    if not torch.is_tensor(b) and math.frexp(b)[0] / STEP % 1:
        return noise  # a constant that is rounded itself, such as 1/255
    return torch.minimum(noise, scaling_noise(y, b, a))


def integer(value):
    if isinstance(value, torch.Tensor):
        return value == torch.round(value)
    return torch.as_tensor(value == round(value))


def reduced(x, dim):
    """How many terms each sum over `dim` has; None or () is all axes."""
    if dim is None or dim == []:
        return x.numel()
    dims = [dim] if isinstance(dim, int) else dim
    return math.prod(x.shape[d] for d in dims)


def reduce_sum_noise(y, x, dim=None, keepdim=False, **_):
    axes = dim if dim else None
    squares = torch.sum(x * x, dim=axes, keepdim=keepdim)
    return sum_noise(reduced(x, dim), y, squares)


def reduce_mean_noise(y, x, dim=None, keepdim=False, **_):
    n = reduced(x, dim)
    if n == 0:
        return torch.zeros_like(y)
    noise = reduce_sum_noise(y * n, x, dim, keepdim) / n
    division = y.abs() / math.sqrt(3)
    return torch.sqrt(noise**2 + division**2)


def product_sum_noise(n, y, squares):
    """A sum of n products: one rounding where there is only one."""
    one = y.abs() / math.sqrt(3)
    return torch.where(
        torch.as_tensor(n > 1), sum_noise(n, y, squares), one
    )


def whole_products(a, b):
    """Sums of whole numbers that stay below 2^24 are exact everywhere."""
    if not (integer(a).all() and integer(b).all()):
        return False
    return bool(((a.abs() @ b.abs()) <= 1 / STEP).all())


def matmul_noise(y, a, b):
    if whole_products(a, b):
        return torch.zeros_like(y)
    return product_sum_noise(a.shape[-1], y, (a * a) @ (b * b))


def convolution_noise(y, x, weight, bias, *options):
    """Counting the terms, and adding their squares, are convolutions."""
    if bias is not None:
        raise NotImplementedError("budget.py: the bias is added apart")

    def alike(x, weight):
        return aten.convolution(x, weight, None, *options)

    n = alike(torch.ones_like(x), torch.ones_like(weight))
    return product_sum_noise(n, y, alike(x * x, weight * weight))


def convolution_backward_noise(y, dy, x, weight, _, *options):
    *options, wanted = options

    def alike(*arrays):
        return aten.convolution_backward(
            *arrays, None, *options, [*wanted[:2], False]
        )

    counts = alike(*(torch.ones_like(a) for a in (dy, x, weight)))
    squares = alike(dy * dy, x * x, weight * weight)
    return [
        None if part is None else product_sum_noise(*both)
        for part, *both in zip(y, counts, y, squares)
    ]


def transform_noise(y, x, dim, normalization, _):
    if normalization != 0 or [d % x.ndim for d in dim] != [x.ndim - 1]:
        raise NotImplementedError(
            "budget.py: only unnormalised transforms of the last axis"
        )
    n, power = x.shape[-1], y.abs() ** 2
    if y.shape[-1] < n:  # of a real x: the other half is the mirror
        mirror = power[..., 1 : (n + 1) // 2].flip(-1)
        power = torch.cat([power, mirror], dim=-1)
    return fft_noise(power)[..., : y.shape[-1]]


RULES = {
    aten.mul: product_noise,
    aten.div: scaling_noise,
    aten.reciprocal: reciprocal_noise,
    aten.sum: reduce_sum_noise,
    aten.mean: reduce_mean_noise,
    aten.mm: matmul_noise,
    aten.bmm: matmul_noise,
    aten.convolution: convolution_noise,
    aten.convolution_backward: convolution_backward_noise,
    aten._fft_r2c: transform_noise,
    aten._fft_c2c: transform_noise,
}


class RoundingNoise(TorchDispatchMode):
    """Adds rounding noise to every result, in units of `step`.

    accumulator: the unit roundoff of sums, in units of that of stored
    results. 1 for one precision throughout; 2^-16 for bfloat16 and 2^-13
    for float16 with float32 sums, whose results are then rounded once.
    """

    def __init__(self, generator, accumulator=1.0, step=STEP):
        super().__init__()
        self.generator = generator
        self.accumulator = accumulator
        self.step = step

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        op = func.overloadpacket
        name = func._schema.name
        if name.endswith("_") and hasattr(aten, name[6:-1]):
            op = getattr(aten, name[6:-1])  # add_ rounds as add does
        if func.overloadpacket in EXACT:
            return func(*args, **kwargs)
        if op in RULES or op in ELEMENTWISE:
            before = args  # an in-place result overwrites args[0]
            if op is not func.overloadpacket:
                before = (args[0].clone(), *args[1:])
            y = func(*args, **kwargs)
            if torch.is_tensor(y) and y.dtype in WHOLE:
                return y
            noise = self.deviation(op, y, before, kwargs)
            return self.perturb(y, noise)
        with self:
            if func in DECOMPOSITIONS:
                return DECOMPOSITIONS[func](*args, **kwargs)
            y = func.decompose(*args, **kwargs)
        if y is not NotImplemented:
            return y
        raise NotImplementedError(
            f"budget.py has no rounding rule for {func}"
        )

    def deviation(self, op, y, args, kwargs):
        if op not in RULES:
            noise = ELEMENTWISE[op] * y.abs() / math.sqrt(3)
            if op in (aten.add, aten.sub, aten.rsub):
                exact = integer(args[0]) & integer(args[1])
                exact = exact & (y.abs() <= 1 / self.step)
                noise = torch.where(exact, torch.zeros_like(y), noise)
            return noise
        noise = RULES[op](y, *args, **kwargs)
        if isinstance(noise, list):
            return [self.stored(op, *part) for part in zip(y, noise)]
        return self.stored(op, y, noise)

    def stored(self, op, y, noise):
        if noise is None:
            return None
        if self.accumulator != 1.0 and op not in ELEMENTWISE:
            stored = y.abs() / math.sqrt(3)
            summed = self.accumulator * noise
            return torch.sqrt(summed**2 + stored**2)
        return noise

    def perturb(self, y, noise):
        if isinstance(noise, list):
            for part, its in zip(y, noise):
                if its is not None:
                    self.perturb(part, its)
            return y
        if y.is_complex():
            parts = torch.view_as_real(y)
            self.perturb(parts, noise.unsqueeze(-1).expand(parts.shape))
            return y
        # uniform with standard deviation 1, as rounding errors are
        draw = torch.rand(
            y.shape, generator=self.generator, dtype=y.dtype
        )
        draw = (2 * draw - 1) * math.sqrt(3)
        return y.add_(self.step * noise * draw)


def estimate(compute, seed, runs=RUNS, accumulator=1.0, step=STEP):
    """Reference and sigma of every array that compute() returns.

    compute: no arguments, float64 PyTorch inside, returns {name: ndarray}
    Returns: ({name: float64 ndarray}, {name: float64 ndarray}), sigma in
        units of the unit roundoff. Of integers it says where noise moves
        one, by how much: no budget, integers must be equal (verdict.py)
    """
    reference = compute()
    total = {k: np.zeros(np.shape(v)) for k, v in reference.items()}
    generator = torch.Generator().manual_seed(seed)
    for _ in range(runs):
        with RoundingNoise(generator, accumulator, step):
            noisy = compute()
        for k, value in noisy.items():
            total[k] += (value - reference[k].astype(np.float64)) ** 2
    sigma = {k: np.sqrt(v / runs) / step for k, v in total.items()}
    return reference, sigma

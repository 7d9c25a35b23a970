"""Runs of the reference with one thing done otherwise: which, how many.

A family is one kind of fault with its variants. Each variant is tried on
all operations that it concerns, then, where there are few, on each alone.
Variants that concern no operation of the model are not run.
"""

import contextlib
from typing import NamedTuple

from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from .. import budget
from . import changes, formulas, masks
from .changes import Altered, altered

SINGLE = 12  # calls of one kind that are tried one by one
KEPT = 2**24  # elements of runs that are kept
NOISE = 12  # runs for the sigma of another formula
SUMS = {"bfloat16": 2.0**16, "float16": 2.0**13}  # u beside float32's


class Family(NamedTuple):
    text: str  # {} is for the variants
    variants: tuple  # (words, alter)
    rounds: bool = False  # other roundings may be met


NARROW = tuple(
    (kind, changes.operands(narrow))
    for kind, narrow in changes.ROUNDED.items()
)
FAMILIES = [
    Family("the factors of products are rounded to {}", NARROW, True),
    Family(
        "another epsilon: {}",
        tuple((f"{e:g}", changes.epsilon(e)) for e in changes.EPSILONS),
    ),
    Family(
        "{}",
        (
            (
                "the other gelu (tanh for exact, or exact for tanh)",
                changes.other_gelu,
            ),
            ("the other gelu (tanh for exact)", changes.erf_by_tanh),
        ),
    ),
    Family(
        "a mask: {}",
        (
            ("there is none", masks.masking("off")),
            ("the other polarity", masks.masking("not")),
            ("causal from the other corner", masks.masking("corner")),
            ("causal, one key more", masks.shifted(1)),
            ("causal, one key less", masks.shifted(-1)),
        ),
    ),
    Family(
        "{}",
        (
            ("a sum for a mean", changes.sum_for_mean),
            ("a mean for a sum", changes.mean_for_sum),
        ),
    ),
    Family(
        "{}",
        (
            (
                "running statistics with 1 - momentum",
                changes.other_momentum,
            ),
        ),
    ),
    Family(
        "{}", (("subnormal numbers are flushed to 0", changes.flushed),)
    ),
]
CONSTANTS = "the constant factor {} is left out"
PATHS = "mean var std softmax amax max norm sum sigmoid tanh".split()
FORMULAS = (
    ("the variance as E[x^2] - E[x]^2", formulas.fast_variance),
    ("naive logarithms", formulas.naive_logarithms),
)


class Counting(TorchDispatchMode):
    """How many operations of the forward pass each change concerns."""

    def __init__(self, alters):
        super().__init__()
        self.counts = dict.fromkeys(alters, 0)
        self.constants = {}  # {factor: how often}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if not changes.in_backward():
            for alter in self.counts:
                found = alter(func, args, kwargs) is not None
                self.counts[alter] += found
            c = changes.constant_factor(func, args)
            if c is not None:
                self.constants[c] = self.constants.get(c, 0) + 1
        return func(*args, **kwargs)


class Calls(TorchFunctionMode):
    """How often each function of PATHS is called."""

    def __init__(self):
        super().__init__()
        self.counts = dict.fromkeys(PATHS, 0)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        if name in self.counts:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


class Runs:
    """The runs of one context, as many as it allows.

    What a run gives does not depend on the port, so it is kept for the
    next array that is asked about, as long as that is small.
    """

    def __init__(self, context):
        self.context, self.left = context, context.runs
        self.kept, self.room = {}, KEPT
        alters = [a for f in FAMILIES for _, a in f.variants]
        alters += [alter for _, alter in FORMULAS]
        counting, calls = Counting(alters), Calls()
        with calls:
            altered(context.compute, counting)
        self.calls = {n: c for n, c in calls.counts.items() if c}
        self.counts, constants = counting.counts, counting.constants
        self.families = [*FAMILIES, self.of_constants(constants)]

    def of_constants(self, constants):
        variants = []
        for c, count in constants.items():
            alter = changes.without_factor(c)
            self.counts[alter] = count
            variants.append((f"{c:.6g}", alter))
        return Family(CONSTANTS, tuple(variants))

    def of(self, family):
        """(words, arrays) of each variant on all calls at once."""
        for words, alter in family.variants:
            if self.counts[alter]:
                yield words, self.run((alter, None), Altered(alter))

    def one_by_one(self, family):
        """The same of each call alone, where there are few."""
        for words, alter in family.variants:
            count = self.counts[alter]
            for n in few(count):
                where = f"{words} (call {n + 1} of {count} only)"
                mode = Altered(alter, n, count)
                yield where, self.run((alter, n), mode)

    def of_paths(self):
        """(words, arrays) where no gradient flows through a function."""
        for name, count in self.calls.items():
            words = f"no gradient through {name}"
            yield words, self.run((name, None), changes.Cut(name))
            for n in few(count):
                where = f"{words} (call {n + 1} of {count} only)"
                yield where, self.run((name, n), changes.Cut(name, n))

    def of_parameters(self):
        """(words, arrays) of each change of one parameter."""
        module = self.context.module
        for name, p in module.named_parameters() if module else ():
            for words, change in changes.of_parameter(p):
                text = f"{name} {words}"
                with changes.parameter(p, change):
                    arrays = self.run(text, contextlib.nullcontext())
                yield text, arrays

    def run(self, key, mode):
        """{} where too many have been made."""

        def compute():
            if not self.left:
                return {}
            self.left -= 1
            return altered(self.context.compute, mode)

        return self.keep(key, compute)

    def keep(self, key, compute):
        if key in self.kept:
            return self.kept[key]
        arrays = compute()
        size = sum(array.size for array in arrays.values())
        if size <= self.room:
            self.room -= size
            self.kept[key] = arrays
        return arrays

    def formulas(self):
        """(words, sigma) of formulas that round more."""
        for words, alter in FORMULAS:
            if self.counts[alter]:
                yield (
                    words,
                    self.sigma(words, lambda a=alter: Altered(a)),
                )

    def narrow_sums(self):
        """(kind, sigma) where sums are made in 16 bits."""
        for kind, accumulator in SUMS.items():
            how = {"accumulator": accumulator}
            yield kind, self.sigma(kind, contextlib.nullcontext, **how)

    def sigma(self, key, mode, **how):
        def compute():
            with sdpa_kernel(SDPBackend.MATH), mode():
                return self.context.compute()

        def sampled():
            seed = self.context.seed
            return budget.estimate(compute, seed, NOISE, **how)[1]

        return self.keep(("sigma", key), sampled)


def few(count):
    """Which of so many calls are tried one by one."""
    return range(count if 1 < count <= SINGLE else 0)

"""The reference with one thing done otherwise, to try what explains a port.

Each family is a function alter(func, args, kwargs) -> None where it does
not concern the operation, or a function that computes it otherwise.
Altered is the mode that puts it in their place; `altered` runs with it.
The operations are those below automatic differentiation, so that backward
passes are changed as well.
"""

import contextlib
import math

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from ..products import FACTORS
from ..rules.widened import Widened

aten = torch.ops.aten
EPSILONS = (1e-3, 1e-5, 1e-6, 1e-7, 1e-8, 1e-12, 0.0)
BATCH_NORMS = (aten._native_batch_norm_legit, aten.native_batch_norm)
NEGATIVE = -1e4  # what is added to scores below it is a mask
TINY = 2.0**-126


class Altered(TorchDispatchMode):
    """alter: as above; only: the number of the one call to alter, of
    `total` calls of the forward pass; None alters all."""

    def __init__(self, alter, only=None, total=0):
        super().__init__()
        self.alter, self.only, self.total = alter, only, total
        self.calls = self.back = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        instead = self.alter(func, args, kwargs)
        if instead is None or not self.here(func):
            return func(*args, **kwargs)
        return instead()

    def here(self, func):
        """A backward pass meets the layers in the other order."""
        if self.only is None:
            return True
        if not in_backward():
            self.calls += 1
            return self.calls - 1 == self.only
        if not func._schema.name.endswith("_backward"):
            return False
        self.back += 1
        return self.total - self.back == self.only


def in_backward():
    return torch._C._current_graph_task_id() >= 0


class Cut(TorchFunctionMode):
    """No gradient flows through the results of one function.

    only: the number of the one call to cut; None cuts all
    """

    def __init__(self, name, only=None):
        super().__init__()
        self.name, self.only, self.calls = name, only, 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        y = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") != self.name:
            return y
        self.calls += 1
        here = self.only is None or self.calls - 1 == self.only
        return y.detach() if here and torch.is_tensor(y) else y


def altered(compute, mode):
    """The arrays of compute() under a mode."""
    with mode, Widened(), sdpa_kernel(SDPBackend.MATH):
        return compute()


# --- operands, results


def to_tf32(x):
    """11 of 24 bits, the nearest, ties to even."""
    bits = x.float().view(torch.int32)
    even = 0xFFF + ((bits >> 13) & 1)
    kept = (bits + even) & ~0x1FFF
    return kept.view(torch.float32).to(x.dtype)


def to_bfloat16(x):
    return x.float().bfloat16().to(x.dtype)


def to_float16(x):
    return x.float().half().to(x.dtype)


ROUNDED = {
    "TF32": to_tf32,
    "bfloat16": to_bfloat16,
    "float16": to_float16,
}


def operands(narrow):
    """Products of narrowed factors, as tensor cores compute them."""

    def alter(func, args, kwargs):
        where = FACTORS.get(func.overloadpacket)
        if where is None or not args[where[0]].is_floating_point():
            return None

        def instead():
            narrowed = [
                narrow(a) if i in where else a
                for i, a in enumerate(args)
            ]
            return func(*narrowed, **kwargs)

        return instead

    return alter


def flushed(func, args, kwargs):
    """What is below the smallest normal float32 number becomes 0."""
    if func.is_view or not floating(args):
        return None

    def flush(y):
        if not torch.is_tensor(y) or not y.is_floating_point():
            return y
        small = (y.abs() < TINY) & (y != 0)
        return y.masked_fill_(small, 0.0) if bool(small.any()) else y

    def instead():
        y = func(*args, **kwargs)
        return (
            type(y)(map(flush, y))
            if type(y) in (tuple, list)
            else flush(y)
        )

    return instead


def floating(args):
    return any(
        torch.is_tensor(a) and a.is_floating_point() for a in args
    )


# --- epsilon, gelu, means, factors


def named(func, args, kwargs):
    """All arguments by name, defaults too."""
    given = {}
    for i, argument in enumerate(func._schema.arguments):
        if i < len(args):
            given[argument.name] = args[i]
        elif argument.name in kwargs:
            given[argument.name] = kwargs[argument.name]
        elif argument.has_default_value():
            given[argument.name] = argument.default_value
    return given


def with_argument(func, args, kwargs, name, value):
    """The call with one argument replaced."""
    names = [a.name for a in func._schema.arguments]
    place = names.index(name)
    if place < len(args):
        args = (*args[:place], value, *args[place + 1 :])
    else:
        kwargs = {**kwargs, name: value}
    return lambda: func(*args, **kwargs)


def epsilon(new):
    """That of a normalisation, and small constants added or clamped to."""

    def alter(func, args, kwargs):
        given = named(func, args, kwargs)
        for name in ("eps", "epsilon"):
            if isinstance(given.get(name), float):
                if given[name] == new:
                    return None
                return with_argument(func, args, kwargs, name, new)
        if func.overloadpacket not in (aten.add, aten.clamp_min):
            return None
        name = (
            "min" if func.overloadpacket is aten.clamp_min else "other"
        )
        old = given.get(name)
        if (
            not isinstance(old, float)
            or not 0 < old <= 1e-2
            or old == new
        ):
            return None
        return with_argument(func, args, kwargs, name, new)

    return alter


def other_gelu(func, args, kwargs):
    """tanh for exact, and exact for tanh."""
    if func.overloadpacket not in (aten.gelu, aten.gelu_backward):
        return None
    exact = named(func, args, kwargs)["approximate"] == "none"
    new = "tanh" if exact else "none"
    return lambda: func(*args, **{**kwargs, "approximate": new})


def erf_by_tanh(func, args, kwargs):
    """erf(x / sqrt 2), as the approximation of gelu has it."""
    if func.overloadpacket is not aten.erf:
        return None

    def instead():
        x = args[0] * math.sqrt(2)
        return torch.tanh(
            math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        )

    return instead


def sum_for_mean(func, args, kwargs):
    if func.overloadpacket is not aten.mean:
        return None
    return lambda: aten.sum(*args, **kwargs)


def mean_for_sum(func, args, kwargs):
    if func.overloadpacket is not aten.sum or not floating(args):
        return None
    return lambda: aten.mean(*args, **kwargs)


def without_factor(c):
    """x for c x, where c is a constant of the program."""

    def alter(func, args, kwargs):
        if constant_factor(func, args) != c:
            return None
        return lambda: args[0].clone()

    return alter


def constant_factor(func, args):
    """c of c x, or 1/c of x / c; None of anything else."""
    if func.overloadpacket not in (aten.mul, aten.div) or len(args) < 2:
        return None
    x, c = args[:2]
    if not torch.is_tensor(x) or not x.is_floating_point():
        return None
    if torch.is_tensor(c) or not c or c in (1, -1) or c < NEGATIVE:
        return None
    return float(c) if func.overloadpacket is aten.mul else 1 / float(c)


def other_momentum(func, args, kwargs):
    """Running statistics that keep 1 - momentum of the new."""
    given = named(func, args, kwargs)
    old = given.get("momentum")
    if func.overloadpacket not in BATCH_NORMS or not isinstance(
        old, float
    ):
        return None
    return with_argument(func, args, kwargs, "momentum", 1 - old)


# --- parameters


def of_parameter(p):
    """[(words, change)] of one parameter."""
    found = []
    if p.ndim == 2 and p.shape[0] == p.shape[1] > 1:
        found.append(("is transposed", lambda a: a.T))
    if p.ndim == 1 and bool(p.any()):
        found.append(("is left out", torch.zeros_like))
    for kind in ("bfloat16", "float16"):
        narrow = ROUNDED[kind]
        if p.ndim > 1 and bool((narrow(p) != p).any()):
            found.append((f"is rounded to {kind}", narrow))
    return found


@contextlib.contextmanager
def parameter(p, change):
    """The parameter is another one for a while."""
    before = p.detach().clone()
    with torch.no_grad():
        p.copy_(change(before))
    try:
        yield
    finally:
        with torch.no_grad():
            p.copy_(before)

"""How each operation is treated: exact, by a rule, in parts, or refused."""

import functools
from typing import NamedTuple

import torch

from . import elementwise, exact, fourier, pooling, sums
from .decompositions import EVERY_OTHER, OWN, PYTORCH
from .elementwise import ULPS
from .optimizers import foreach

aten = torch.ops.aten

EXACT = exact.EXACT
RULES = {
    **elementwise.RULES,
    **sums.RULES,
    **pooling.RULES,
    **fourier.RULES,
}
RULED = RULES.keys() | ULPS.keys()
# prims that are called otherwise in aten
PRIMS = {"convert_element_type": "_to_copy"}


class Way(NamedTuple):
    """kind: exact, rule, in place, out, or parts; op: the operation that
    has the rule; decompose: tried first, may return NotImplemented."""

    kind: str
    op: object = None
    decompose: object = None


@functools.cache
def treatment(func):
    """The Way of one overload of an operation."""
    packet, name = func.overloadpacket, func._schema.name
    if any(a.is_out for a in func._schema.arguments):
        return Way("out")
    own = OWN.get(func, OWN.get(packet))
    if "::_foreach_" in name:
        return Way("parts", decompose=each_of(func))
    if packet in EXACT or func.is_view:
        return Way("exact", packet, own)
    if packet in RULED:
        return Way("rule", packet, own)
    if own:
        return Way("parts", packet, own)
    functional = without_underscore(name)
    if functional in EXACT:
        return Way("exact", functional)
    if functional:
        return Way("in place", functional)
    if name.startswith("prims::"):
        return prim(func, name.removeprefix("prims::"))
    theirs = PYTORCH.get(func, EVERY_OTHER.get(func))
    return Way("parts", packet, theirs)


def without_underscore(name):
    """The operation that does not work in place; None for other names."""
    namespace, name = name.split("::")
    if namespace != "aten" or not name.endswith("_"):
        return None
    return getattr(aten, name[:-1], None) if name[-2] != "_" else None


def each_of(func):
    return lambda *args, **kwargs: foreach(func, args, kwargs)


def prim(func, name):
    """PyTorch's decompositions end in prims, which are aten's by name."""
    if name == "convert_element_type":
        return Way("parts", decompose=lambda x, dtype: x.to(dtype))
    packet = getattr(aten, name, None)
    if packet in RULED or packet in EXACT or packet in OWN:
        return Way("parts", packet, packet)
    return Way("parts")


def refusal(func):
    reason = REFUSED.get(func.overloadpacket)
    text = f"budget.py has no rounding rule for {func}"
    return f"{text}: {reason}" if reason else text


REFUSED = {}

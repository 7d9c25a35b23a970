"""The reference with another mask; families as in changes.py."""

import torch

from .changes import NEGATIVE, in_backward, named

aten = torch.ops.aten


def masking(how):
    """how: "off", "not", or "corner"

    off: nothing is masked; not: what was masked is what is left; corner:
    causal triangles end in the other corner
    """

    def alter(func, args, kwargs):
        packet = func.overloadpacket
        if packet in (aten.tril, aten.triu) and how != "not":
            return lambda: other_triangle(func, args, how)
        given = named(func, args, kwargs)
        if packet is aten.masked_fill and masks(given["value"]):
            return filled(func, args, how)
        if packet is aten.where and len(args) == 3:
            return chosen(func, args, how)
        if packet is aten.mul and negative(given.get("other")):
            return added(args, how)
        return None

    return alter


def masks(value):
    """Scores, or what comes back from them."""
    return value == 0 if in_backward() else negative(value)


def negative(value):
    if torch.is_tensor(value):
        return value.numel() == 1 and float(value) <= NEGATIVE
    return isinstance(value, float) and value <= NEGATIVE


def other_triangle(func, args, how):
    x, diagonal = args[0], args[1] if len(args) > 1 else 0
    if how == "off":
        lower = func.overloadpacket is aten.tril
        return x.clone() if lower else torch.zeros_like(x)
    shift = x.shape[-1] - x.shape[-2]
    return func(x, diagonal - shift if diagonal == shift else shift)


def filled(func, args, how):
    if how == "off":
        return lambda: args[0].clone()
    if how == "not":
        return lambda: func(args[0], ~args[1], args[2])
    return None


def chosen(func, args, how):
    mask, one, two = args
    if not (negative(one) or negative(two)):
        return None
    if how == "off":
        left = two if negative(one) else one
        return lambda: left.expand_as(func(*args)).clone()
    return (lambda: func(~mask, one, two)) if how == "not" else None


def added(args, how):
    x, much = args[:2]
    if how == "off":
        return lambda: torch.zeros_like(x)
    return (lambda: (1 - x) * much) if how == "not" else None


def shifted(steps):
    """Causal triangles moved by that many keys."""

    def alter(func, args, kwargs):
        if func.overloadpacket not in (aten.tril, aten.triu):
            return None
        diagonal = (
            args[1] if len(args) > 1 else kwargs.get("diagonal", 0)
        )
        return lambda: func(args[0], diagonal + steps)

    return alter

"""Choices: where a computation decides, and rounding alone may decide.

A comparison, a rounding to whole numbers, an argmax, a top-k, a sort or
a max-pooling turns numbers into a decision. Beside a tie the smallest
error turns it, and what follows jumps. So that jumps are not taken for
rounding, a run can be made with its decisions held: those of another
run are taken, whatever the numbers are, and what is left is smooth.

A site is one such operation in the order of execution. Each element of
it has a position, the number whose distance from its anchor says how
near the other outcome is:

    kind        position                     anchor       outcome
    sign        a - b of a comparison        0            -1, 0, 1
    rounding    x                            the nearest  the whole
                                             boundary     number
    pick        largest - others of a row    0            its index
    order       differences of neighbours    0            the indices

The forward values of relu, abs, clamp, max and max-pooling do not jump;
their gradients do, and are found as comparisons or picks. The gradient
of relu compares its result, which says less than what it was given: the
position is that of the latter.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch._decomp import decomposition_table

from ..rules.elementwise import STEP
from ..rules.noise import RoundingNoise
from .outcomes import (
    beyond,
    floating,
    held_outcome,
    integer_type,
    others_in_row,
    others_in_window,
    place,
    sign_of,
    turn,
)

aten = torch.ops.aten

COMPARISONS = {
    aten.lt: lambda sign: sign < 0,
    aten.le: lambda sign: sign <= 0,
    aten.gt: lambda sign: sign > 0,
    aten.ge: lambda sign: sign >= 0,
    aten.eq: lambda sign: sign == 0,
    aten.ne: lambda sign: sign != 0,
}
EQUALITIES = (aten.eq, aten.ne, aten.sign, aten.sgn)
ROUNDINGS = (aten.round, aten.floor, aten.ceil, aten.trunc)
# one operation with a comparison inside
KINKED = {
    getattr(aten, name)
    for name in """
    hardshrink threshold
    threshold_backward
    """.split()
}


class Site(NamedTuple):
    kind: str  # sign, rounding, pick or order
    operation: str  # as PyTorch calls it
    position: np.ndarray  # float64
    anchor: np.ndarray | float
    outcome: torch.Tensor
    other: torch.Tensor | None  # beyond the anchor; of a pick (..., k)


class Choices(RoundingNoise):
    """Records every decision of a run, and can take those of another.

    generator: of the noise; None is a run without any
    held: the sites of an earlier run, all of whose outcomes are taken
    only: of each site, the elements to hold; None is all of them
    turned: {site: {element: outcome}}, decisions to take the other way;
        an element is a flat index, of `order` (row, rank, rank), which
        are swapped
    Afterwards `sites` has the decisions of this run.
    """

    def __init__(
        self,
        generator=None,
        held=None,
        turned=None,
        only=None,
        accumulator=1.0,
        step=STEP,
    ):
        super().__init__(generator, accumulator, step)
        self.held, self.only = held, only
        self.turned = turned or {}
        self.sites = []
        self.rectified = {}  # where a relu's result lies: what it was given
        self.kept = []  # those results, so that no other lies there

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        args, kwargs = self.widened(func, args, kwargs or {})
        packet = func.overloadpacket
        decided = self.discrete(func, packet, args, kwargs)
        if decided is not NotImplemented:
            return decided
        return super().__torch_dispatch__(func, types, args, kwargs)

    def discrete(self, func, packet, args, kwargs):
        if not (args and floating(args[:2])):
            return NotImplemented
        if packet in COMPARISONS:
            sign = self.sign(packet, *args)
            return COMPARISONS[packet](sign)
        if packet in (aten.sign, aten.sgn):
            return self.sign(packet, args[0], 0.0).to(args[0].dtype)
        if packet is aten.relu or packet is aten.relu_:
            return self.rectify(func, packet, args[0])
        if packet in ROUNDINGS and len(args) == 1 and not kwargs:
            return self.whole(packet, args[0])
        if packet is aten._to_copy and integer_type(kwargs):
            return func(self.whole(aten.trunc, *args), **kwargs)
        if packet in (aten.argmax, aten.argmin):
            return self.argmax(func, packet, *args, **kwargs)
        if (
            packet in (aten.max, aten.min)
            and func._overloadname == "dim"
        ):
            return self.largest(func, packet, *args, **kwargs)
        if packet is aten.topk:
            return self.top(func, packet, *args, **kwargs)
        if packet is aten.sort:
            return self.sort(func, packet, args, kwargs)
        if packet is aten.max_pool2d_with_indices:
            return self.pooled(func, packet, *args, **kwargs)
        if packet in KINKED and func in decomposition_table:
            with self:
                return decomposition_table[func](*args, **kwargs)
        return NotImplemented

    # --- one decision

    def decide(
        self, kind, packet, outcome, other, position, anchor=0.0
    ):
        """The outcome that this run goes on with.

        position(outcome, other): where the numbers of this run stand
        """
        number = len(self.sites)
        if self.held is not None:
            past = self.past(number, outcome)
            only = self.only[number] if self.only else None
            outcome = held_outcome(outcome, past.outcome, only)
            other, anchor = past.other, past.anchor
        turned = self.turned.get(number)
        if turned:
            before, outcome = outcome, turn(kind, outcome, turned)
            if other is not None:  # that it can be turned back
                now, past = outcome, before
                if kind == "pick":
                    now, past = now.unsqueeze(-1), past.unsqueeze(-1)
                other = torch.where(other == now, past, other)
        where = position(outcome, other).detach().double()
        sides = (
            outcome.detach(),
            None if other is None else other.detach(),
        )
        self.sites.append(
            Site(
                *(kind, packet.__name__, where.numpy().copy(), anchor),
                *sides,
            )
        )
        return outcome

    def past(self, number, outcome):
        """The decision of the earlier run that this one repeats."""
        if number >= len(self.held):
            raise ValueError(
                f"choices: decision {number} was not taken before"
            )
        past = self.held[number]
        if past.outcome.shape != outcome.shape:
            want, got = tuple(past.outcome.shape), tuple(outcome.shape)
            raise ValueError(
                f"choices: decision {number} expected shape {want},"
                f" got {got}"
            )
        return past

    def sign(self, packet, a, b):
        sign = sign_of(a, b)
        given = self.rectified.get(place(a))
        if given is not None and not torch.is_tensor(b) and b == 0:
            a, sign = given, sign_of(given, 0.0)
        gap = torch.as_tensor(a - b)
        return self.decide("sign", packet, sign, None, lambda *_: gap)

    def rectify(self, func, packet, x):
        given = x.clone() if packet is aten.relu_ else x
        y = func(x)
        self.rectified[place(y)] = given
        self.kept.append(y)
        return y

    def whole(self, packet, x):
        outcome = packet(x)
        other, anchor = beyond(packet, x, outcome)
        return self.decide(
            *("rounding", packet, outcome, other),
            *(lambda *_: x, anchor.double().numpy()),
        )

    def pick(self, packet, rows, first, others):
        """Which of the last axis of rows (..., n) is largest: first (...)
        or one of others (..., k)."""

        def gap(first, others):
            taken = torch.gather(rows, -1, first.unsqueeze(-1))
            return taken - torch.gather(rows, -1, others)

        return self.decide("pick", packet, first, others, gap)

    def argmax(self, func, packet, x, dim=None, keepdim=False):
        rows = x.reshape(-1) if dim is None else x.movedim(dim, -1)
        if packet is aten.argmin:
            rows = -rows
        if rows.shape[-1] < 2:
            return func(x, dim, keepdim)
        first = aten.argmax(rows, -1)
        index = self.pick(
            packet, rows, first, others_in_row(rows, first)
        )
        if keepdim and dim is None:
            return index.reshape([1] * x.ndim)
        return index.unsqueeze(dim) if keepdim else index

    def largest(self, func, packet, x, dim, keepdim=False):
        y, first = func(x, dim, True)
        rows = x.movedim(dim, -1) * (1 if packet is aten.max else -1)
        first = first.movedim(dim, -1)[..., 0]
        if rows.shape[-1] < 2:
            return func(x, dim, keepdim)
        index = self.pick(
            packet, rows, first, others_in_row(rows, first)
        )
        index = index.unsqueeze(dim)
        y = torch.gather(x, dim, index)
        return (
            (y, index)
            if keepdim
            else (y.squeeze(dim), index.squeeze(dim))
        )

    def order(self, packet, rows, indices):
        """indices (..., k): rows (..., n), sorted; neighbours may swap."""

        def gap(indices, _):
            taken = torch.gather(rows, -1, indices)
            return taken[..., :-1] - taken[..., 1:]

        return self.decide("order", packet, indices, None, gap)

    def top(self, func, packet, x, k, dim=-1, *how, **more):
        _, index = func(x, k, dim, *how, **more)
        rows, index = x.movedim(dim, -1), index.movedim(dim, -1)
        if 0 < k < rows.shape[-1]:
            largest = how[0] if how else more.get("largest", True)
            rest = rows if largest else -rows
            index = torch.cat([index, others_in_row(rest, index)], -1)
        index = self.order(packet, rows, index)[..., :k].movedim(
            -1, dim
        )
        return torch.gather(x, dim, index), index

    def sort(self, func, packet, args, kwargs):
        x, *how = args
        _, index = func(*args, **kwargs)
        dim = kwargs.get("dim", how[0] if how else -1)
        index = self.order(
            packet, x.movedim(dim, -1), index.movedim(dim, -1)
        )
        index = index.movedim(-1, dim)
        return torch.gather(x, dim, index), index

    def pooled(self, func, packet, x, kernel, *how, **more):
        _, first = func(x, kernel, *how, **more)
        others = others_in_window(x, first, kernel, *how, **more)
        rows = x.flatten(-2)
        flat = first.flatten(-2)

        def taken(index):
            return rows.gather(-1, index.reshape(*flat.shape[:-1], -1))

        def gap(first, others):
            first = taken(first).reshape(first.shape)
            return first.unsqueeze(-1) - taken(others).reshape(
                others.shape
            )

        index = self.decide("pick", packet, first, others, gap)
        return taken(index).reshape(index.shape), index

"""What a decision may come out as: signs, whole numbers, places, ranks."""

import torch
from torch.nn import functional

aten = torch.ops.aten

OTHERS = 8  # that a pick or a top-k may take instead


def held_outcome(own, past, only):
    if only is None:
        return past
    return torch.where(torch.as_tensor(only), past.to(own.dtype), own)


def floating(args):
    return any(
        torch.is_tensor(a) and a.is_floating_point() for a in args
    )


def integer_type(kwargs):
    kind = kwargs.get("dtype")
    return kind in (
        torch.int8,
        torch.uint8,
        torch.int16,
        torch.int32,
        torch.int64,
    )


def place(a):
    """Where a tensor lies, which tells it from all that are kept."""
    if torch.is_tensor(a) and a.numel():
        return a.data_ptr(), a.shape, a.stride()
    return None


def sign_of(a, b):
    """-1, 0 or 1, of infinities too; NaN where there is no order."""
    sign = (
        torch.as_tensor(a > b).double()
        - torch.as_tensor(a < b).double()
    )
    ordered = torch.as_tensor(a == b) | (sign != 0)
    return torch.where(ordered, sign, torch.nan)


def beyond(packet, x, outcome):
    """(the whole number beyond the nearest boundary, that boundary).

    There is none, and the outcome is given, where trunc passes 0.
    """
    if packet is aten.round:
        anchor = torch.floor(x) + 0.5
        return 2 * anchor - outcome, anchor
    anchor = torch.round(x)
    up = outcome == anchor  # and may fall below it, or rise above
    if packet is aten.floor:
        return torch.where(up, anchor - 1, anchor), anchor
    if packet is aten.ceil:
        return torch.where(up, anchor + 1, anchor), anchor
    away = torch.where(up, anchor - torch.sign(anchor), anchor)
    return away, anchor


def others_in_row(rows, first):
    """The largest of the rest, first (...) or (..., k) left out."""
    if first.ndim < rows.ndim:
        first = first.unsqueeze(-1)
    rest = rows.scatter(-1, first, -torch.inf)
    count = min(OTHERS, rows.shape[-1] - first.shape[-1])
    return torch.topk(rest, count, -1).indices


def others_in_window(
    x, first, kernel, stride=(), padding=0, dilation=1, ceil_mode=False
):
    """The same of each window of a max-pooling; first where there are
    none."""
    kernel, padding, dilation = map(pair, (kernel, padding, dilation))
    stride = pair(stride) if stride != () and stride != [] else kernel
    shape = x.shape[-2:]
    images = x.reshape(-1, 1, *shape)
    where = torch.arange(shape[0] * shape[1])
    where = where.to(x.dtype).reshape(1, 1, *shape)
    ends = []
    for axis in (1, 0):  # the last axis comes first in pad
        need = (first.shape[axis - 2] - 1) * stride[axis]
        need += dilation[axis] * (kernel[axis] - 1) + 1
        ends += [padding[axis], need - shape[axis] - padding[axis]]

    def windows(a, fill):
        a = functional.pad(a, ends, value=fill)
        a = functional.unfold(a, kernel, dilation, 0, stride)
        return a.movedim(1, -1)  # images, windows, kernel

    rows, where = (
        windows(images, -torch.inf),
        windows(where, -1.0).long(),
    )
    index = first.reshape(len(rows), -1, 1)
    rows = torch.where(where == index, -torch.inf, rows)
    best = torch.topk(rows, min(OTHERS, rows.shape[-1]), -1).indices
    others = where.expand(rows.shape).gather(-1, best)
    others = torch.where(others < 0, index, others)
    return others.reshape(*first.shape, -1)


def pair(size):
    size = [size] if isinstance(size, int) else list(size)
    return size * 2 if len(size) == 1 else size


def turn(kind, outcome, turned):
    """The outcome with some of its decisions taken the other way."""
    outcome = outcome.clone()
    if kind == "order":
        rows = outcome.reshape(-1, outcome.shape[-1])
        for row, one, two in turned:
            rows[row, [one, two]] = rows[row, [two, one]]
        return rows.reshape(outcome.shape)
    flat = outcome.reshape(-1)
    for element, value in turned.items():
        flat[element] = value
    return flat.reshape(outcome.shape)

"""Margin losses: what a class is short of the margin to a label."""

import torch

aten = torch.ops.aten


def multi_margin_backward(
    dy, x, target, p, margin, weight=None, reduction=1
):
    rows = x.reshape(-1, x.shape[-1])
    target = target.reshape(-1, 1)
    away = margin - torch.gather(rows, 1, target) + rows
    slope = (away > 0).to(x.dtype)
    if p == 2:
        slope = slope * away * 2
    slope = torch.scatter(slope, 1, target, 0.0)
    if weight is not None:
        slope = slope * weight[target]
    slope = slope / rows.shape[1]
    own = -torch.sum(slope, 1, True)
    slope = torch.scatter(slope, 1, target, own)
    if reduction == 1:
        slope = slope / len(rows)
    dy = dy.reshape(-1, 1) if dy.ndim else dy
    return (slope * dy).reshape(x.shape)


def labels(x, target):
    """Rows of x, labels before the first -1, and a mask of them."""
    rows = x.reshape(-1, x.shape[-1])
    target = target.reshape(rows.shape)
    label = (torch.cumsum((target < 0).long(), 1) == 0).to(x.dtype)
    return rows, torch.clamp(target, min=0), label


def margins(rows, index, label, other):
    """1 - x[label] + x[class] of each label and class that is none."""
    own = torch.gather(rows, 1, index)
    away = 1 - own.unsqueeze(2) + rows.unsqueeze(1)
    pairs = label.unsqueeze(2) * other.unsqueeze(1)
    return torch.relu(away) * pairs, (away > 0).to(rows.dtype) * pairs


def multilabel_margin(x, target, reduction):
    rows, index, label = labels(x, target)
    named = torch.zeros_like(rows)
    named = torch.scatter_add(named, 1, index, label) > 0
    away, _ = margins(rows, index, label, 1 - named.to(x.dtype))
    y = torch.sum(away, [1, 2]) / rows.shape[1]
    y = (y if x.ndim > 1 else y[0], torch.mean(y), torch.sum(y))
    return y[reduction], named.to(x.dtype).reshape(x.shape)


def multilabel_margin_backward(dy, x, target, reduction, is_target):
    """Every label of a row pushes away every class that is none."""
    rows, index, label = labels(x, target)
    other = 1 - is_target.reshape(rows.shape).to(x.dtype)
    _, push = margins(rows, index, label, other)
    dx = torch.sum(push, 1)
    dx = torch.scatter_add(dx, 1, index, -torch.sum(push, 2) * label)
    dx = dx / rows.shape[1]
    if reduction == 1:
        dx = dx / len(rows)
    dy = dy.reshape(-1, 1) if dy.ndim else dy
    return (dx * dy).reshape(x.shape)


DECOMPOSITIONS = {
    aten.multi_margin_loss_backward: multi_margin_backward,
    aten.multilabel_margin_loss_forward: multilabel_margin,
    aten.multilabel_margin_loss_backward: multilabel_margin_backward,
}

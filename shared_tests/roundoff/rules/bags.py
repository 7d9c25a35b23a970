"""Embeddings: the sums, means or largest of the rows of each bag."""

import torch

from .distances import vector_norm

aten = torch.ops.aten


def renorm_rows(weight, indices, max_norm, norm_type):
    """Rows that are looked up are made no longer than max_norm."""
    rows = torch.unique(indices)
    chosen = torch.index_select(weight, 0, rows)
    norm = vector_norm(chosen, norm_type, -1, True)
    factor = torch.where(norm > max_norm, max_norm / (norm + 1e-7), 1.0)
    weight.index_copy_(0, rows, chosen * factor)
    return weight


SUM, MEAN, MAX = 0, 1, 2


def embedding_bag(
    weight, indices, offsets, scale_grad_by_freq=False, mode=SUM,
    sparse=False, per_sample_weights=None, include_last_offset=False,
    padding_idx=-1,
):  # fmt: skip
    """Sums or means of the rows of each bag; the largest are exact."""
    if mode == MAX:
        return NotImplemented
    bags = len(offsets) - include_last_offset
    bag_of = bags_of(indices, offsets, include_last_offset)
    kept = indices != padding_idx
    bag = bag_of[kept]
    size = torch.bincount(bag, minlength=bags)
    rows = torch.index_select(weight, 0, indices[kept])
    if per_sample_weights is not None:
        rows = rows * per_sample_weights[kept].unsqueeze(-1)
    y = torch.zeros(bags, weight.shape[1], dtype=weight.dtype)
    y = torch.index_add(y, 0, bag, rows)
    if mode == MEAN:
        y = y / torch.clamp(size, min=1).to(y.dtype).unsqueeze(-1)
    return y, bag_of, size, size


def bags_of(indices, offsets, include_last_offset):
    """Which bag each index is in."""
    starts = offsets[:-1] if include_last_offset else offsets
    position = torch.arange(len(indices))
    return torch.searchsorted(starts, position, right=True) - 1


def embedding_bag_backward(
    dy, indices, bag_of, size, largest, num_weights, scale_grad_by_freq,
    mode, per_sample_weights, padding_idx=-1,
):  # fmt: skip
    shape = num_weights, dy.shape[1]
    if mode == MAX:
        dw = torch.zeros(shape, dtype=dy.dtype)
        empty = (size == 0).unsqueeze(-1) | (largest < 0)
        index = torch.where(empty, 0, largest)
        each = torch.where(empty, 0.0, dy)
        return torch.scatter_add(dw, 0, index, each)
    kept = indices != padding_idx
    bag, row = bag_of[kept], indices[kept]
    each = torch.index_select(dy, 0, bag)
    if mode == MEAN:
        n = torch.bincount(bag, minlength=len(dy)).to(dy.dtype)
        each = each / torch.index_select(n, 0, bag).unsqueeze(-1)
    if per_sample_weights is not None:
        each = each * per_sample_weights[kept].unsqueeze(-1)
    if scale_grad_by_freq:
        n = torch.bincount(row, minlength=num_weights).to(dy.dtype)
        each = each / torch.index_select(n, 0, row).unsqueeze(-1)
    dw = torch.zeros(shape, dtype=dy.dtype)
    return torch.index_add(dw, 0, row, each)


def bag_backward(
    dy, indices, offsets, bag_of, size, largest, num_weights,
    scale_grad_by_freq, mode, sparse, per_sample_weights, padding_idx=-1,
):  # fmt: skip
    """A dense gradient, also where PyTorch's is sparse."""
    return embedding_bag_backward(
        dy, indices, bag_of, size, largest, num_weights,
        scale_grad_by_freq, mode, per_sample_weights, padding_idx,
    )  # fmt: skip


def bag_frequencies(dy, indices, offsets, *rest):
    """PyTorch 2.13 divides by how often another row was looked up."""
    scale_grad_by_freq = rest[4]
    if not scale_grad_by_freq:
        return NotImplemented
    return bag_backward(dy, indices, offsets, *rest)


def sample_weights_backward(
    dy, weight, indices, offsets, bag_of, mode, padding_idx=-1
):
    rows = torch.index_select(weight, 0, indices)
    each = torch.index_select(dy, 0, bag_of)
    d = torch.sum(rows * each, -1)
    return torch.where(indices == padding_idx, 0.0, d)


DECOMPOSITIONS = {
    aten.embedding_renorm_: renorm_rows,
    aten._embedding_bag: embedding_bag,
    aten._embedding_bag_forward_only: embedding_bag,
    aten._embedding_bag_backward: bag_backward,
    aten._embedding_bag_dense_backward: embedding_bag_backward,
    aten._embedding_bag_per_sample_weights_backward: sample_weights_backward,
}

"""Operations whose result is exact: they move, choose, compare or draw.

Of floating-point numbers they return some that were there, or numbers
that every precision holds (0, 1, -x). Views are exact without a row
here, and so is everything that takes and gives only integers.
"""

import torch

aten = torch.ops.aten
prims = torch.ops.prims

MOVES = """
    _conj _conj_physical _copy_from _local_scalar_dense _neg_view
    _pack_padded_sequence _reshape_alias _reshape_copy _to_copy
    _unsafe_index _unsafe_view alias as_strided as_strided_scatter
    broadcast_tensors cat channel_shuffle clone complex conj_physical
    constant_pad_nd contiguous copy copy_ detach detach_ diag_embed
    diagonal diagonal_scatter embedding expand expand_copy flip gather
    im2col imag index index_copy index_fill index_select lift lift_fresh
    lift_fresh_copy masked_fill masked_scatter masked_select movedim
    permute pixel_shuffle pixel_unshuffle put real reflection_pad1d
    reflection_pad2d reflection_pad3d repeat repeat_interleave
    replication_pad1d replication_pad2d replication_pad3d reshape
    resize_ resize_as_ roll rot90 scatter scatter_ select
    select_backward select_scatter set_ slice slice_backward
    slice_scatter split split_with_sizes squeeze squeeze_ stack t take
    transpose tril triu unbind unfold unfold_copy unsqueeze
    upsample_nearest1d upsample_nearest2d upsample_nearest3d
    _upsample_nearest_exact1d _upsample_nearest_exact2d
    _upsample_nearest_exact3d
    value_selecting_reduction_backward view view_as_complex view_as_real
    max_unpool2d max_unpool3d masked_scatter_backward
"""
CHOOSES = """
    _embedding_bag _embedding_bag_forward_only abs
    adaptive_max_pool2d adaptive_max_pool3d amax amin
    aminmax clamp clamp_max clamp_min copysign cummax cummin fmax fmin
    fractional_max_pool2d fractional_max_pool3d hardshrink
    hardshrink_backward hardtanh heaviside kthvalue max max_pool1d
    max_pool2d_with_indices max_pool3d_with_indices maximum median min
    minimum mode nan_to_num nanmedian relu relu6 scatter_reduce
    softshrink_backward
    sort threshold threshold_backward topk where unique_dim _unique
    _unique2 unique_consecutive unique_dim_consecutive
    msort
"""
COMPARES = """
    __and__ __iand__ __ior__ __ixor__ __lshift__ __or__ __rshift__
    __xor__ _assert_async _is_all_true _is_any_true all any argmax
    argmin argsort bincount bitwise_and bitwise_left_shift bitwise_not
    bitwise_or bitwise_right_shift bitwise_xor bucketize count_nonzero
    eq equal floor_divide ge gt histc is_nonzero is_same_size isfinite
    isin isinf isnan isneginf isposinf le logical_and logical_not
    logical_or logical_xor lt ne nonzero nonzero_static searchsorted
    signbit tril_indices triu_indices
"""
# to an integer, a remainder, an exponent: what is left is exact
SPLITS = """
    ceil floor fmod frac frexp nextafter neg remainder round sign trunc
"""
DRAWS = """
    arange bernoulli bernoulli_ empty empty_like empty_strided eye
    exponential_ fill fill_ full full_like geometric_ multinomial
    new_empty new_empty_strided new_full new_ones new_zeros normal
    normal_ ones ones_like poisson rand rand_like randint randint_like
    randn randn_like random_ randperm scalar_tensor uniform_ zero zero_
    zeros zeros_like
"""
PRIMS = """
    amax amin broadcast_in_dim cat collapse_view copy_to device_put
    empty_permuted empty_strided full iota item reshape rev
    squeeze transpose where
"""


def table(words, names=aten):
    return {getattr(names, word) for word in words.split()}


EXACT = set().union(
    *map(table, (MOVES, CHOOSES, COMPARES, SPLITS, DRAWS)),
    table(PRIMS, prims),
)

"""Tiles of attention: what its kernels load, and which pairs count.

matrix       a (size, D) matrix whose rows lie `stride` apart
load_tile    its rows first to first + R, W columns; what is not there
             is 0
load_row     the numbers of those rows, one each; `other` elsewhere
may_attend   which pairs of a query n and a key m count; n and m
             broadcast to a tile

TMA: a matrix is a descriptor, and one bulk copy brings the tile; else it
is the address of row 0, and each element has an address of its own.
Ref:    CUDA C++ Programming Guide 13.0, tensor memory access
"""

# region imports
import triton
import triton.language as tl

# endregion


# region kernel
@triton.jit
def matrix(
    ptr, size, stride, D, R: tl.constexpr, W: tl.constexpr,
    TMA: tl.constexpr,
):  # fmt: skip
    if TMA:
        return tl.make_tensor_descriptor(
            ptr,
            shape=[size, D],
            strides=[stride, 1],
            block_shape=[R, W],
        )
    else:
        return ptr


@triton.jit
def load_tile(
    rows, first, size, stride, D, R: tl.constexpr, W: tl.constexpr,
    TMA: tl.constexpr,
):  # fmt: skip
    if TMA:
        return rows.load([first, 0])
    else:
        row, column = tl.arange(0, R)[:, None], tl.arange(0, W)[None, :]
        there = (first + row < size) & (column < D)
        rows += (
            tl.cast(first, tl.int64) * stride
        )  # one wide number a tile
        cells = row * stride + column
        return tl.load(rows + cells, mask=there, other=0.0)


@triton.jit
def may_attend(
    n, m, N, M, mask_ptr, mask_n, mask_m, CAUSAL: tl.constexpr,
    MASKED: tl.constexpr,
):  # fmt: skip
    allowed = (n < N) & (m < M)
    if CAUSAL:
        allowed &= m <= n
    if MASKED:
        cells = n.to(tl.int64) * mask_n + m.to(tl.int64) * mask_m
        allowed &= tl.load(mask_ptr + cells, mask=allowed, other=0) != 0
    return allowed


@triton.jit
def load_row(ptr, n, N, other):
    return tl.load(ptr + n, mask=n < N, other=other)


# endregion

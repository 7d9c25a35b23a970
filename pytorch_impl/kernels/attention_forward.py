"""Attention, the forward kernel: a block of queries meets all keys.

in base 2: s_nm = scale log2(e) sum_d q_nd k_md, exp(x) = 2^(x log2(e))
t_n the running maximum of s_nm, l_n = sum_m 2^(s_nm - t_n)
y_nd = sum_m 2^(s_nm - t_n) v_md / l_n

Axes:   as in attention; a program has BLOCK_N queries of a head and
        meets BLOCK_M keys at a time; W the width, a power of two
Memory: *_ptr in device memory; *_tile in shared memory or registers;
        acc, top, total float32 in registers
        TMA reads a tile of k or v by a descriptor, one bulk copy
        SPECIALIZED: loads and matrix products in warps of their own
Ladder: attention, attention_tiled, kernels/attention_triton
Ref:    Dao 2023, arXiv 2307.08691, alg. 1; Shah et al. 2024, 2407.08608
"""

# region imports
import triton
import triton.language as tl

from pytorch_impl.kernels.attention_loads import (
    load_tile,
    matrix,
    may_attend,
)

# endregion


# region kernel
@triton.jit
def forward_keys(
    state, q_tile, k, v, mask_ptr, first, last, n, N, M, D, k_m, v_m,
    mask_n, mask_m, scale, CAUSAL: tl.constexpr, MASKED: tl.constexpr,
    CHECKED: tl.constexpr, PRECISION: tl.constexpr, BLOCK_M: tl.constexpr,
    W: tl.constexpr, TMA: tl.constexpr, SPECIALIZED: tl.constexpr,
):  # fmt: skip
    acc, top, total = state
    for m in tl.range(
        first, last, BLOCK_M, warp_specialize=SPECIALIZED
    ):
        k_tile = load_tile(k, m, M, k_m, D, BLOCK_M, W, TMA)
        s = tl.dot(q_tile, tl.trans(k_tile), input_precision=PRECISION)
        s = s * scale
        if CHECKED:
            keys = (m + tl.arange(0, BLOCK_M))[None, :]
            allowed = may_attend(
                n[:, None], keys, N, M, mask_ptr, mask_n, mask_m, CAUSAL,
                MASKED,
            )  # fmt: skip
            s = tl.where(allowed, s, float("-inf"))
        high = tl.maximum(top, tl.max(s, 1))
        if CHECKED:  # no key so far: -inf - -inf is NaN
            shift = tl.where(high == float("-inf"), 0.0, high)
        else:
            shift = high
        w = tl.exp2(s - shift[:, None])
        shrink = tl.exp2(top - shift)
        total = total * shrink + tl.sum(w, 1)
        v_tile = load_tile(v, m, M, v_m, D, BLOCK_M, W, TMA)
        w = w.to(v_tile.dtype)
        acc = acc * shrink[:, None]
        acc = tl.dot(w, v_tile, acc, input_precision=PRECISION)
        top = high
    return acc, top, total


@triton.jit
def attention_forward(
    q_ptr, k_ptr, v_ptr, mask_ptr, y_ptr, top_ptr, total_ptr, scale,
    H, REPEATS, N, M, D, q_b, q_h, q_n, k_b, k_g, k_m, v_b, v_g, v_m,
    mask_b, mask_h, mask_n, mask_m, CAUSAL: tl.constexpr,
    MASKED: tl.constexpr, PRECISION: tl.constexpr, BLOCK_N: tl.constexpr,
    BLOCK_M: tl.constexpr, W: tl.constexpr, TMA: tl.constexpr,
    SPECIALIZED: tl.constexpr,
):  # fmt: skip
    blocks = tl.cdiv(N, BLOCK_N)
    bh = (tl.program_id(0) // blocks).to(tl.int64)
    block = tl.program_id(0) % blocks
    if CAUSAL:  # the longest rows first
        block = blocks - 1 - block
    b, h = bh // H, bh % H
    k_ptr += b * k_b + h // REPEATS * k_g
    v_ptr += b * v_b + h // REPEATS * v_g
    mask_ptr += b * mask_b + h * mask_h
    q_ptr += b * q_b + h * q_h
    first, n = block * BLOCK_N, block * BLOCK_N + tl.arange(0, BLOCK_N)
    q = matrix(q_ptr, N, q_n, D, BLOCK_N, W, TMA)
    k = matrix(k_ptr, M, k_m, D, BLOCK_M, W, TMA)
    v = matrix(v_ptr, M, v_m, D, BLOCK_M, W, TMA)
    q_tile = load_tile(q, first, N, q_n, D, BLOCK_N, W, TMA)
    acc = tl.zeros([BLOCK_N, W], tl.float32)
    top = tl.full([BLOCK_N], float("-inf"), tl.float32)
    state = acc, top, tl.zeros([BLOCK_N], tl.float32)
    last = M
    whole = M // BLOCK_M * BLOCK_M  # until there no pair needs a check
    if CAUSAL:
        last = tl.minimum(M, first + BLOCK_N)
        whole = tl.minimum(M, first + 1) // BLOCK_M * BLOCK_M
    if MASKED or SPECIALIZED:  # 3.6.0 specializes one loop, not two
        whole = 0
    else:
        state = forward_keys(
            state, q_tile, k, v, mask_ptr, 0, whole, n, N, M, D, k_m, v_m,
            mask_n, mask_m, scale, CAUSAL, MASKED, False, PRECISION,
            BLOCK_M, W, TMA, False,
        )  # fmt: skip
    acc, top, total = forward_keys(
        state, q_tile, k, v, mask_ptr, whole, last, n, N, M, D, k_m, v_m,
        mask_n, mask_m, scale, CAUSAL, MASKED, True, PRECISION,
        BLOCK_M, W, TMA, SPECIALIZED,
    )  # fmt: skip
    top = tl.where(total == 0.0, 0.0, top)
    total = tl.where(total == 0.0, 1.0, total)
    row, column = bh * N + n, tl.arange(0, W)
    tl.store(top_ptr + row, top, mask=n < N)
    tl.store(total_ptr + row, total, mask=n < N)
    y = (acc / total[:, None]).to(y_ptr.dtype.element_ty)
    there = (n < N)[:, None] & (column < D)[None, :]
    tl.store(y_ptr + row[:, None] * D + column[None, :], y, mask=there)


# endregion

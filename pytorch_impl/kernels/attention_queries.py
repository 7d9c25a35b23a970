"""Attention, the gradient of q: a block of queries meets all keys.

w_nm = 2^(s_nm - t_n) / l_n, from t and l that the forward has kept
g_nm = sum_d dy_nd v_md;  ds_nm = w_nm (g_nm - f_n), f from attention_dot
dq_nd = scale sum_m ds_nm k_md

Axes:   as in attention; a program has BLOCK_N queries of a head and
        meets BLOCK_M keys at a time
Memory: as in attention_forward
Ref:    Dao 2023, arXiv 2307.08691, alg. 2
"""

# region imports
import triton
import triton.language as tl

from pytorch_impl.kernels.attention_loads import (
    load_row,
    load_tile,
    matrix,
    may_attend,
)

# endregion


# region kernel
@triton.jit
def queries_meet(
    dq, q_tile, dy_tile, top, inv, dot, k, v, mask_ptr, first,
    last, n, N, M, D, k_m, v_m, mask_n, mask_m, scale,
    CAUSAL: tl.constexpr, MASKED: tl.constexpr, CHECKED: tl.constexpr,
    PRECISION: tl.constexpr, BLOCK_M: tl.constexpr, W: tl.constexpr,
    TMA: tl.constexpr,
):  # fmt: skip
    for m in range(first, last, BLOCK_M):
        k_tile = load_tile(k, m, M, k_m, D, BLOCK_M, W, TMA)
        v_tile = load_tile(v, m, M, v_m, D, BLOCK_M, W, TMA)
        s = tl.dot(q_tile, tl.trans(k_tile), input_precision=PRECISION)
        w = tl.exp2(s * scale - top) * inv  # N M
        if CHECKED:
            keys = (m + tl.arange(0, BLOCK_M))[None, :]
            allowed = may_attend(
                n, keys, N, M, mask_ptr, mask_n, mask_m, CAUSAL, MASKED
            )
            w = tl.where(allowed, w, 0.0)
        g = tl.dot(dy_tile, tl.trans(v_tile), input_precision=PRECISION)
        ds = (w * (g - dot)).to(k_tile.dtype)
        dq = tl.dot(ds, k_tile, dq, input_precision=PRECISION)
    return dq


@triton.jit
def attention_queries(
    q_ptr, k_ptr, v_ptr, mask_ptr, dy_ptr, top_ptr, total_ptr, dot_ptr,
    dq_ptr, scale, natural, H, REPEATS, N, M, D, q_b, q_h, q_n,
    k_b, k_g, k_m, v_b, v_g, v_m, mask_b, mask_h, mask_n, mask_m,
    CAUSAL: tl.constexpr, MASKED: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_M: tl.constexpr, W: tl.constexpr,
    TMA: tl.constexpr,
):  # fmt: skip
    blocks = tl.cdiv(N, BLOCK_N)
    bh = (tl.program_id(0) // blocks).to(tl.int64)
    block = tl.program_id(0) % blocks
    if CAUSAL:  # the longest rows first
        block = blocks - 1 - block
    first, n = block * BLOCK_N, block * BLOCK_N + tl.arange(0, BLOCK_N)
    b, h = bh // H, bh % H
    k_ptr += b * k_b + h // REPEATS * k_g
    v_ptr += b * v_b + h // REPEATS * v_g
    mask_ptr += b * mask_b + h * mask_h
    q_ptr += b * q_b + h * q_h
    rows = bh * N
    q = matrix(q_ptr, N, q_n, D, BLOCK_N, W, TMA)
    k = matrix(k_ptr, M, k_m, D, BLOCK_M, W, TMA)
    v = matrix(v_ptr, M, v_m, D, BLOCK_M, W, TMA)
    dy = matrix(dy_ptr + rows * D, N, D, D, BLOCK_N, W, TMA)
    q_tile = load_tile(q, first, N, q_n, D, BLOCK_N, W, TMA)
    dy_tile = load_tile(dy, first, N, D, D, BLOCK_N, W, TMA)
    top = load_row(top_ptr + rows, n, N, 0.0)[:, None]
    inv = 1.0 / load_row(total_ptr + rows, n, N, 1.0)[:, None]
    dot = load_row(dot_ptr + rows, n, N, 0.0)[:, None]
    dq = tl.zeros([BLOCK_N, W], tl.float32)
    last = M
    whole = M // BLOCK_M * BLOCK_M  # until there no pair needs a check
    if CAUSAL:
        last = tl.minimum(M, first + BLOCK_N)
        whole = tl.minimum(M, first + 1) // BLOCK_M * BLOCK_M
    if MASKED:
        whole = 0
    else:
        dq = queries_meet(
            dq, q_tile, dy_tile, top, inv, dot, k, v, mask_ptr, 0,
            whole, n[:, None], N, M, D, k_m, v_m, mask_n, mask_m, scale,
            CAUSAL, MASKED, False, PRECISION, BLOCK_M, W, TMA,
        )  # fmt: skip
    dq = queries_meet(
        dq, q_tile, dy_tile, top, inv, dot, k, v, mask_ptr, whole,
        last, n[:, None], N, M, D, k_m, v_m, mask_n, mask_m, scale,
        CAUSAL, MASKED, True, PRECISION, BLOCK_M, W, TMA,
    )  # fmt: skip
    column = tl.arange(0, W)
    cells = (rows + n)[:, None] * D + column[None, :]
    there = (n < N)[:, None] & (column < D)[None, :]
    dq = (dq * natural).to(dq_ptr.dtype.element_ty)
    tl.store(dq_ptr + cells, dq, mask=there)


# endregion

"""Attention, the gradients of k and v: a block of keys, all queries.

w_nm = 2^(s_nm - t_n) / l_n, from t and l that the forward has kept
g_nm = sum_d dy_nd v_md;  ds_nm = w_nm (g_nm - f_n), f from attention_dot
dk_md = scale sum_n ds_nm q_nd;  dv_md = sum_n w_nm dy_nd, over all
heads of the group too: no atomic addition, the same bits in every run

s is computed transposed, K Q^T: Triton 3.4 and later are suspected to
get dot(trans(x), y) wrong on Hopper where x comes from a dot
Axes:   as in attention; a program has BLOCK_M keys of a group and meets
        BLOCK_N queries at a time
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
def keys_meet(
    state, k_tile, v_tile, q, dy, mask_ptr, top_ptr, total_ptr,
    dot_ptr, first, last, m, N, M, D, q_n, mask_n, mask_m, scale,
    CAUSAL: tl.constexpr, MASKED: tl.constexpr, CHECKED: tl.constexpr,
    PRECISION: tl.constexpr, BLOCK_N: tl.constexpr, W: tl.constexpr,
    TMA: tl.constexpr,
):  # fmt: skip
    dk, dv = state
    for start in range(first, last, BLOCK_N):
        n = start + tl.arange(0, BLOCK_N)
        q_tile = load_tile(q, start, N, q_n, D, BLOCK_N, W, TMA)
        dy_tile = load_tile(dy, start, N, D, D, BLOCK_N, W, TMA)
        top = load_row(top_ptr, n, N, 0.0)[None, :]
        inv = 1.0 / load_row(total_ptr, n, N, 1.0)[None, :]
        dot = load_row(dot_ptr, n, N, 0.0)[None, :]
        s = tl.dot(k_tile, tl.trans(q_tile), input_precision=PRECISION)
        w = tl.exp2(s * scale - top) * inv  # M N
        if CHECKED:
            allowed = may_attend(
                n[None, :], m[:, None], N, M, mask_ptr, mask_n, mask_m,
                CAUSAL, MASKED,
            )  # fmt: skip
            w = tl.where(allowed, w, 0.0)
        narrow = w.to(dy_tile.dtype)
        dv = tl.dot(narrow, dy_tile, dv, input_precision=PRECISION)
        g = tl.dot(v_tile, tl.trans(dy_tile), input_precision=PRECISION)
        ds = (w * (g - dot)).to(q_tile.dtype)
        dk = tl.dot(ds, q_tile, dk, input_precision=PRECISION)
    return dk, dv


@triton.jit
def attention_keys(
    q_ptr, k_ptr, v_ptr, mask_ptr, dy_ptr, top_ptr, total_ptr, dot_ptr,
    dk_ptr, dv_ptr, scale, natural, H, REPEATS, N, M, D, q_b, q_h, q_n,
    k_b, k_g, k_m, v_b, v_g, v_m, mask_b, mask_h, mask_n, mask_m,
    CAUSAL: tl.constexpr, MASKED: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_M: tl.constexpr, W: tl.constexpr,
    TMA: tl.constexpr,
):  # fmt: skip
    blocks = tl.cdiv(M, BLOCK_M)
    bg = (tl.program_id(0) // blocks).to(tl.int64)
    first = tl.program_id(0) % blocks * BLOCK_M
    groups = H // REPEATS
    b, g = bg // groups, bg % groups
    m = first + tl.arange(0, BLOCK_M)
    k_ptr += b * k_b + g * k_g
    v_ptr += b * v_b + g * v_g
    k = matrix(k_ptr, M, k_m, D, BLOCK_M, W, TMA)
    v = matrix(v_ptr, M, v_m, D, BLOCK_M, W, TMA)
    k_tile = load_tile(k, first, M, k_m, D, BLOCK_M, W, TMA)
    v_tile = load_tile(v, first, M, v_m, D, BLOCK_M, W, TMA)
    dk = tl.zeros([BLOCK_M, W], tl.float32)
    state = dk, tl.zeros([BLOCK_M, W], tl.float32)
    start, whole = 0, 0  # from whole on no pair needs a check
    if CAUSAL:
        start = first // BLOCK_N * BLOCK_N
        whole = tl.cdiv(first + BLOCK_M - 1, BLOCK_N) * BLOCK_N
        whole = tl.minimum(whole, tl.cdiv(N, BLOCK_N) * BLOCK_N)
    if MASKED:
        whole = tl.cdiv(N, BLOCK_N) * BLOCK_N
    for h in range(g * REPEATS, (g + 1) * REPEATS):
        q = q_ptr + b * q_b + h * q_h
        q = matrix(q, N, q_n, D, BLOCK_N, W, TMA)
        row = (b * H + h) * N
        dy = matrix(dy_ptr + row * D, N, D, D, BLOCK_N, W, TMA)
        mask = mask_ptr + b * mask_b + h * mask_h
        top, total, dot = top_ptr + row, total_ptr + row, dot_ptr + row
        state = keys_meet(
            state, k_tile, v_tile, q, dy, mask, top, total, dot, start,
            whole, m, N, M, D, q_n, mask_n, mask_m, scale, CAUSAL, MASKED,
            True, PRECISION, BLOCK_N, W, TMA,
        )  # fmt: skip
        if not MASKED:
            state = keys_meet(
                state, k_tile, v_tile, q, dy, mask, top, total, dot, whole,
                N, m, N, M, D, q_n, mask_n, mask_m, scale, CAUSAL, MASKED,
                False, PRECISION, BLOCK_N, W, TMA,
            )  # fmt: skip
    dk, dv = state
    column = tl.arange(0, W)
    cells = (bg * M + m)[:, None] * D + column[None, :]
    there = (m < M)[:, None] & (column < D)[None, :]
    dk = (dk * natural).to(dk_ptr.dtype.element_ty)
    tl.store(dk_ptr + cells, dk, mask=there)
    tl.store(dv_ptr + cells, dv.to(dv_ptr.dtype.element_ty), mask=there)


# endregion

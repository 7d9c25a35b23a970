"""Attention, f_n = sum_m w_nm g_nm, which every ds_nm needs.

w_nm = 2^(s_nm - t_n) / l_n, from t and l that the forward has kept
g_nm = sum_d dy_nd v_md
EXACT: added up over the keys, two matrix products more
else:  f_n = sum_d dy_nd y_nd, the same sum in another order, which
       loses digits where one w_nm is near 1; narrow dtypes lose more
       elsewhere

Axes:   as in attention; a program has BLOCK_N queries of a head
Memory: as in attention_forward
Ref:    Dao 2023, arXiv 2307.08691, alg. 2, line 4
"""

# region imports
import triton
import triton.language as tl

from pytorch_impl.kernels.attention_loads import (
    load_row,
    load_tile,
    may_attend,
)

# endregion


# region kernel
@triton.jit
def attention_dot(
    q_ptr, k_ptr, v_ptr, mask_ptr, y_ptr, dy_ptr, top_ptr, total_ptr,
    dot_ptr, scale, H, REPEATS, N, M, D, q_b, q_h, q_n, k_b, k_g, k_m,
    v_b, v_g, v_m, mask_b, mask_h, mask_n, mask_m,
    CAUSAL: tl.constexpr, MASKED: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_M: tl.constexpr, W: tl.constexpr,
    EXACT: tl.constexpr,
):  # fmt: skip
    blocks = tl.cdiv(N, BLOCK_N)
    bh = (tl.program_id(0) // blocks).to(tl.int64)
    first = tl.program_id(0) % blocks * BLOCK_N
    b, h = bh // H, bh % H
    n = first + tl.arange(0, BLOCK_N)
    rows = bh * N * D
    dy_tile = load_tile(
        dy_ptr + rows, first, N, D, D, BLOCK_N, W, False
    )
    dot = tl.zeros([BLOCK_N], tl.float32)
    if EXACT:
        q_ptr += b * q_b + h * q_h
        k_ptr += b * k_b + h // REPEATS * k_g
        v_ptr += b * v_b + h // REPEATS * v_g
        mask_ptr += b * mask_b + h * mask_h
        q_tile = load_tile(q_ptr, first, N, q_n, D, BLOCK_N, W, False)
        top = load_row(top_ptr + bh * N, n, N, 0.0)
        inv = 1.0 / load_row(total_ptr + bh * N, n, N, 1.0)
        last = M
        if CAUSAL:
            last = tl.minimum(M, first + BLOCK_N)
        for m in range(0, last, BLOCK_M):
            k_tile = load_tile(k_ptr, m, M, k_m, D, BLOCK_M, W, False)
            v_tile = load_tile(v_ptr, m, M, v_m, D, BLOCK_M, W, False)
            s = tl.dot(
                q_tile, tl.trans(k_tile), input_precision=PRECISION
            )
            keys = (m + tl.arange(0, BLOCK_M))[None, :]
            allowed = may_attend(
                n[:, None], keys, N, M, mask_ptr, mask_n, mask_m, CAUSAL,
                MASKED,
            )  # fmt: skip
            w = tl.exp2(s * scale - top[:, None]) * inv[:, None]
            w = tl.where(allowed, w, 0.0)
            g = tl.dot(
                dy_tile, tl.trans(v_tile), input_precision=PRECISION
            )
            dot += tl.sum(w * g, 1)
    else:
        y_tile = load_tile(
            y_ptr + rows, first, N, D, D, BLOCK_N, W, False
        )
        product = dy_tile.to(tl.float32) * y_tile.to(tl.float32)
        dot = tl.sum(product, 1)
    tl.store(dot_ptr + bh * N + n, dot, mask=n < N)


# endregion

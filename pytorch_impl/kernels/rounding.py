"""What the kernels of quantizers do with a tile; see tiles.py.

scaled    u = x inv, inv = 1 / step: each rounded once, as in PyTorch
nearest   round(u), half to even
unclipped_code   round(u) + zero_point
clipped   clip(u, qmin, qmax)
tile, numbers, offset, channel: which numbers are here, and their step

mul.rn is never fused with what follows it, and keeps subnormals, which
libdevice does not. The interpreter has no instructions of PTX; there
NumPy fuses nothing, and adding 1.5 2^23 leaves float32 no fraction.
"""

# region imports
import triton
import triton.language as tl

from pytorch_impl.kernels import operators

# endregion


# region function
INTERPRETED = tl.constexpr(operators.INTERPRETED)


@triton.jit
def scaled(x, step):
    inv = tl.div_rn(1.0, step)
    if INTERPRETED:
        return x * inv
    return tl.inline_asm_elementwise(
        "mul.rn.f32 $0, $1, $2;",
        "=f,f,f",
        [x, inv],
        tl.float32,
        True,
        1,
    )


@triton.jit
def nearest(u):
    if INTERPRETED:
        return tl.where(
            tl.abs(u) < 4194304.0, u + 12582912.0 - 12582912.0, u
        )
    return tl.inline_asm_elementwise(
        "cvt.rni.f32.f32 $0, $1;", "=f,f", [u], tl.float32, True, 1
    )


@triton.jit
def unclipped_code(x, scale, zero_point):
    return nearest(scaled(x, scale)) + zero_point


# NaN stays
@triton.jit
def clipped(u, QMIN: tl.constexpr, QMAX: tl.constexpr):
    return tl.where(u < QMIN, QMIN, tl.where(u > QMAX, QMAX, u))


# the tile of this program, counted down and across
@triton.jit
def tile(across, WIDE: tl.constexpr):
    program = tl.program_id(0)
    if WIDE:
        program = program.to(tl.int64)
    return program // across, program % across


# rows m, columns k of the tile, and which of its numbers there are
@triton.jit
def numbers(
    down, across, M, K, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr
):
    m = (down * BLOCK_M + tl.arange(0, BLOCK_M))[:, None]
    k = (across * BLOCK_K + tl.arange(0, BLOCK_K))[None, :]
    return m, k, (m < M) & (k < K)


# where they are in memory
@triton.jit
def offset(m, k, K):
    return m.to(tl.int64) * K + k


# which step a row or a column has; always one that there is
@triton.jit
def channel(m, k, channels, inner, ROWS: tl.constexpr):
    return (m if ROWS else k // inner) % channels


# endregion

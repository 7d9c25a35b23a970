"""Attention, by jax.nn.dot_product_attention: cuDNN's where it works.

y_bhnd = sum_m w_bhnm v_bgmd, as in attention; on a CPU that is faster,
so this is offered, and nothing takes it by itself

Axes:   as in attention
Grads:  q, k, v by the built-in; a query without a key has 0, where the
        built-in has the mean of the values
Raises: as attention; TypeError for float64: its softmax is float32;
        ValueError, from jax 0.10.2, for float16 gradients on a CPU
Ladder: attention, attention_tiled, attention_pallas, attention_builtin
"""

# region imports
import functools

import jax
import jax.numpy as jnp

from jax_impl.attention_checks import check_attention
from jax_impl.checks import check_input

# endregion


# region choice
def implementation(q, k, v, attn_mask=None, causal=False):
    """cudnn where it works, tried once for such arrays, else xla."""
    if jax.default_backend() != "gpu" or 0 in q.shape:
        return "xla"
    if causal and q.shape[2] != k.shape[2]:
        return "xla"  # n >= m there: not shown for cuDNN
    arrays = [q, k, v] if attn_mask is None else [q, k, v, attn_mask]
    like = tuple((x.shape, x.dtype.name) for x in arrays)
    return "cudnn" if cudnn_works(like, causal) else "xla"


@functools.cache
def cudnn_works(like, causal):
    """jax issue 32430: with CUDA 13 it may fail, so it is run once."""

    def both(q, k, v, *attn_mask):
        def call(q, k, v):
            return builtin("cudnn", q, k, v, *attn_mask, causal=causal)

        y, pull = jax.vjp(call, q, k, v)
        return pull(y)

    try:
        with jax.ensure_compile_time_eval():
            arrays = [jnp.ones(*one) for one in like]
            jax.block_until_ready(jax.jit(both)(*arrays))
    except (RuntimeError, ValueError):
        return False
    return True


# endregion


# region function
def builtin(by, q, k, v, attn_mask=None, causal=False, scale=None):
    q, k, v = (jnp.swapaxes(x, 1, 2) for x in (q, k, v))  # B N H D
    y = jax.nn.dot_product_attention(
        q,
        k,
        v,
        mask=attn_mask,
        is_causal=causal,  # not in the mask: cuDNN leaves tiles out
        scale=scale,
        implementation=by,
    )
    return jnp.swapaxes(y, 1, 2)  # B H N D


def attention_builtin(
    q, k, v, attn_mask=None, causal=False, scale=None
):
    caller = "attention_builtin"
    narrow = ["float32", "float16", "bfloat16"]
    check_attention(caller, q, k, v, attn_mask)
    check_input(caller, q, "B H N D", narrow, "q")
    check_input(caller, v, "B G M D", array="v", D=q.shape[3])
    by = implementation(q, k, v, attn_mask, causal)
    y = builtin(by, q, k, v, attn_mask, causal, scale)
    if attn_mask is None:
        return y
    if causal:
        before = jnp.tri(q.shape[2], k.shape[2], dtype=bool)
        attn_mask = attn_mask & before
    some = jnp.any(attn_mask, axis=-1, keepdims=True)
    return jnp.where(some, y, jnp.zeros_like(y))


# endregion


# region try
if __name__ == "__main__":
    q = k = v = jnp.ones((1, 2, 5, 4))  # B H N D
    print(attention_builtin(q, k, v, causal=True).shape)
    print(implementation(q, k, v, causal=True))
# endregion

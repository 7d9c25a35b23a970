"""Attention checks: q, k, v and the mask fit together.

A mask broadcasts to (B, H, N, M) from the right, as in NumPy and in
torch's scaled_dot_product_attention: (N, M) is for all, (H, N, M) by
head. Others read three axes as (B, N, M), so that they are refused
where B = H: the numbers would be wrong without a word.

Axes:   q (B, H, N, D), k (B, G, M, D), v (B, G, M, E), as in attention
Raises: TypeError if they are not of one real floating dtype, or the
        mask is not boolean; ValueError for shapes that do not fit
"""

# region imports
from mxnet_impl.checks import (
    check_input,
    check_least,
    check_multiple,
    dtype_name,
)

# endregion


# region function
def check_attention(caller: str, q, k, v, attn_mask=None):
    check_input(caller, q, "B H N D", array="q")
    batch, heads, queries, width = q.shape
    q_dtype = [dtype_name(q)]
    known = dict(B=batch, D=width)
    check_input(caller, k, "B G M D", q_dtype, "k", **known)
    groups, keys = k.shape[1], k.shape[2]
    known = dict(B=batch, G=groups, M=keys)
    check_input(caller, v, "B G M E", q_dtype, "v", **known)
    check_multiple(f"{caller}: H", heads, "G", groups)
    check_least(f"{caller}: M", keys, 1)
    if attn_mask is None:
        return
    check_input(caller, attn_mask, "...", ["bool"], "attn_mask")
    want, got = (batch, heads, queries, keys), tuple(attn_mask.shape)
    if len(got) == 3 and got[0] == batch == heads != 1:
        both = f"(B, 1, N, M) or (1, H, N, M), as B = H = {heads}"
        raise ValueError(
            f"{caller}: attn_mask expected {both}, got {got}"
        )
    padded = (1,) * (4 - len(got)) + got
    if len(got) > 4 or any(
        size not in (1, wanted) for size, wanted in zip(padded, want)
    ):
        want = f"a shape that broadcasts to {want}"
        raise ValueError(
            f"{caller}: attn_mask expected {want}, got {got}"
        )


# endregion


# region try
if __name__ == "__main__":
    from mxnet import np

    q, attn_mask = np.ones((3, 3, 5, 4)), np.ones((3, 5, 5)) > 0
    try:
        check_attention("attention", q, q, q, attn_mask)
    except ValueError as error:
        print(error)
# endregion

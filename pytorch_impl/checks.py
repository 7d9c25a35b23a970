"""Input checks: the same errors, in the same words, in all four.

Each page calls these first, so that bad input is refused by a sentence
that names the caller, what it expected and what it got.
    check_input(caller, x, axes, **sizes) checks one array:
        axes    a word for each axis, "B I"; "... I" allows leading ones
        only    the names of the dtypes allowed, else any real float
        array   what the message calls it
        sizes   the sizes that are known, I=7
    check_attention(caller, q, k, v, attn_mask) checks the four together
    has_numbers(x): a compiled function knows shapes, not numbers

Raises: TypeError if x is not an array of the right dtype; ValueError
        if its shape does not fit the axes, or a number its bounds
"""

# region imports
import torch

# endregion


# region function
def dtype_name(x):
    return str(x.dtype).removeprefix("torch.")


def has_numbers(x):
    """In compiled code an array stands for any numbers."""
    stack = torch._C._functorch.peek_interpreter_stack()  # torch 2.13
    compiled = torch.compiler.is_compiling() or torch.jit.is_tracing()
    return stack is None and not compiled and not x.is_meta


def check_input(
    caller: str, x, axes: str, only=None, array: str = "x", **sizes: int
):
    what = f"{caller}: {array}"
    if not isinstance(x, torch.Tensor):
        got = type(x).__name__
        raise TypeError(f"{what} expected an array, got {got}")
    got = dtype_name(x)
    if only is not None and got not in only:
        want = " or ".join(only)
        raise TypeError(f"{what} expected {want}, got {got}")
    if only is None and not x.dtype.is_floating_point:
        want = "a real floating dtype"
        raise TypeError(f"{what} expected {want}, got {got}")
    check_shape(what, x.shape, axes, **sizes)


def check_shape(what: str, shape, axes: str, **sizes: int):
    names = [axis for axis in axes.split() if axis != "..."]
    last = tuple(shape)[len(shape) - len(names) :]
    fits = len(last) == len(names) <= len(shape)
    fits = fits and ("..." in axes or len(shape) == len(names))
    if not fits or any(
        sizes.get(axis, size) != size for axis, size in zip(names, last)
    ):
        known = [
            f"{axis}={sizes[axis]}" if axis in sizes else axis
            for axis in axes.split()
        ]
        want, got = ", ".join(known), tuple(shape)
        raise ValueError(f"{what} expected shape ({want}), got {got}")


def check_least(what: str, value: int, least: int):
    if not isinstance(value, int) or value < least:
        want = f"an integer of at least {least}"
        raise ValueError(f"{what} expected {want}, got {value!r}")


def check_multiple(what: str, value: int, of: str, unit: int):
    check_least(of, unit, 1)
    if value % unit:
        want = f"a multiple of {of}={unit}"
        raise ValueError(f"{what} expected {want}, got {value}")


def check_attention(caller: str, q, k, v, attn_mask=None):
    check_input(caller, q, "B H N D", array="q")
    batch, heads, queries, width = q.shape
    q_dtype = [dtype_name(q)]
    known = dict(B=batch, D=width)
    check_input(caller, k, "B G M D", q_dtype, "k", **known)
    groups, keys = k.shape[1], k.shape[2]
    known |= dict(G=groups, M=keys)
    check_input(caller, v, "B G M D", q_dtype, "v", **known)
    check_multiple(f"{caller}: H", heads, "G", groups)
    check_least(f"{caller}: M", keys, 1)
    if attn_mask is None:
        return
    check_input(caller, attn_mask, "...", ["bool"], "attn_mask")
    want, got = (batch, heads, queries, keys), tuple(attn_mask.shape)
    padded = (1,) * (4 - len(got)) + got
    if len(got) > 4 or any(
        size not in (1, wanted) for size, wanted in zip(padded, want)
    ):
        want = f"a shape that broadcasts to {want}"
        raise ValueError(
            f"{caller}: attn_mask expected {want}, got {got}"
        )


# endregion

"""Loss checks: y and target fit together, or a sentence says why not.

Arrays of two shapes would broadcast, and a label without a class would
count as a loss of 0: numbers that look right, and are wrong.
check_numbers  for squared_error: y and target have the same shape and
    the same real floating dtype
check_labels   for cross_entropy: y (N, K), and target (N) of integers
    with 0 <= target < K

Axes:   N batch, K classes
Raises: TypeError, ValueError for what does not fit and for no numbers
        at all, of which there is no mean. A compiled function does not
        see labels: there a wrong one makes the loss NaN
"""

# region imports
from jax_impl.checks import check_input, dtype_name, has_numbers

INTEGERS = ("int8", "int16", "int32", "int64", "uint8")
# endregion


# region function
def check_filled(caller: str, y):
    if 0 in y.shape:
        want, got = "numbers", tuple(y.shape)
        raise ValueError(f"{caller}: y expected {want}, got {got}")


def check_numbers(y, target):
    caller, array = "squared_error", "target"
    check_input(caller, y, "...", array="y")
    check_input(caller, target, "...", [dtype_name(y)], array)
    want, got = tuple(y.shape), tuple(target.shape)
    if got != want:
        text = f"{array} expected shape {want}, got {got}"
        raise ValueError(f"{caller}: {text}")
    check_filled(caller, y)


def check_labels(y, target):
    caller, array = "cross_entropy", "target"
    check_input(caller, y, "N K", array="y")
    batch, classes = y.shape
    check_input(caller, target, "N", INTEGERS, array, N=batch)
    check_filled(caller, y)
    labels = target.tolist() if has_numbers(target) else []
    wrong = [label for label in labels if not 0 <= label < classes]
    if wrong:
        text = f"{array} expected labels from 0 to {classes - 1}"
        raise ValueError(f"{caller}: {text}, got {wrong[0]}")


# endregion


# region try
if __name__ == "__main__":
    import jax.numpy as jnp

    try:
        check_labels(jnp.ones((2, 3)), jnp.array([0, 3]))
    except ValueError as error:
        print(error)
# endregion

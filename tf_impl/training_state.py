"""Training state: what an update rule remembers between steps.

trainable(layer)  {name: parameter}, as list_parameters names them,
    without the frozen ones
start_state(layer, rule, lr)  the state before the first step, a dict:
    rule, lr, step  the name of the rule, its rate, steps made so far
    first, second   {name: array like the parameter}, zeros at first
check_state(layer, rule, state)  train can go on from it with layer
resume(layer, rule, lr, state=None)  what train goes on with: the
    trainable parameters, the state and its [(first, second)]
record(state, lr, named, states)  one more step was made

With it and the parameters in a file, training goes on elsewhere.

Raises: TypeError, ValueError, naming expected and got, for other keys,
        another rule, a step that is none, other names, shapes, dtypes
"""

# region imports
import tensorflow as tf

from tf_impl.arguments import whole
from tf_impl.checkpoint import check_same
from tf_impl.checks import dtype_name
from tf_impl.linear import Linear
from tf_impl.parameters import named_parameters

KEYS = "first", "lr", "rule", "second", "step"
# endregion


# region function
def trainable(layer):
    named = named_parameters(layer)
    return {n: p for n, p in named.items() if p.trainable}


def start_state(layer, rule, lr: float):
    named = trainable(layer)
    return {
        "rule": rule.__name__,
        "lr": lr,
        "step": 0,
        "first": zeros(named),
        "second": zeros(named),
    }


def zeros(named):
    return {n: tf.zeros_like(p.value) for n, p in named.items()}


def check_state(layer, rule, state):
    if not isinstance(state, dict):
        want, got = "a dict", type(state).__name__
        raise TypeError(f"train: state expected {want}, got {got}")
    if sorted(state) != sorted(KEYS):
        want, got = ", ".join(KEYS), ", ".join(sorted(state))
        raise ValueError(f"train: state expected {want}, got {got}")
    want, got = rule.__name__, state["rule"]
    if got != want:
        text = f"rule of state expected {want!r}, got {got!r}"
        raise ValueError(f"train: {text}")
    whole("train: step of state", state["step"], 0)
    want = describe(zeros(trainable(layer)))
    for part in ("first", "second"):
        got = describe(state[part])
        check_same(f"train: {part} of state", want, got)


def describe(arrays):
    """{name: dtype, shape}"""
    found = {}
    arrays = arrays if isinstance(arrays, dict) else {}
    for name, a in arrays.items():
        found[name] = type(a).__name__
        if isinstance(a, tf.Tensor):
            found[name] = f"{dtype_name(a)} {tuple(a.shape)}"
    return found


def resume(layer, rule, lr: float, state=None):
    named = trainable(layer)
    if state is None:
        state = start_state(layer, rule, lr)
    check_state(layer, rule, state)
    first, second = state["first"], state["second"]
    return named, state, [(first[n], second[n]) for n in named]


def record(state, lr: float, named, states):
    state["first"] = {n: s[0] for n, s in zip(named, states)}
    state["second"] = {n: s[1] for n, s in zip(named, states)}
    state["step"], state["lr"] = state["step"] + 1, lr


# endregion


# region try
if __name__ == "__main__":
    from tf_impl.training import momentum

    layer = Linear(3, 2)
    state = start_state(layer, momentum, lr=1 / 16)
    print(state["step"], describe(state["first"]))
# endregion

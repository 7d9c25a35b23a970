"""NumPy in, NumPy out: how shared_tests drives TensorFlow.

build(layer, config, params, precision) -> Built
run(built, inputs, cotangents, compiled) -> {"out.y": ndarray, ...}
train(built, inputs, loss, rule, lr) -> {"trained.loss": ndarray, ...}
unsupported(layer, precision, compiled) -> the reason, or None
versions() -> {package: version}

layer is a public class or function name of tf_impl, or a name of
PREPARED: a layer that prepare changes, with the options in config.
params maps parameter names to arrays; a result holds out.<name> and,
given cotangents, grad.<input or parameter name>, in that precision.
Raises: ValueError, TypeError for unknown layers and precisions, wrong
    parameter names, shapes or dtypes, naming expected and got;
    NotImplementedError for what this framework does not have;
    RuntimeError for a gradient that TensorFlow calls unconnected
"""

# region imports
import functools
import inspect
import itertools
import platform
from typing import NamedTuple

import numpy as np
import tensorflow as tf

import tf_impl
from tf_impl import training
from tf_impl.checks import check_shape
from tf_impl.parameters import list_parameters, named_parameters

# endregion


# region tables
PRECISIONS = {
    "float64": tf.float64,
    "float32": tf.float32,
    "bfloat16": tf.bfloat16,
    "float16": tf.float16,
}
NO_FFT = "tf.signal.rfft has no bfloat16 and no float16"
# (layer, precision, mode), "*" for any
UNSUPPORTED = {
    ("HalfSpectrum", "bfloat16", "*"): NO_FFT,
    ("HalfSpectrum", "float16", "*"): NO_FFT,
}
PREPARED = {"QATMultiHeadAttention": "MultiHeadAttention"}
LOSSES = ("squared_error", "cross_entropy")
RULES = ("sgd", "momentum", "adam")
# endregion


# region built
class Built(NamedTuple):
    name: str
    call: object
    params: dict
    precision: str


# endregion


# region function
def build(layer, config, params, precision="float32"):
    names = *tf_impl.__all__, *PREPARED
    if layer not in names:
        known = ", ".join(names)
        raise ValueError(
            f"layer expected one of {known}, got {layer!r}"
        )
    if precision not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise ValueError(
            f"precision expected one of {known}, got {precision!r}"
        )
    if not takes_params(layer):
        make, config = getattr(tf_impl, layer), resolve(config)
        check_params(layer, {}, params)
        call = functools.partial(make, **config)
        return Built(layer, call, {}, precision)
    module = construct(layer, config, precision)
    own = {n: p.value for n, p in named_parameters(module).items()}
    check_params(layer, list_parameters(module), params)
    for name, value in params.items():
        exact = tf.cast(to_tensor(value, precision), own[name].dtype)
        own[name].assign(exact)
    return Built(layer, module, own, precision)


def run(built, inputs, cotangents=None, compiled=False):
    reason = unsupported(built.name, built.precision, compiled)
    if reason:
        raise NotImplementedError(reason)
    xs = {n: to_tensor(x, built.precision) for n, x in inputs.items()}
    moving = [n for n, x in xs.items() if x.dtype.is_floating]
    names = [*moving, *built.params]

    def forward_backward(xs, upstream):
        sources = [*(xs[n] for n in moving), *built.params.values()]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            y = built.call(**xs)
        if upstream is None:
            return y, []
        grads = tape.gradient(y, sources, output_gradients=upstream)
        return y, grads

    call, upstream = forward_backward, None
    if cotangents is not None:
        upstream = to_tensor(cotangents["y"], built.precision)
    if compiled:
        call = tf.function(call, jit_compile=True, autograph=False)
        call = call.get_concrete_function(xs, upstream)
    y, grads = call(xs, upstream)
    results = {"out.y": to_numpy(y)}
    for name, grad in zip(names, grads):
        if grad is not None:  # else it is missing from the result
            results[f"grad.{name}"] = to_numpy(grad)
    return results


def train(built, inputs, loss, rule, lr, history=True):
    """What training.train does to the layer, on inputs x and target.

    Returns: trained.loss (T), one for each of the T batches along the
        first axis of x, and trained.<parameter> after each step (T, ...)
        or, without history, after the last one
    """
    loss, rule = pick("loss", loss, LOSSES), pick("rule", rule, RULES)
    xs, targets = (
        to_tensor(inputs[n], built.precision) for n in ("x", "target")
    )
    steps = training.train(built.call, loss, rule, zip(xs, targets), lr)
    own = built.params
    losses, kept = [], {n: [] for n in own}
    for value in steps:
        losses.append(to_numpy(value))
        for name, param in own.items() if history else ():
            kept[name].append(to_numpy(param))
    results = {"trained.loss": np.stack(losses)}
    for name, param in own.items():
        last = np.stack(kept[name]) if history else to_numpy(param)
        results[f"trained.{name}"] = last
    return results


def pick(what, name, known):
    if name not in known:
        known = ", ".join(known)
        raise ValueError(
            f"{what} expected one of {known}, got {name!r}"
        )
    return getattr(training, name)


def resolve(config):
    """config with the function that attention="attention_tiled" names."""
    names = {"attention"} & set(config)
    return config | {n: getattr(tf_impl, config[n]) for n in names}


def shapes(layer, config):
    """Parameter names and shapes: the checkpoint format of a layer."""
    if not takes_params(layer):
        return {}
    return list_parameters(construct(layer, config, "float32"))


def takes_params(layer):
    """A layer does; a function gets arrays alone."""
    return layer in PREPARED or inspect.isclass(getattr(tf_impl, layer))


def unsupported(layer, precision, compiled=False):
    mode = "compiled" if compiled else "eager"
    each = (layer, "*"), (precision, "*"), (mode, "*")
    found = (UNSUPPORTED.get(k) for k in itertools.product(*each))
    return next(filter(None, found), None)


def versions():
    return {
        "tensorflow": tf.__version__,
        "keras": tf.keras.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def check_params(layer, shapes, params):
    if set(shapes) != set(params):
        want, got = sorted(shapes), sorted(params)
        raise ValueError(f"{layer}: params expected {want}, got {got}")
    for name, value in params.items():
        dtype = np.asarray(value).dtype
        if dtype.name not in PRECISIONS:
            want = "a real floating dtype"
            raise TypeError(
                f"{layer}.{name} expected {want}, got {dtype.name}"
            )
        sizes = {
            f"axis{i}": size for i, size in enumerate(shapes[name])
        }
        axes = " ".join(sizes)
        check_shape(f"{layer}.{name}", np.shape(value), axes, **sizes)


def to_tensor(value, precision):
    value = np.asarray(value)
    if value.dtype.name in PRECISIONS:
        dtype = PRECISIONS[precision].as_numpy_dtype
        value = value.astype(np.float64).astype(dtype)
    return tf.constant(value)  # copied to C order: tensors are dense


def to_numpy(tensor):
    return tensor.numpy()


def construct(layer, config, precision):
    """The layer as it starts, prepared if its name says so; its
    sublayers too must have the precision's policy."""
    make = getattr(tf_impl, PREPARED.get(layer, layer))
    config, options = resolve(config), {}
    known = list(inspect.signature(make).parameters)[:-1]  # kwargs
    if layer in PREPARED:
        more = list(inspect.signature(tf_impl.QATLinear).parameters)
        own = set(more[:-1]) & set(config) - set(known)
        options = {name: config.pop(name) for name in own}
    if not set(config) <= set(known):
        got = sorted(config)
        raise TypeError(f"{layer}: config expected {known}, got {got}")
    before = tf.keras.config.dtype_policy()
    tf.keras.config.set_dtype_policy(precision)
    try:
        module = make(**config)
        if layer in PREPARED:
            module = tf_impl.prepare(module, {"*": options})
        return module
    finally:
        tf.keras.config.set_dtype_policy(before)


# endregion

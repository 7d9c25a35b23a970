"""NumPy in, NumPy out: how shared_tests drives MXNet.

build(layer, config, params, precision) -> Built
run(built, inputs, cotangents, compiled) -> {"out.y": ndarray, ...}
train(built, inputs, loss, rule, lr) -> {"trained.loss": ndarray, ...}
unsupported(layer, precision, compiled) -> the reason, or None
versions() -> {package: version}

layer is a public class or function name of mxnet_impl, or a name of
PREPARED: a layer that prepare changes, with the options in config.
params maps parameter names to arrays; a result holds out.<name> and,
given cotangents, grad.<input or parameter name>, in that precision.
Raises: ValueError, TypeError for unknown layers and precisions, wrong
    parameter names, shapes or dtypes, naming expected and got;
    NotImplementedError for what this framework does not have
"""

# region imports
import functools
import inspect
import itertools
import platform
from typing import NamedTuple

import mxnet as mx
import numpy as np

import mxnet_impl
from mxnet_impl import training
from mxnet_impl.checks import check_shape
from mxnet_impl.parameters import list_parameters, named_parameters

# endregion


# region tables
PRECISIONS = {
    "float64": np.float64,
    "float32": np.float32,
    "bfloat16": None,
    "float16": np.float16,
}
OTHERS = ("bool", "int8", "int32", "int64", "uint8")
NO_BFLOAT16 = "MXNet 1.9.1 has no bfloat16 in Python"
NO_COMPILED = "MXNet 1.9.1 hybridizes hybrid_forward only, not a Block"
NO_MATMUL = "np.matmul of MXNet 1.9.1 has no float16 on the CPU"
# (layer, precision, mode), "*" for any
UNSUPPORTED = {
    ("*", "*", "compiled"): NO_COMPILED,
    ("*", "bfloat16", "*"): NO_BFLOAT16,
    ("HalfSpectrum", "float16", "*"): NO_MATMUL,
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
    names = *mxnet_impl.__all__, *PREPARED
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
    if PRECISIONS[precision] is None:
        raise NotImplementedError(unsupported(layer, precision))
    if not takes_params(layer):
        make, config = getattr(mxnet_impl, layer), resolve(config)
        check_params(layer, {}, params)
        call = functools.partial(make, **config)
        return Built(layer, call, {}, precision)
    module = construct(layer, config)
    module.cast(PRECISIONS[precision])
    own = named_parameters(module)
    check_params(layer, list_parameters(module), params)
    for name, value in params.items():
        own[name].data()[()] = to_tensor(value, precision)
    return Built(layer, module, own, precision)


def run(built, inputs, cotangents=None, compiled=False):
    reason = unsupported(built.name, built.precision, compiled)
    if reason:
        raise NotImplementedError(reason)
    xs = {
        n: to_tensor(x, built.precision, f"{built.name}: {n}")
        for n, x in inputs.items()
    }
    moving = {n: x for n, x in xs.items() if is_floating(x)}
    for x in moving.values():
        x.attach_grad()
    grads = {n: x.grad for n, x in moving.items()}
    grads |= {n: p.grad() for n, p in built.params.items()}
    for grad in grads.values():
        if grad.size:
            grad[()] = np.nan  # a stale buffer must not pass for a zero
    with mx.autograd.record():
        y = call_by_name(built.call, xs)
    results = {"out.y": to_numpy(y)}
    if cotangents is not None:
        y.backward(to_tensor(cotangents["y"], built.precision))
        for name, grad in grads.items():
            results[f"grad.{name}"] = to_numpy(grad)
    return results


def call_by_name(call, xs):
    """A Block takes no keyword arguments."""
    given = inspect.signature(getattr(call, "forward", call)).bind(**xs)
    given.apply_defaults()
    return call(*given.args, **given.kwargs)


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
            kept[name].append(to_numpy(param.data()))
    results = {"trained.loss": np.stack(losses)}
    for name, param in own.items():
        last = (
            np.stack(kept[name]) if history else to_numpy(param.data())
        )
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
    return config | {n: getattr(mxnet_impl, config[n]) for n in names}


def shapes(layer, config):
    """Parameter names and shapes: the checkpoint format of a layer."""
    if not takes_params(layer):
        return {}
    return list_parameters(construct(layer, config))


def takes_params(layer):
    """A layer does; a function gets arrays alone."""
    return layer in PREPARED or inspect.isclass(
        getattr(mxnet_impl, layer)
    )


def construct(layer, config):
    """The layer as it starts; prepared, if its name says so."""
    make = getattr(mxnet_impl, PREPARED.get(layer, layer))
    own = inspect.signature(make.__init__).parameters
    config, options = resolve(config), {}
    if layer in PREPARED:
        options = {n: config.pop(n) for n in set(config) - set(own)}
    module = make(**config)
    module.initialize()  # init.Uniform has float32 only
    if layer not in PREPARED:
        return module
    return mxnet_impl.prepare(module, {"*": options})


def unsupported(layer, precision, compiled=False):
    mode = "compiled" if compiled else "eager"
    each = (layer, "*"), (precision, "*"), (mode, "*")
    found = (UNSUPPORTED.get(k) for k in itertools.product(*each))
    return next(filter(None, found), None)


def versions():
    return {
        "mxnet": mx.__version__,
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


def to_tensor(value, precision, what="value"):
    value = np.asarray(value)
    dtype = value.dtype
    if dtype.name in PRECISIONS:
        dtype = PRECISIONS[precision]
    elif dtype.name not in OTHERS:  # complex, above all
        want = "a real floating dtype"
        raise TypeError(f"{what} expected {want}, got {dtype.name}")
    return mx.np.array(value.astype(dtype), dtype=dtype)


def is_floating(tensor):
    return np.dtype(tensor.dtype).kind == "f"


def to_numpy(tensor):
    mx.nd.waitall()  # asnumpy does not wait for an empty array
    return tensor.asnumpy()


# endregion

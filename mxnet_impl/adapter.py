"""NumPy in, NumPy out: how shared_tests drives MXNet.

build(layer, config, params, precision) -> Built
run(built, inputs, cotangents, compiled) -> {"out.y": ndarray, ...}
unsupported(layer, precision, compiled) -> the reason, or None
versions() -> {package: version}

layer is a public class or function name of mxnet_impl; params maps
parameter names to arrays; a result holds out.<name> and, given
cotangents, grad.<input or parameter name>, in the built precision.
Raises: ValueError, TypeError for unknown layers and precisions, wrong
    parameter names, shapes or dtypes, naming expected and got;
    NotImplementedError for what this framework does not have
"""

# region imports
import functools
import inspect
import platform
from typing import NamedTuple

import mxnet as mx
import numpy
from mxnet import np

import mxnet_impl
from mxnet_impl.checks import check_shape

# endregion


# region tables
PRECISIONS = ("float64", "float32", "bfloat16", "float16")
NO_BFLOAT16 = "MXNet 1.9.1 has no bfloat16 arrays on the CPU"
NO_COMPILER = (
    "MXNet 1.9.1 hybridizes HybridBlocks only, not these Blocks"
)
UNSUPPORTED = {
    ("HalfSpectrum", "float16"): "no float16 matmul in MXNet 1.9.1",
}
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
    if layer not in mxnet_impl.__all__:
        known = ", ".join(mxnet_impl.__all__)
        raise ValueError(
            f"layer expected one of {known}, got {layer!r}"
        )
    if precision not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise ValueError(
            f"precision expected one of {known}, got {precision!r}"
        )
    reason = unsupported(layer, precision)
    if reason:
        raise NotImplementedError(reason)
    make = getattr(mxnet_impl, layer)
    if not inspect.isclass(make):
        check_params(layer, {}, params)
        call = functools.partial(make, **config)
        return Built(layer, call, {}, precision)
    module = construct(make, config)
    module.cast(precision)
    own = named_parameters(module)
    check_params(
        layer, {n: tuple(p.shape) for n, p in own.items()}, params
    )
    for name, value in params.items():
        own[name].set_data(to_tensor(value, precision))
    return Built(layer, module, own, precision)


def run(built, inputs, cotangents=None, compiled=False):
    reason = unsupported(built.name, built.precision, compiled)
    if reason:
        raise NotImplementedError(reason)
    for name, x in inputs.items():
        if numpy.iscomplexobj(x):  # MXNet has no such arrays at all
            want, got = "a real floating dtype", numpy.asarray(x).dtype
            raise TypeError(
                f"{built.name}: {name} expected {want}, got {got}"
            )
    xs = {n: to_tensor(x, built.precision) for n, x in inputs.items()}
    moving = {n: x for n, x in xs.items() if is_floating(x)}
    for x in moving.values():
        x.attach_grad()
    buffers = {n: x.grad for n, x in moving.items()}
    buffers |= {n: p.grad() for n, p in built.params.items()}
    for buffer in buffers.values():
        if buffer.size:
            buffer[()] = numpy.nan  # what is not written is seen
    with mx.autograd.record():
        y = call_by_name(built.call, xs)
    results = {"out.y": to_numpy(y)}
    if cotangents is not None:
        y.backward(to_tensor(cotangents["y"], built.precision))
        mx.nd.waitall()
        for name, grad in buffers.items():
            results[f"grad.{name}"] = to_numpy(grad)
    return results


def shapes(layer, config):
    """Parameter names and shapes: the checkpoint format of a layer."""
    module = construct(getattr(mxnet_impl, layer), config)
    own = named_parameters(module)
    return {n: tuple(p.shape) for n, p in own.items()}


def unsupported(layer, precision, compiled=False):
    if compiled:
        return NO_COMPILER
    if precision == "bfloat16":
        return NO_BFLOAT16
    return UNSUPPORTED.get((layer, precision))


def versions():
    return {
        "mxnet": mx.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
    }


def check_params(layer, shapes, params):
    if set(shapes) != set(params):
        want, got = sorted(shapes), sorted(params)
        raise ValueError(f"{layer}: params expected {want}, got {got}")
    for name, value in params.items():
        dtype = numpy.asarray(value).dtype
        if dtype.name not in PRECISIONS:
            want = "a real floating dtype"
            raise TypeError(
                f"{layer}.{name} expected {want}, got {dtype.name}"
            )
        sizes = {
            f"axis{i}": size for i, size in enumerate(shapes[name])
        }
        axes = " ".join(sizes)
        check_shape(
            f"{layer}.{name}", numpy.shape(value), axes, **sizes
        )


def to_tensor(value, precision):
    value = numpy.asarray(value)
    if value.dtype.name in PRECISIONS:
        value = value.astype(precision)
    return np.array(value, dtype=value.dtype)


def to_numpy(tensor):
    mx.nd.waitall()  # empty arrays do not wait for their errors
    return tensor.asnumpy()


def is_floating(tensor):
    return numpy.issubdtype(tensor.dtype, numpy.floating)


def call_by_name(call, xs):
    if not isinstance(call, mx.gluon.Block):
        return call(**xs)
    names = inspect.signature(call.forward).parameters
    return call(*[xs[name] for name in names])  # a Block takes no names


def construct(make, config):
    known = list(inspect.signature(make).parameters)[:-1]  # no kwargs
    if not set(config) <= set(known):
        name, got = make.__name__, sorted(config)
        raise TypeError(f"{name}: config expected {known}, got {got}")
    module = make(**config)
    module.initialize()
    return module


def named_parameters(module):
    return module._collect_params_with_prefix()


# endregion

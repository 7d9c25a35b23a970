"""NumPy in, NumPy out: how shared_tests drives PyTorch.

build(layer, config, params, precision, device) -> Built
run(built, inputs, cotangents, compiled) -> {"out.y": ndarray, ...}
train(built, inputs, loss, rule, lr) -> {"trained.loss": ndarray, ...}
unsupported(layer, precision, compiled) -> the reason, or None
versions() -> {package: version}

layer is a public class or function name of pytorch_impl, or a name of
PREPARED: a layer that prepare changes, with the options in config.
params maps parameter names to arrays; a result holds out.<name> and,
given cotangents, grad.<input or parameter name>, in that precision.
device is cpu or cuda.
Raises: ValueError, TypeError for unknown layers and precisions, wrong
    parameter names, shapes or dtypes, naming expected and got;
    NotImplementedError for what this framework does not have
"""

# region imports
import functools
import inspect
import itertools
import os
import pathlib
import platform
from typing import NamedTuple

import ml_dtypes
import numpy as np
import torch

import pytorch_impl
from pytorch_impl import training
from pytorch_impl.checks import check_shape
from pytorch_impl.parameters import list_parameters, named_parameters

# endregion


# region tables
# compiled graphs stay in the ignored build folder, by instruction set,
# which torch 2.13 leaves out of their key: compiled_for_another in
# docs/deviations.md
ROOT = pathlib.Path(__file__).resolve().parent.parent
WIDTH = torch.backends.cpu.get_cpu_capability()
CACHE = str(ROOT / "build" / "torchinductor" / WIDTH)
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", CACHE)

PRECISIONS = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
NO_FFT = "torch.fft has no bfloat16 and no float16 on the CPU"
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
    device: str = "cpu"


# endregion


# region function
def build(layer, config, params, precision="float32", device="cpu"):
    check_device(device)
    names = *pytorch_impl.__all__, *PREPARED
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
        make, config = getattr(pytorch_impl, layer), resolve(config)
        check_params(layer, {}, params)
        call = functools.partial(make, **config)
        return Built(layer, call, {}, precision, device)
    module = construct(layer, config).to(device, PRECISIONS[precision])
    own = named_parameters(module)
    check_params(layer, list_parameters(module), params)
    with torch.no_grad():
        for name, value in params.items():
            own[name].copy_(to_tensor(value, precision))
    return Built(layer, module, own, precision, device)


def run(built, inputs, cotangents=None, compiled=False):
    reason = unsupported(built.name, built.precision, compiled)
    if reason:
        raise NotImplementedError(reason)
    place = built.precision, built.device
    xs = {n: to_tensor(x, *place) for n, x in inputs.items()}
    moving = {n: x for n, x in xs.items() if x.dtype.is_floating_point}
    for x in moving.values():
        x.requires_grad_()
    call = built.call
    if compiled:
        torch.compiler.reset()  # recompile_limit counts per code object
        call = torch.compile(call, dynamic=False, fullgraph=True)
    y = call(**xs)
    results = {"out.y": to_numpy(y)}
    if cotangents is not None:
        moving = moving | built.params
        upstream = to_tensor(cotangents["y"], *place)
        grads = torch.autograd.grad(
            y, list(moving.values()), upstream, allow_unused=True
        )
        for name, grad in zip(moving, grads):
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
        to_tensor(inputs[n], built.precision, built.device)
        for n in ("x", "target")
    )
    steps = training.train(built.call, loss, rule, zip(xs, targets), lr)
    own = built.params
    losses, kept = [], {n: [] for n in own}
    for value in steps:
        losses.append(to_numpy(value))
        for name, param in own.items() if history else ():
            kept[name].append(to_numpy(param).copy())
    results = {"trained.loss": np.stack(losses)}
    for name, param in own.items():
        last = (
            np.stack(kept[name]) if history else to_numpy(param).copy()
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
    return config | {n: getattr(pytorch_impl, config[n]) for n in names}


def shapes(layer, config):
    """Parameter names and shapes: the checkpoint format of a layer."""
    if not takes_params(layer):
        return {}
    return list_parameters(construct(layer, config))


def takes_params(layer):
    """A layer does; a function gets arrays alone."""
    return layer in PREPARED or inspect.isclass(
        getattr(pytorch_impl, layer)
    )


def construct(layer, config):
    """The layer as it starts; prepared, if its name says so."""
    make = getattr(pytorch_impl, PREPARED.get(layer, layer))
    config = resolve(config)
    if layer not in PREPARED:
        return make(**config)
    own = inspect.signature(make.__init__).parameters
    options = {n: config.pop(n) for n in set(config) - set(own)}
    return pytorch_impl.prepare(make(**config), {"*": options})


@functools.cache
def unsupported(layer, precision, compiled=False):
    if compiled:
        try:
            torch._inductor.cpp_builder.get_cpp_compiler()
        except torch._inductor.exc.InvalidCxxCompiler:
            return "torch.compile needs a C++ compiler, none was found"
    mode = "compiled" if compiled else "eager"
    each = (layer, "*"), (precision, "*"), (mode, "*")
    found = (UNSUPPORTED.get(k) for k in itertools.product(*each))
    return next(filter(None, found), None)


def versions():
    return {
        "torch": torch.__version__,
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


def check_device(device):
    """Raises: ValueError where there is no such device.

    float32 is float32: TF32, which cuDNN takes otherwise, is off.
    """
    if device not in ("cpu", "cuda"):
        raise ValueError(f"device expected cpu or cuda, got {device!r}")
    if device == "cuda":
        if not torch.cuda.is_available():
            raise ValueError("device cuda: torch sees no GPU here")
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False


def to_tensor(value, precision, device="cpu"):
    value = np.asarray(value)
    if value.dtype.name not in PRECISIONS:
        return torch.from_numpy(value).clone().to(device)
    wide = torch.from_numpy(value.astype(np.float64))  # keeps strides
    return wide.to(device, PRECISIONS[precision])


def to_numpy(tensor):
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:
        bits = tensor.view(torch.int16).numpy()
        return bits.view(ml_dtypes.bfloat16)
    return tensor.numpy()


# endregion

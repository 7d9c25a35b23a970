"""NumPy in, NumPy out: how shared_tests drives JAX.

build(layer, config, params, precision, device) -> Built
run(built, inputs, cotangents, compiled) -> {"out.y": ndarray, ...}
train(built, inputs, loss, rule, lr) -> {"trained.loss": ndarray, ...}
unsupported(layer, precision, compiled) -> the reason, or None
versions() -> {package: version}

layer is a public class or function name of jax_impl, or a name of
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
import pathlib
import platform
from typing import NamedTuple

import flax
import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from flax import nnx

import jax_impl
from jax_impl import training
from jax_impl.checks import check_shape
from jax_impl.parameters import list_parameters, named_parameters

# endregion


# region tables
# without it float64 becomes float32, silently
jax.config.update("jax_enable_x64", True)

# compiled graphs stay in the ignored build folder
ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = str(ROOT / "build" / "jax")
jax.config.update("jax_compilation_cache_dir", CACHE)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)

PRECISIONS = {
    "float64": jnp.float64,
    "float32": jnp.float32,
    "bfloat16": jnp.bfloat16,
    "float16": jnp.float16,
}
NO_FFT = "jnp.fft has no bfloat16 and no float16"
# (layer, precision, mode), "*" for any
UNSUPPORTED = {
    ("HalfSpectrum", "bfloat16", "*"): NO_FFT,
    ("HalfSpectrum", "float16", "*"): NO_FFT,
}
PREPARED = {"QATMultiHeadAttention": "MultiHeadAttention"}
LOSSES = ("squared_error", "cross_entropy")
RULES = ("sgd", "momentum", "adam")
SEEN = set()
# endregion


# region built
class Built(NamedTuple):
    name: str
    call: object
    params: dict
    precision: str


# endregion


# region function
def build(layer, config, params, precision="float32", device="cpu"):
    check_device(device)
    names = *jax_impl.__all__, *PREPARED
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
        make, config = getattr(jax_impl, layer), resolve(config)
        check_params(layer, {}, params)
        call = functools.partial(make, **config)
        return Built(layer, call, {}, precision)
    module = construct(layer, config)
    for _, bounds in nnx.to_flat_state(
        nnx.state(module, nnx.BatchStat)
    ):
        # what an observer has seen: nothing yet
        nothing = jnp.full(bounds.shape, jnp.nan, PRECISIONS[precision])
        bounds.set_value(nothing)
    own = named_parameters(module)
    check_params(layer, list_parameters(module), params)
    for name, value in params.items():
        # flax 0.12.8: own[name][...] = value would keep the old dtype
        own[name].set_value(to_tensor(value, precision))
    own = {n: p[...] for n, p in own.items()}
    return Built(layer, module, own, precision)


def run(built, inputs, cotangents=None, compiled=False):
    reason = unsupported(built.name, built.precision, compiled)
    if reason:
        raise NotImplementedError(reason)
    xs = {n: to_tensor(x, built.precision) for n, x in inputs.items()}
    moving = {n: x for n, x in xs.items() if is_floating(x)}
    fixed = {n: x for n, x in xs.items() if n not in moving}
    forget(built, xs, compiled)
    wrap = jax.jit if compiled else lambda function: function

    def forward(params, moving, fixed):
        return pure_call(built.call, params, moving | fixed)

    def forward_backward(params, moving, fixed, upstream):
        call = functools.partial(forward, fixed=fixed)
        y, pull = jax.vjp(call, params, moving)
        return y, pull(upstream)

    if cotangents is None:
        y = wrap(forward)(built.params, moving, fixed)
        return {"out.y": to_numpy(y)}
    upstream = to_tensor(cotangents["y"], built.precision)
    y, (of_params, of_inputs) = wrap(forward_backward)(
        built.params, moving, fixed, upstream
    )
    results = {"out.y": to_numpy(y)}
    for name, grad in (of_inputs | of_params).items():
        results[f"grad.{name}"] = to_numpy(grad)
    return results


def forget(built, xs, compiled):
    """jax 0.10.2: compiling gets slower with all that is kept, 1.5 times
    in the whole parity run; so no more than 32 runs, not counting those
    of the same shapes, are."""
    shapes = {n: x.shape for n, x in (built.params | xs).items()}
    run = built.name, built.precision, compiled, tuple(shapes.items())
    if len(SEEN) == 32 and run not in SEEN:
        jax.clear_caches()
        SEEN.clear()
    SEEN.add(run)


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
    own = named_parameters(built.call)
    losses, kept = [], {n: [] for n in own}
    for value in steps:
        losses.append(to_numpy(value))
        for name, param in own.items() if history else ():
            kept[name].append(to_numpy(param[...]))
    results = {"trained.loss": np.stack(losses)}
    for name, param in own.items():
        last = np.stack(kept[name]) if history else to_numpy(param[...])
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
    return config | {n: getattr(jax_impl, config[n]) for n in names}


def shapes(layer, config):
    """Parameter names and shapes: the checkpoint format of a layer."""
    if not takes_params(layer):
        return {}
    return list_parameters(construct(layer, config))


def takes_params(layer):
    """A layer does; a function gets arrays alone."""
    return layer in PREPARED or inspect.isclass(
        getattr(jax_impl, layer)
    )


def unsupported(layer, precision, compiled=False):
    mode = "compiled" if compiled else "eager"
    each = (layer, "*"), (precision, "*"), (mode, "*")
    found = (UNSUPPORTED.get(k) for k in itertools.product(*each))
    return next(filter(None, found), None)


def versions():
    return {
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "flax": flax.__version__,
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
    """Where all arrays of this process go from now on.

    Raises: ValueError where there is no such device. float32 is float32:
    TF32, which XLA takes for products on a GPU otherwise, is off.
    """
    if device not in ("cpu", "cuda"):
        raise ValueError(f"device expected cpu or cuda, got {device!r}")
    try:
        (first, *_) = jax.devices(device)
    except RuntimeError as error:
        raise ValueError(
            f"device {device}: JAX sees none here ({error})"
        ) from error
    if device == "cuda":
        jax.config.update("jax_default_matmul_precision", "highest")
        jax.config.update("jax_default_device", first)


def to_tensor(value, precision):
    value = np.asarray(value)
    if value.dtype.name not in PRECISIONS:
        return jnp.array(value)
    return jnp.array(value, PRECISIONS[precision])


def to_numpy(tensor):
    return np.array(tensor)


def is_floating(tensor):
    return jnp.issubdtype(tensor.dtype, jnp.floating)


def construct(layer, config):
    """The layer without its random start, which params will replace;
    prepared, if its name says so."""
    make = getattr(jax_impl, PREPARED.get(layer, layer))
    config = resolve(config)
    takes = inspect.signature(make.__init__).parameters
    more = set(config) - set(takes) if layer in PREPARED else ()
    options = {n: config.pop(n) for n in more}

    def abstract():
        rngs = {"rngs": nnx.Rngs(0)} if "rngs" in takes else {}
        made = make(**config, **rngs)
        if layer in PREPARED:
            return jax_impl.prepare(made, {"*": options})
        return made

    return nnx.eval_shape(abstract)


def pure_call(call, params, xs):
    """The layer as a function of its parameters, for vjp and jit."""
    if isinstance(call, nnx.Module):
        call = nnx.clone(call)
        for name, param in named_parameters(call).items():
            param.set_value(params[name])
    return call(**xs)


# endregion

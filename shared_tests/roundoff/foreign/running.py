"""One forward pass of a port and its gradients, in any framework.

A request, a dict, has

    params      {name: ndarray}, of parameters and buffers
    mapped      whether params are under the port's names: else an object
                keeps its own numbers
    moving      names of params whose gradients are asked for
    inputs      {name: nest}, in order; by_name: they are keywords
    cotangents  {path of an output: ndarray}; None: forward only
    training    whether the layers are in training mode
    layers      whether outputs of the parts of an object are results
    feeds       if it is there: a list of what parts get (calls.py)
    precision   float32 or float64; bfloat16 or float16: floats are sent
                as float32 and cast to it

Python 3.8 or later: the port's side.
"""

import collections
import inspect

import numpy as np

from .. import nest

PARTS = {"out": "out", "buffers": "buffer", "layers": "layer"}
# call(params, args, kwargs) -> {"out", "buffers", "layers"}; place, if
# not None: place({name: ndarray}, convert) -> {name: tensor}, in it;
# holds: {name: ndarray} of an object, None of a function
Port = collections.namedtuple(
    "Port", "framework call place holds takes"
)


def arguments(port, request):
    """(args, kwargs) of the inputs.

    Raises: ValueError for a function that takes others
    """
    inputs = request["inputs"]
    if not request["by_name"]:
        return list(inputs.values()), {}
    try:
        takes = inspect.signature(port.takes)
    except (TypeError, ValueError):  # nobody can tell
        return [], dict(inputs)
    function = port.holds is None
    first = ("params",) if function else ()
    try:
        takes.bind(*first, **inputs)
    except TypeError:
        if not function:  # an object may call them otherwise
            return list(inputs.values()), {}
        want, got = [*first, *inputs], list(takes.parameters)
        raise ValueError(
            f"forward expected arguments {want}, got {got}"
        ) from None
    return [], dict(inputs)


def is_array(leaf):
    return hasattr(leaf, "dtype") and hasattr(leaf, "shape")


def parts(port, params, inputs, request):
    """{"out.<path>", "buffer.<name>", "layer.<path>": tensor}."""
    args, kwargs = arguments(port, dict(request, inputs=inputs))
    result = port.call(params, args, kwargs)
    found, narrow = {}, request["precision"] != "float64"
    for part, short in PARTS.items():
        for path, leaf in nest.flatten(result.get(part)).items():
            if isinstance(leaf, (bool, int)):
                leaf = np.asarray(leaf)
            elif isinstance(leaf, float):
                leaf = np.asarray(leaf, "f4" if narrow else "f8")
            if is_array(leaf):
                found[f"{short}.{path}"] = leaf
            else:
                kind = type(leaf).__name__
                request["left_out"][f"{short}.{path}"] = kind
    return found


def upstream(found, request, convert):
    """({name: output}, {name: its cotangent}), of the outputs that both
    sides have.

    Raises: ValueError for an output of another shape
    """
    ups = {}
    for path, cotangent in request["cotangents"].items():
        name = f"out.{path}"
        if name not in found:
            continue
        got, want = tuple(found[name].shape), cotangent.shape
        if got != want:
            raise ValueError(
                f"forward: {name} expected shape {want}, as PyTorch's,"
                f" got {got}"
            )
        ups[name] = convert(cotangent, found[name])
    return {name: found[name] for name in ups}, ups


def dtype_of(array, request):
    """The name of the dtype that an array gets in the port."""
    if is_float(array):
        return request["precision"]
    return array.dtype.name


def is_float(array):
    return isinstance(array, np.ndarray) and array.dtype.kind == "f"


def moving(request, params, convert):
    """({name: tensor} whose gradients are asked for, the inputs).

    Parameters keep their names, inputs have their paths.
    """
    found = {}

    def tensor(path, leaf):
        if not isinstance(leaf, np.ndarray):
            return leaf
        made = convert(leaf)
        if is_float(leaf):
            found[path] = made
        return made

    inputs = nest.map_leaves(tensor, request["inputs"])
    weights, seen = {}, set()
    for name in request["moving"]:
        if name not in params:  # the object has none
            continue
        if id(params[name]) not in seen:  # one that is shared, once
            seen.add(id(params[name]))
            weights[name] = params[name]
    return weights, found, inputs


def run_numpy(port, request):
    """A file may define backward(params, inputs, cotangents) as well,
    which returns {name of a parameter or path of an input: gradient}."""
    inputs = request["inputs"]
    found = parts(port, request["params"], inputs, request)
    if request["cotangents"] is None:
        return found, None
    backward = request.get("backward")
    if backward is None:
        raise ValueError(
            "a NumPy port has no gradients: expected gradients=False,"
            " or backward(params, inputs, cotangents) in its file"
        )
    grads = backward(request["params"], inputs, request["cotangents"])
    outs, _ = upstream(found, request, lambda cotangent, _: cotangent)
    return found, (list(outs), grads)


def run_torch(port, request):
    import torch

    def convert(array, like=None):
        if like is None:
            dtype = getattr(torch, dtype_of(array, request))
            return torch.tensor(array, dtype=dtype)
        return torch.tensor(array, dtype=like.dtype)

    params = place(port, request, convert)
    weights, floats, inputs = moving(request, params, convert)
    wanted = dict(weights, **floats)
    forward_only = request["cotangents"] is None
    for tensor in wanted.values():
        tensor.requires_grad_(not forward_only)
    with torch.set_grad_enabled(not forward_only):
        found = parts(port, params, inputs, request)
    if forward_only:
        return found, None
    outs, ups = upstream(found, request, convert)
    used = [name for name in outs if outs[name].requires_grad]
    values = [None] * len(wanted)
    if used and wanted:
        values = torch.autograd.grad(
            [outs[name] for name in used],
            list(wanted.values()),
            [ups[name] for name in used],
            allow_unused=True,
        )
    grads = {
        name: torch.zeros_like(x) if grad is None else grad
        for (name, x), grad in zip(wanted.items(), values)
    }
    return found, (list(outs), grads)


def run_jax(port, request):
    import jax
    import jax.numpy as jnp

    def convert(array, like=None):
        dtype = dtype_of(array, request) if like is None else like.dtype
        return jnp.asarray(array, dtype)

    wide = request["precision"] == "float64"
    if wide and not jax.config.jax_enable_x64:
        raise ValueError("float64: JAX expected jax_enable_x64")
    params = place(port, request, convert)
    weights, floats, inputs = moving(request, params, convert)
    if request["cotangents"] is None:
        return parts(port, params, inputs, request), None
    names = [f"out.{path}" for path in request["cotangents"]]

    def call(weights, floats):
        moved = nest.map_leaves(
            lambda path, leaf: floats.get(path, leaf), inputs
        )
        every = dict(params, **weights)
        found = parts(port, every, moved, request)
        found = {n: jnp.asarray(a) for n, a in found.items()}
        outs = {n: found.pop(n) for n in names if n in found}
        return outs, found

    outs, pull, found = jax.vjp(call, weights, floats, has_aux=True)
    _, ups = upstream(outs, request, convert)
    of_weights, of_floats = pull(ups)
    grads = dict(of_weights, **of_floats)
    return dict(outs, **found), (list(outs), grads)


def run_tf(port, request):
    import tensorflow as tf

    def convert(array, like=None):
        made = tf.constant(array)
        dtype = dtype_of(array, request) if like is None else like.dtype
        return made if made.dtype == dtype else tf.cast(made, dtype)

    params = place(port, request, convert)
    weights, floats, inputs = moving(request, params, convert)
    if request["cotangents"] is None:
        return parts(port, params, inputs, request), None
    wanted = dict(weights, **floats)
    with tf.GradientTape() as tape:
        tape.watch(list(wanted.values()))
        found = parts(port, params, inputs, request)
    outs, ups = upstream(found, request, convert)
    values = tape.gradient(
        list(outs.values()),
        list(wanted.values()),
        list(ups.values()),
        tf.UnconnectedGradients.ZERO,
    )
    # of an embedding only the rows that were looked up come back
    grads = {n: tf.convert_to_tensor(g) for n, g in zip(wanted, values)}
    return found, (list(outs), grads)


def run_mxnet(port, request):
    import mxnet as mx

    mx.npx.set_np()

    def convert(array, like=None):
        dtype = dtype_of(array, request) if like is None else like.dtype
        return mx.np.array(array, dtype=dtype)

    params = place(port, request, convert)
    weights, floats, inputs = moving(request, params, convert)
    training = request["training"]
    if request["cotangents"] is None:
        with mx.autograd.pause(train_mode=training):
            return parts(port, params, inputs, request), None
    wanted = dict(weights, **floats)
    for array in wanted.values():
        if array.grad is None:
            array.attach_grad()
    with mx.autograd.record(train_mode=training):
        found = parts(port, params, inputs, request)
    outs, ups = upstream(found, request, convert)
    mx.autograd.backward(
        list(outs.values()), list(ups.values()), train_mode=training
    )
    grads = {n: a.grad for n, a in wanted.items()}
    return found, (list(outs), grads)


RUNS = {
    "numpy": run_numpy,
    "torch": run_torch,
    "jax": run_jax,
    "tf": run_tf,
    "mxnet": run_mxnet,
}


def place(port, request, convert):
    if port.place is None:
        return {n: convert(a) for n, a in request["params"].items()}
    return port.place(given(port, request), convert)


def given(port, request):
    """What an object computes with: its own, unless a map says whose."""
    return request["params"] if request["mapped"] else port.holds


def kept(port, request):
    """Names whose numbers an object keeps, though PyTorch's differ."""
    params = request["params"]
    narrow = request["precision"] not in ("float32", "float64")
    if port.holds is None or request["mapped"] or narrow:
        return []
    return [
        name
        for name, own in port.holds.items()
        if name in params
        and not np.array_equal(own, params[name], equal_nan=True)
    ]


def to_numpy(array):
    """(a copy, its dtype if NumPy has no such numbers, else "")."""
    if hasattr(array, "asnumpy"):  # of MXNet
        array = array.asnumpy()
    elif hasattr(array, "detach"):  # of PyTorch
        array = array.detach().cpu()
        dtype = str(array.dtype).rpartition(".")[2]
        if "float8" in dtype or dtype == "bfloat16":
            return array.float().numpy(), dtype
        array = array.numpy()
    elif hasattr(array, "numpy"):  # of TensorFlow
        array = array.numpy()
    array = np.array(array)
    if array.dtype.kind in "biufc":
        return array, ""
    return array.astype(np.float32), array.dtype.name


def run(port, request):
    """What a port makes of a request: a dict with

    results   {"out.<path>", "grad.<name>", "buffer.<name>", ...: ndarray}
    used      names of the outputs whose cotangents went in; None without
    dtypes    {name: dtype} where NumPy has none: results has float32
    unheld    names of params that the port does not have
    kept      names of those that it has with other numbers, its own
    left_out  {path: type} of outputs that are no arrays
    """
    request = dict(request, left_out={})
    found, gradients = RUNS[port.framework](port, request)
    used = None
    if gradients is not None:
        used, grads = gradients
        found = dict(found)
        found.update((f"grad.{n}", grad) for n, grad in grads.items())
    results, dtypes = {}, {}
    for name, array in found.items():
        results[name], dtype = to_numpy(array)
        if dtype:
            dtypes[name] = dtype
    holds = request["params"] if port.holds is None else port.holds
    return {
        "results": results,
        "used": used,
        "dtypes": dtypes,
        "unheld": [n for n in request["params"] if n not in holds],
        "kept": kept(port, request),
        "left_out": request["left_out"],
    }


def unsteady(port, request, results):
    """Outputs that are not the same bits in a second run."""
    again = dict(request, cotangents=None, moving=[])
    second = run(port, again)["results"]
    return [
        name
        for name, array in second.items()
        if name.startswith("out.")
        and not np.array_equal(array, results[name], equal_nan=True)
    ]

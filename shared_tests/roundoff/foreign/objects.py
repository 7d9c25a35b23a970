"""Ports that are objects: what holds its parameters itself.

PyTorch's nn.Module, Flax's nnx.Module, a pair (Linen module, variables),
a Keras layer, a Gluon block. Names of what they hold:

    torch    as state_dict has them: encoder.weight
    nnx      attributes with dots: encoder.kernel
    linen    as in variables, without "params": Dense_0.kernel,
             batch_stats.BatchNorm_0.mean
    keras    variable.path without the layer's own name, with dots:
             dense.kernel, lstm_cell.bias
    gluon    as save_parameters has them: encoder.weight

The object of the user is not changed, but for Keras, whose weights stay
as they are, and Gluon, whose parameters get the numbers of the check.
Python 3.8 or later: the port's side.
"""

import copy
import inspect

import numpy as np

from ..layerwise.calls import record
from .running import Port, to_numpy

UNKNOWN = (
    "port expected a function, an nn.Module, an nnx.Module, a pair"
    " (Linen module, variables), a built Keras layer, a Gluon block or"
    " the path of a file, got {}"
)


def kinds(port):
    """The modules in which the classes of an object are defined."""
    return [cls.__module__ for cls in type(port).__mro__]


def is_kind(port, *heads):
    return any(
        name == head or name.startswith(head + ".")
        for name in kinds(port)
        for head in heads
    )


def adopt(port, training, layers=False):
    """A Port of an object, or None where it is no object of these.

    layers: whether outputs of its parts are results too (calls.py), or
        what they get in place of what they are called with

    Raises: ValueError for a Keras layer that is not built
    """
    pair = isinstance(port, tuple) and len(port) == 2
    if pair and is_kind(port[0], "flax.linen"):
        return of_linen(*port, training, layers)
    if is_kind(port, "torch.nn"):
        return of_torch(port, training, layers)
    if is_kind(port, "flax.nnx"):
        return of_nnx(port, training, layers)
    if is_kind(port, "keras"):
        return of_keras(port, training, layers)
    if is_kind(port, "mxnet.gluon"):
        return of_gluon(port, training, layers)
    if callable(port):
        return None
    raise ValueError(UNKNOWN.format(type(port).__name__))


def watched(model, layers, function, args, kwargs):
    """(what the function returns, {path: tensor} of the model's parts)."""
    if not layers:
        return function(*args, **kwargs), None
    feed = layers if isinstance(layers, dict) else None
    with record(model, feed=feed) as found:
        return function(*args, **kwargs), found


def check_names(framework, holds, params):
    """Raises: ValueError where names or shapes are not the object's."""
    lost = sorted(set(holds) - set(params))
    if lost:
        raise ValueError(
            f"weights: the {framework} port holds {sorted(holds)} and"
            f" got nothing for {lost}; got {sorted(params)}"
        )
    for name, array in holds.items():
        want, got = tuple(array.shape), params[name].shape
        if want != got:
            raise ValueError(
                f"weights: {name} expected shape {want}, got {got}"
            )


def of_torch(module, training, layers):
    import torch

    module = copy.deepcopy(module).train(training)
    held = dict(module.named_parameters(remove_duplicate=False))
    held.update(module.named_buffers(remove_duplicate=False))
    holds = {n: to_numpy(t)[0] for n, t in held.items()}
    state = set(module.state_dict(keep_vars=True))

    def place(params, convert):
        # a buffer that is not saved is the port's own
        check_names(
            "PyTorch",
            {n: a for n, a in holds.items() if n in state},
            params,
        )
        with torch.no_grad():
            for name, tensor in held.items():
                if name in params:
                    new = convert(params[name])
                    tensor.data = new.reshape(tensor.shape)
        return held

    def call(params, args, kwargs):
        out, found = watched(module, layers, module, args, kwargs)
        buffers = dict(module.named_buffers())
        return {"out": out, "buffers": buffers, "layers": found}

    return Port("torch", call, place, holds, module.forward)


def dotted(path):
    return ".".join(str(key) for key in path)


def of_nnx(module, training, layers):
    import jax
    from flax import nnx

    graph, chance, state = nnx.split(module, nnx.RngState, ...)
    held = {dotted(p): (p, v) for p, v in nnx.to_flat_state(state)}
    holds = {n: np.asarray(v.get_value()) for n, (_, v) in held.items()}

    def place(params, convert):
        check_names("NNX", holds, params)
        return {n: convert(params[n]) for n in holds}

    def call(params, args, kwargs):
        flat = [
            (path, variable.replace(params[name]))
            for name, (path, variable) in held.items()
        ]
        # what draws random numbers is made anew, inside jax.vjp
        anew = jax.tree.map(lambda array: array, chance)
        fresh = nnx.merge(graph, anew, nnx.from_flat_state(flat))
        fresh.train() if training else fresh.eval()
        out, found = watched(fresh, layers, fresh, args, kwargs)
        after = nnx.split(fresh, nnx.RngState, nnx.Param, ...)[-1]
        buffers = {
            dotted(path): variable.get_value()
            for path, variable in nnx.to_flat_state(after)
        }
        return {"out": out, "buffers": buffers, "layers": found}

    return Port("jax", call, place, holds, module.__call__)


def leaves(tree, path=()):
    """(keys, leaf) of nested dicts."""
    if not hasattr(tree, "items"):
        yield path, tree
        return
    for key, child in tree.items():
        yield from leaves(child, (*path, str(key)))


def nested(flat):
    tree = {}
    for path, leaf in flat:
        below = tree
        for key in path[:-1]:
            below = below.setdefault(key, {})
        below[path[-1]] = leaf
    return tree


def of_linen(module, variables, training, layers):

    paths = {
        dotted(path[1:] if path[0] == "params" else path): (path, leaf)
        for path, leaf in leaves(variables)
    }
    holds = {n: np.asarray(leaf) for n, (_, leaf) in paths.items()}
    others = [key for key in variables if key != "params"]

    def place(params, convert):
        check_names("Linen", holds, params)
        return {n: convert(params[n]) for n in holds}

    def call(params, args, kwargs):
        given = nested((paths[n][0], params[n]) for n in paths)
        if training and others:
            kwargs = dict(kwargs, mutable=others)
        args = (given, *args)
        out, found = watched(module, layers, module.apply, args, kwargs)
        after = {}
        if training and others:
            out, after = out
        buffers = {dotted(p): leaf for p, leaf in leaves(after)}
        return {"out": out, "buffers": buffers, "layers": found}

    return Port("jax", call, place, holds, module.__call__)


def of_keras(layer, training, layers):
    import keras

    backend = keras.backend.backend()
    if backend not in ("tensorflow", "jax"):
        raise ValueError(
            f"Keras expected the backend tensorflow or jax, got"
            f" {backend}"
        )
    if not layer.built:
        raise ValueError(
            f"a Keras layer expected built, with layer.build(shape) or"
            f" one call, got {layer.name}, which is not"
        )
    tensor = keras.ops.convert_to_tensor
    held = {}
    for variable in layer.variables:
        path = variable.path.split("/")
        name = dotted(path[1:] if len(path) > 1 else path)
        number = 2
        while name in held:
            name = f"{dotted(path[1:])}#{number}"
            number += 1
        held[name] = variable
    chance = {n for n, v in held.items() if "seed" in n.split(".")[-1]}
    holds = {
        n: np.asarray(v) for n, v in held.items() if n not in chance
    }
    names = {id(variable): name for name, variable in held.items()}
    takes = inspect.signature(layer.call).parameters
    mode = {"training": training} if "training" in takes else {}

    def place(params, convert):
        check_names("Keras", holds, params)
        every = {n: convert(params[n]) for n in holds}
        every.update((n, tensor(held[n])) for n in chance)
        return every

    def call(params, args, kwargs):
        moving = [
            params[names[id(v)]] for v in layer.trainable_variables
        ]
        still = [
            params[names[id(v)]] for v in layer.non_trainable_variables
        ]
        (out, after), found = watched(
            layer,
            layers,
            layer.stateless_call,
            (moving, still, *args),
            dict(kwargs, **mode),
        )
        buffers = {
            names[id(v)]: new
            for v, new in zip(layer.non_trainable_variables, after)
            if names[id(v)] in holds
        }
        return {"out": out, "buffers": buffers, "layers": found}

    framework = "tf" if backend == "tensorflow" else "jax"
    return Port(framework, call, place, holds, layer.call)


def of_gluon(block, training, layers):
    import mxnet as mx

    mx.npx.set_np()
    held = block._collect_params_with_prefix()
    arrays = {n: p.data() for n, p in held.items()}
    if not all(isinstance(a, mx.np.ndarray) for a in arrays.values()):
        raise ValueError(
            "a Gluon block expected mx.npx.set_np() before it is made"
        )
    holds = {n: a.asnumpy() for n, a in arrays.items()}

    def place(params, convert):
        check_names("Gluon", holds, params)
        for name, parameter in held.items():
            parameter.set_data(convert(params[name]))
        return {n: p.data() for n, p in held.items()}

    def call(params, args, kwargs):
        if kwargs:  # a block is called without keywords
            args = inspect.signature(block.forward).bind(**kwargs).args
        out, found = watched(block, layers, block, args, {})
        buffers = {
            n: p.data() for n, p in held.items() if p.grad_req == "null"
        }
        return {"out": out, "buffers": buffers, "layers": found}

    return Port("mxnet", call, place, holds, block.forward)

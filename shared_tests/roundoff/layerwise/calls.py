"""What the parts of a model are called with and return, in any framework.

    with record(model) as found: model(x)      found is {name: tensor}
    with record(model, feed=feed) as found: model(x)

A part has a path: attributes and numbers in lists, with dots between
them, as in PyTorch; `@` and the argument, by number or by name, is what
it was called with, and `#2` its second call. So `encoder.0.q`,
`encoder.0.q@0`, `encoder.0.q#2`; a part that returns a nest has
`encoder.lstm.1.0`. Outputs are in the order in which the calls end, so
that a part is before the whole that it belongs to.

feed, {"encoder.0.q@0": ndarray}, says what a part gets in place of what
it was called with.

Models: nn.Module, nnx.Module, a Linen module, a Keras layer (2 or 3, run
eagerly), a Gluon block (not hybridized). NumPy only, and Python 3.8 on;
the frameworks are imported where their models come.
"""

import contextlib
import functools
import sys
import weakref

import numpy as np

from .. import nest


class Calls:
    """Notes calls in `found`; keep(tensor) is what is kept of one."""

    def __init__(self, keep, prefix, feed):
        self.keep, self.prefix, self.feed = keep, prefix, feed or {}
        self.found, self.counts = {}, {}
        self.state = tracing()

    def outside(self):
        """Whether JAX traces something else now, such as the body of a
        loop: what is computed there is of no use after it."""
        return tracing() != self.state

    def begin(self, path, args, kwargs):
        """Notes what a part is called with.

        Returns: the call's name, and its arguments, fed
        """
        count = self.counts[path] = self.counts.get(path, 0) + 1
        call = path + (f"#{count}" if count > 1 else "")
        given = {str(i): value for i, value in enumerate(args)}
        given.update(kwargs)
        if any(place.startswith(f"{call}@") for place in self.feed):
            given = {
                key: nest.map_leaves(self.fed, value, f"{call}@{key}")
                for key, value in given.items()
            }
            args = tuple(given[str(i)] for i in range(len(args)))
            kwargs = {key: given[key] for key in kwargs}
        name = self.prefix + call
        self.note(
            {f"{name}@{key}": value for key, value in given.items()}
        )
        return name, args, kwargs

    def fed(self, place, leaf):
        if place not in self.feed:
            return leaf
        return tensor_like(self.feed[place], leaf)

    def end(self, name, output):
        self.note({name: output})

    def note(self, values):
        for path, leaf in nest.flatten(values).items():
            if hasattr(leaf, "dtype") and hasattr(leaf, "shape"):
                while path in self.found:  # a part has this name too
                    path += "'"
                self.found[path] = self.keep(leaf)


def tracing():
    """What JAX traces, None where it is not in use."""
    if "jax" not in sys.modules:
        return None
    import jax
    from jax.extend import core

    if not hasattr(core, "get_opaque_trace_state"):
        core = jax.core  # of JAX before 0.10
    return core.get_opaque_trace_state(convention="flax")


def tensor_like(array, leaf):
    """array as a tensor of the leaf's framework and dtype."""
    root = type(leaf).__module__.partition(".")[0]
    if root == "torch":
        import torch

        return torch.tensor(array, dtype=leaf.dtype, device=leaf.device)
    if root == "tensorflow":
        import tensorflow as tf

        return tf.cast(tf.constant(array), leaf.dtype)
    if root == "mxnet":
        import mxnet

        return mxnet.np.array(array, dtype=leaf.dtype)
    if root in ("jax", "jaxlib"):
        import jax.numpy as jnp

        return jnp.asarray(array, leaf.dtype)
    return np.asarray(array, leaf.dtype)


def record(model, prefix="", feed=None):
    """A context manager that gives {name: tensor}, with the prefix.

    Raises: ValueError for a model of no known framework
    """
    kind = kind_of(model)
    if kind is None:
        raise ValueError(
            "layers expected an nn.Module, an nnx.Module, a Linen module,"
            f" a Keras layer or a Gluon block, got {type(model).__name__}"
        )
    return RECORDS[kind](model, prefix, feed)


def kind_of(model):
    """A key of RECORDS, by the classes that a model is one of."""
    for cls in type(model).__mro__:
        for kind, (root, name) in CLASSES.items():
            its = cls.__module__ + "."
            if cls.__name__ == name and its.startswith(root + "."):
                return kind
    return None


def parts_of(model, children, path=""):
    """{path: part} of a tree of modules, each once, by its first path."""
    found, seen = {}, {id(model)}

    def walk(part, path):
        for name, child in children(part):
            if id(child) not in seen:
                seen.add(id(child))
                found[f"{path}{name}"] = child
                walk(child, f"{path}{name}.")

    walk(model, path)
    return found


@contextlib.contextmanager
def by_hooks(model, prefix, feed=None):
    """PyTorch: the tensors are copies, since a layer may work in place."""
    calls = Calls(lambda tensor: tensor.detach().clone(), prefix, feed)
    hooks, running = [], []

    def before(path, part, args, kwargs):
        name, *given = calls.begin(path, args, kwargs)
        running.append(name)
        return tuple(given) if feed else None

    def after(part, args, kwargs, output):
        calls.end(running.pop(), output)

    for path, part in model.named_modules():
        if path:
            begin = functools.partial(before, path)
            hooks += [
                part.register_forward_pre_hook(begin, with_kwargs=True),
                part.register_forward_hook(after, with_kwargs=True),
            ]
    try:
        yield calls.found
    finally:
        for hook in hooks:
            hook.remove()


@contextlib.contextmanager
def by_classes(parts, prefix, feed):
    """Python looks `__call__` up in the class: there it is wrapped."""
    calls = Calls(lambda tensor: tensor, prefix, feed)
    paths = {id(part): path for path, part in parts.items()}
    running = []

    def wrapped(function):
        @functools.wraps(function)
        def call(self, *args, **kwargs):
            # a class may call that of its base: one call, all the same
            known = id(self) in paths and id(self) not in running
            if not known or calls.outside():
                return function(self, *args, **kwargs)
            path = paths[id(self)]
            name, args, kwargs = calls.begin(path, args, kwargs)
            running.append(id(self))
            try:
                output = function(self, *args, **kwargs)
            finally:
                running.remove(id(self))
            calls.end(name, output)
            return output

        return call

    owners = {
        cls: vars(cls)["__call__"]
        for part in parts.values()
        for cls in type(part).__mro__
        if "__call__" in vars(cls)
    }
    try:
        for cls, function in owners.items():
            cls.__call__ = wrapped(function)
        yield calls.found
    finally:
        for cls, function in owners.items():
            cls.__call__ = function


def of_nnx(model, prefix, feed):
    from flax import nnx

    parts = {
        ".".join(map(str, path)): part
        for path, part in nnx.iter_modules(model)
        if path
    }
    return by_classes(parts, prefix, feed)


@contextlib.contextmanager
def of_linen(model, prefix, feed):
    """A Linen module has its parts only while it runs."""
    import flax.linen as nn

    calls = Calls(lambda tensor: tensor, prefix, feed)

    def intercept(function, args, kwargs, context):
        path = ".".join(context.module.path)
        other = not path or context.method_name != "__call__"
        if other or calls.outside():
            return function(*args, **kwargs)
        name, args, kwargs = calls.begin(path, args, kwargs)
        output = function(*args, **kwargs)
        calls.end(name, output)
        return output

    with nn.intercept_methods(intercept):
        yield calls.found


def of_keras(model, prefix, feed):
    return by_classes(parts_of(model, keras_children), prefix, feed)


def keras_children(layer):
    """(name, layer): by attribute; by its own name in a model that is a
    list or a graph of layers."""
    kinds = {cls.__name__ for cls in type(layer).__mro__}
    if kinds & {"Sequential", "Functional"}:
        return [(child.name, child) for child in layer.layers]
    held = {
        name: value
        for name, value in vars(layer).items()
        if not name.startswith("_")
    }
    return [
        (path, leaf)
        for path, leaf in nest.flatten(held).items()
        if kind_of(leaf) == "keras"
    ]


def of_gluon(model, prefix, feed):
    return by_classes(parts_of(model, gluon_children), prefix, feed)


def gluon_children(block):
    for name, child in block._children.items():
        if isinstance(child, weakref.ref):  # of MXNet 2
            child = child()
        yield str(name), child


# kind: (where its base class is defined, the name of that)
CLASSES = {
    "torch": ("torch.nn", "Module"),
    "nnx": ("flax.nnx", "Module"),
    "linen": ("flax.linen", "Module"),
    "keras": ("keras", "Layer"),
    "keras 2": ("tf_keras", "Layer"),
    "gluon": ("mxnet.gluon", "Block"),
}
RECORDS = {
    "torch": by_hooks,
    "nnx": of_nnx,
    "linen": of_linen,
    "keras": of_keras,
    "keras 2": of_keras,
    "gluon": of_gluon,
}

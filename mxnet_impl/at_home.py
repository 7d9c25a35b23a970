"""At home: what Gluon's users expect of a layer, for every layer.

mxnet_impl/__init__.py does it, so that the pages stay as short as those
of the other frameworks. A layer then has
    __repr__         the arguments that it was made with, and below
                     them the layers inside; arrays show their shape
    load_parameters  also into a layer that is not initialized, or that
                     has a parameter of shape (), where MXNet's own
                     leaves arrays on which np fails, or raises

Raises: ValueError for a file with other names or shapes than the layer
"""

# region imports
import inspect

from mxnet import np
from mxnet.gluon import nn

from mxnet_impl.params_file import read
from mxnet_impl.quantization.modes import complete

# endregion


# region function
def every_layer():
    for cls in nn.Block.__subclasses__():
        if cls.__module__.startswith("mxnet_impl."):
            at_home(cls)


def at_home(cls):
    def new(cls, *args, **kwargs):
        layer = object.__new__(cls)
        shown = {n: brief(v) for n, v in kwargs.items()}
        made_with = tuple(map(brief, args)), shown
        object.__setattr__(layer, "_made_with", made_with)
        return layer

    new.__signature__ = inspect.signature(cls.__init__)
    cls.__new__ = new
    cls.__repr__ = show
    cls.load_parameters = load_parameters


def brief(value):
    if isinstance(value, nn.Block):
        return type(value).__name__
    if isinstance(value, np.ndarray):
        return f"array {value.shape}"
    if hasattr(value, "item"):  # a number from NumPy
        value = value.item()
    return getattr(value, "__name__", repr(value))


def show(self):
    args, kwargs = self._made_with
    made = inspect.signature(type(self).__init__)
    made = made.bind(self, *args, **kwargs).arguments
    made.pop("self")
    made |= made.pop("kwargs", {})
    sizes = ", ".join(f"{n}={value}" for n, value in made.items())
    lines = [f"{type(self).__name__}({sizes})"]
    for name, inside in self._children.items():
        below = repr(inside).splitlines()
        lines += [f"  ({name}): {below[0]}"]
        lines += [f"  {line}" for line in below[1:]]
    return "\n".join(lines)


def load_parameters(
    self, filename, ctx=None, allow_missing=False, ignore_extra=False
):
    with open(filename, "rb") as file:
        state = complete(read(file.read()), self)
    named = self._collect_params_with_prefix()
    found = {named[n] for n in state if n in named}
    missing = [n for n, p in named.items() if p not in found]
    extra = sorted(set(state) - set(named))
    wrong = [] if allow_missing else missing
    wrong = wrong + ([] if ignore_extra else extra)
    for name in set(state) & set(named):
        if state[name].shape != named[name].shape:
            wrong.append(name)
    if wrong:
        want = ", ".join(f"{n} {p.shape}" for n, p in named.items())
        got = ", ".join(f"{n} {a.shape}" for n, a in state.items())
        raise ValueError(f"{filename}: expected {want}, got {got}")
    for name in set(state) & set(named):
        dtype = named[name].dtype
        value, parameter = np.array(state[name], dtype), named[name]
        if parameter._data is None:
            parameter._load_init(value, ctx)
        else:
            for device in parameter.list_ctx():
                parameter.data(device)[()] = value.as_in_context(device)


# endregion


# region try
if __name__ == "__main__":
    from mxnet_impl import MLP

    print(MLP(3, 5, 2))
# endregion

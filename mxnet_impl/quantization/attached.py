"""Attached: what users put on a layer, when another takes its place.

attached(layer, kind)  names of what would be lost: a class other than
    kind, hooks, and attributes, parameters and layers that kind does
    not set itself; of these are parametrizations and pruning masks
check_attached(caller, name, layer, kind, way: str)  there is none
share(layer, **parameters)  the very parameters of another layer become
    those of this one: so what is frozen, what two layers have in
    common and what an optimizer holds stays as it is

Raises: ValueError for a layer with something attached, which says what
        it is, and the way out
"""

# region imports
from mxnet import gluon

from mxnet_impl.quantization.places import find

# endregion


# region function
def known(kind):
    """What every layer has, and what this kind's __init__ names."""
    code = kind.__init__.__code__
    named = {*code.co_names, *code.co_consts, "_made_with"}
    return named.union(vars(gluon.Block(prefix="")))


def attached(layer, kind):
    if type(layer) is not kind:
        return [f"class {type(layer).__name__}"]
    here = vars(layer), layer._reg_params, layer._children
    found = sorted(set().union(*here) - known(kind))
    used, own = set(layer._reg_params.values()), layer.params
    more = [n for n, p in own.items() if p not in used]
    # TiedMLP makes one for a layer in it
    names = {n.removeprefix(own.prefix): n for n in more}
    found += [n for name, n in names.items() if name not in known(kind)]
    for part in find(layer, gluon.Block).values():
        hooks = {n for n in vars(part) if n.endswith("_hooks")}
        found += sorted(n for n in hooks if vars(part)[n])
    return found


def check_attached(caller: str, name: str, layer, kind, way: str):
    found = attached(layer, kind)
    if found:
        want, got = f"a plain {kind.__name__}", ", ".join(found)
        raise ValueError(
            f"{caller}: {name or 'the model'} expected {want}, got "
            f"{got}, which would be lost: {way}"
        )


def share(layer, **parameters):
    for name, parameter in parameters.items():
        if parameter is not None:
            own = layer._reg_params.pop(name)
            del layer.params._params[own.name]
            layer.params._params[parameter.name] = parameter
            setattr(layer, name, parameter)


# endregion


# region try
if __name__ == "__main__":
    from mxnet_impl.linear import Linear

    layer = Linear(3, 2)
    layer.register_forward_hook(print)
    print(attached(layer, Linear))
# endregion


# region what differs here
# mxnet 1.9.1: a Parameter cannot be set in the place of another: its
# own names are in two lists, from which the first has to be taken
# endregion

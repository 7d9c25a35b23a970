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
from flax import nnx

# endregion


# region function
def known(kind):
    """What every layer has, and what this kind's __init__ names."""
    code = kind.__init__.__code__
    named = {*code.co_names, *code.co_consts}
    return named.union(vars(nnx.Module()))


def attached(layer, kind):
    if type(layer) is not kind:
        return [f"class {type(layer).__name__}"]
    return sorted(set(vars(layer)) - known(kind))


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
        setattr(layer, name, parameter)


# endregion


# region try
if __name__ == "__main__":
    from jax_impl.linear import Linear

    layer = Linear(3, 2, rngs=nnx.Rngs(0))
    layer.sow(nnx.Intermediate, "seen", 7)
    print(attached(layer, Linear))
# endregion


# region what differs here
# flax 0.12.8: a module has no hooks; those of a Variable go on with it
# endregion

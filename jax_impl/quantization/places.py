"""Places: the layers of a model by name, and others in their place.

inside(holder)           {key: value}, what it holds itself
put(holder, key, value)  the holder, with that value under that key
find(model, kinds)       {name: layer} of those kinds, in every holder
    in it; a name is its keys, "blocks.0.mlp.layer1", or "" for the
    model. A layer in two places is there twice
together(found)          [(names, layer)]: each layer is there once
replace(model, name, layer)  the model, with that layer in that place

Both change what they are given and return it; what cannot be changed,
a tuple or the model itself, comes back anew

Raises: ValueError for a name that is no place
"""

# region imports
from flax import nnx

HOLDERS = nnx.Pytree, list, tuple, dict
# endregion


# region function
def inside(holder):
    if isinstance(holder, (list, tuple)):
        return dict(enumerate(holder))
    if isinstance(holder, dict):
        return dict(holder)
    parts = vars(holder) if isinstance(holder, nnx.Pytree) else {}
    return {k: v for k, v in parts.items() if isinstance(v, HOLDERS)}


def put(holder, key, value):
    if isinstance(holder, tuple):
        parts = inside(holder) | {key: value}
        make = getattr(holder, "_make", tuple)
        return make(parts.values())
    if isinstance(holder, (list, dict)):
        holder[key] = value
    else:
        setattr(holder, key, value)
    return holder


def find(model, kinds):
    found = {}

    def walk(name, part, around):
        if isinstance(part, kinds):
            found[name] = part
        for key, value in inside(part).items():
            if id(value) not in around:  # it may know its holder
                below = f"{name}.{key}" if name else str(key)
                walk(below, value, around | {id(value)})

    walk("", model, {id(model)})
    return found


def together(found):
    names = {}
    for name, layer in found.items():
        names.setdefault(id(layer), []).append(name)
    return [(some, found[some[0]]) for some in names.values()]


def replace(model, name: str, layer):
    if not name:
        return layer
    for key, value in inside(model).items():
        if f"{name}.".startswith(f"{key}."):
            rest = name[len(f"{key}.") :]
            new = replace(value, rest, layer)
            return model if new is value else put(model, key, new)
    want = ", ".join(map(str, inside(model))) or "no name"
    raise ValueError(f"replace: name expected {want}, got {name!r}")


# endregion


# region try
if __name__ == "__main__":
    from jax_impl.linear import Linear

    layers = [Linear(3, 2, rngs=nnx.Rngs(0)), [nnx.relu]]
    print(find(layers, Linear))
    print(replace(layers, "0", nnx.relu))
# endregion


# region what differs here
# alignment: a module holds other holders, plain lists too, and a place
# in a list is set as an item, not as an attribute
# flax 0.12.8: nnx.iter_modules names a layer in two places once
# endregion

"""Built-in arrays: parameters from one layer to another.

read(layer)             {name: array} of a layer of ours or a built-in
write(layer, arrays)    all of its parameters; dtypes as they come
sizes_of(layer)         what the sizes in LAYOUTS are for one of ours
lay_out(layout, arrays, sizes)           ours as the built-in has them
lay_back(layout, arrays, shapes, sizes)  and back; shapes are of ours

A layout is an inner dictionary of LAYOUTS. Nothing is computed: the
numbers change their places only. Gradients go the same ways.

Raises: ValueError where names or shapes are not those of the layer
"""

# region imports
import tensorflow as tf

from tf_impl.checkpoint import check_same
from tf_impl.parameters import named_parameters

# endregion


# region function
def named(layer):
    if is_ours(layer):
        return named_parameters(layer)
    start = f"{layer.path}/"
    paths = {v.path.removeprefix(start): v for v in layer.weights}
    return {path.replace("/", "."): v for path, v in paths.items()}


def read(layer):
    found = named(layer).items()
    return {n: tf.identity(p.value) for n, p in found}


def write(layer, arrays):
    own = named(layer)
    want, got = shapes_of(own), shapes_of(arrays)
    check_same(type(layer).__name__, want, got)
    for name, array in arrays.items():
        own[name].assign(array)


def sizes_of(layer):
    if not hasattr(layer, "num_heads"):  # a Block has it inside
        layer = getattr(layer, "attention", None)
    if layer is None:
        return {}
    h, g = layer.num_heads, layer.num_kv_heads
    rows, width = layer.qkv.weight.shape
    d = rows // (h + 2 * g)
    ends = {"HD": h * d, "HD+GD": (h + g) * d, "HD+2GD": rows}
    return {"C": width, "H": h, "G": g, "D": d, **ends}


def moves(layout, shapes, sizes):
    """[(theirs, ours, rows, axes, shape before and after reshape)]"""
    found = []
    for theirs, entry in layout.items():
        entry = {"from": entry} if isinstance(entry, str) else entry
        ours = entry["from"]
        if ours in shapes:  # else it is a bias that the layer has not
            _, *rows = entry.get("slice", (0, 0, shapes[ours][0]))
            start, stop = (sizes.get(n, n) for n in rows)
            shape = stop - start, *shapes[ours][1:]
            axes = list(entry.get("transpose", range(len(shape))))
            shape = [shape[axis] for axis in axes]
            after = entry.get("reshape", shape)
            after = [sizes.get(n, n) for n in after]
            rows = slice(start, stop)
            found.append((theirs, ours, rows, axes, shape, after))
    return sorted(found, key=lambda move: move[2].start)


def lay_out(layout, arrays, sizes):
    found = {}
    for move in moves(layout, shapes_of(arrays), sizes):
        theirs, ours, rows, axes, _, after = move
        array = tf.transpose(arrays[ours][rows], axes)
        found[theirs] = tf.reshape(array, after)
    return found


def lay_back(layout, arrays, shapes, sizes):
    found = moves(layout, shapes, sizes)
    want = {move[0]: tuple(move[-1]) for move in found}
    check_same("the built-in layer", want, shapes_of(arrays))
    parts = {ours: [] for ours in shapes}
    for theirs, ours, _, axes, before, _ in found:
        array = tf.reshape(arrays[theirs], before)
        back = [axes.index(axis) for axis in range(len(axes))]
        parts[ours].append(tf.transpose(array, back))
    return {n: tf.concat(p, 0) for n, p in parts.items()}


def is_ours(layer):
    return type(layer).__module__.startswith("tf_impl.")


def shapes_of(arrays):
    return {n: tuple(a.shape) for n, a in arrays.items()}


# endregion

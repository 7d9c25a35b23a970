"""Nests of arrays: dicts, lists, tuples, dataclasses, one in another.

A leaf has a path, the keys that lead to it with dots between them: the
logits of {"logits": array} are "logits", the first of a tuple is "0".
None is nothing. Any Python from 3.8 on: the port's side runs this too.
"""

import dataclasses
from collections.abc import Mapping

SCALARS = (bool, int, float, str)


def children(tree):
    """[(key, child)] of a container, or None, of what is a leaf."""
    if isinstance(tree, Mapping):
        return [(str(key), child) for key, child in tree.items()]
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return list(zip(tree._fields, tree))
    if isinstance(tree, (tuple, list)):
        return [(str(i), child) for i, child in enumerate(tree)]
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        names = [field.name for field in dataclasses.fields(tree)]
        return [(name, getattr(tree, name)) for name in names]
    return None


def flatten(tree, bare="y"):
    """{path: leaf}, in order, without None.

    bare: the path of a tree that is a leaf itself
    Raises: ValueError for two leaves with one path
    """
    leaves = {}

    def walk(tree, path):
        below = children(tree)
        if below is None:
            if tree is None:
                return
            if path in leaves:
                raise ValueError(f"two arrays have the path {path!r}")
            leaves[path] = tree
            return
        for key, child in below:
            walk(child, f"{path}.{key}" if path else key)

    if children(tree) is None:
        return {} if tree is None else {bare: tree}
    walk(tree, "")
    return leaves


def map_leaves(function, tree, path=""):
    """The same nest of function(path, leaf); None stays None.

    Mappings of any kind come back as dicts.
    """
    if tree is None:
        return None

    def child(key, value):
        below = f"{path}.{key}" if path else key
        return map_leaves(function, value, below)

    below = children(tree)
    if below is None:
        return function(path, tree)
    if isinstance(tree, Mapping):
        names = [(key, str(key)) for key in tree]
        return {key: child(name, tree[key]) for key, name in names}
    made = [child(key, value) for key, value in below]
    if isinstance(tree, list):
        return made
    if isinstance(tree, tuple):
        named = hasattr(tree, "_fields")
        return type(tree)(*made) if named else tuple(made)
    fields = {key: new for (key, _), new in zip(below, made)}
    return dataclasses.replace(tree, **fields)


def to_json(tree, keep):
    """Plain lists and values, for json; keep(array) gives its number.

    What is no container and no Python scalar is kept as an array. Named
    tuples and dataclasses become tuples and dicts.
    """
    if tree is None or isinstance(tree, SCALARS):
        return {"value": tree}
    below = children(tree)
    if below is None:
        return {"array": keep(tree)}
    if isinstance(tree, (tuple, list)):
        kind = "tuple" if isinstance(tree, tuple) else "list"
        return {kind: [to_json(child, keep) for _, child in below]}
    return {"dict": [[key, to_json(c, keep)] for key, c in below]}


def from_json(data, array):
    """What to_json was given; array(number) gives an array back."""
    ((kind, what),) = data.items()
    if kind == "value":
        return what
    if kind == "array":
        return array(what)
    if kind == "dict":
        return {key: from_json(child, array) for key, child in what}
    made = [from_json(child, array) for child in what]
    return tuple(made) if kind == "tuple" else made

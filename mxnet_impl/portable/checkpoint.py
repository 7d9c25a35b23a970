"""Portable: a checkpoint that the four frameworks save and load alike.

save_portable(layer, path, training)  one file (tensor_file.py): what
    the layer is (model_words.py), and all its arrays by name
load_portable(path, finite)  a new layer, and training: bit for bit what
    was saved; finite: NaN and infinity are refused
training: None, or what an optimizer has to go on with, a dict of rule,
    lr, step, and first and second, {name of a parameter: array}

A file names no code. It chooses among our layers, and its words and its
arrays have to agree before any layer is made. Tied arrays are tied
again, and frozen ones frozen; training or evaluation is not kept.
Raises: FileNotFoundError; ValueError that names what was expected and
        got: for a file, and for a layer that no file could bring back
"""

# region imports
import functools
import json
import pathlib
import tempfile

from mxnet_impl.linear import Linear
from mxnet_impl.parameters import freeze
from mxnet_impl.portable.arrays import (
    in_dtype,
    is_frozen,
    put,
    to_array,
    to_tensor,
)
from mxnet_impl.portable.model_arrays import (
    check_arrays,
    named_arrays,
    tie,
    ties,
)
from mxnet_impl.portable.model_words import build, check, describe
from mxnet_impl.portable.tensor_file import read, write
from mxnet_impl.portable.training_words import (
    parse,
    split,
    training_words,
)

VERSION = "0.1.0"  # that of pyproject.toml
# endregion


# region function
def save_portable(layer, path, training=None):
    words = describe(layer)
    parts = check(words)
    named = named_arrays(layer, parts)
    words["tied"] = tied = ties(named)
    own = {n: v for n, v in named.items() if n not in tied}
    words["frozen"] = [n for n, v in own.items() if is_frozen(v)]
    tensors = {n: to_tensor(v) for n, v in own.items()}
    check_arrays(parts, tied, tensors)
    words["training"], more = training_words(training, tensors)
    dump = functools.partial(json.dumps, sort_keys=True)
    texts = {n: dump(w) for n, w in words.items()}
    texts |= dict(layer=words["layer"], version=VERSION)
    write(path, tensors | more, texts)


def load_portable(path, finite: bool = False):
    texts, tensors = read(path, finite)
    try:
        return make(texts, tensors)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from error


def make(texts, tensors):
    words = parse(texts)
    own, training = split(words["training"], tensors)
    parts = check(words, most=len(own))
    dtype = check_arrays(parts, words["tied"], own)
    arrays = {n: to_array(t) for n, t in own.items()}
    layer = in_dtype(lambda: build(words), dtype)
    tie(layer, parts, words["tied"])
    named = named_arrays(layer, parts)
    for name, array in arrays.items():
        put(named[name], array)
    for name in words["frozen"]:
        freeze(layer, name)
    return layer, training


# endregion


# region try
if __name__ == "__main__":
    layer = Linear(3, 2)
    layer.initialize()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "linear.safetensors")
        save_portable(layer, path)
        copy, _ = load_portable(path)
    print(layer.weight, copy.weight)
# endregion

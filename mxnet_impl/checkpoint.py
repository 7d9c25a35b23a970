"""Checkpoint: the parameters of a layer in a file, and back.

save(layer, path)  one file in the framework's own format; it gets its
    name only when it is whole: a crash leaves the last good one
load(layer, path)  bit for bit what was saved, or an error and no
    change: names, shapes and dtypes have to be those of the layer
    what a file claims is checked before memory is taken for it

A symbolic link stays; the file it leads to is replaced. A killed save
leaves .part.<name>, which the next one overwrites. What is frozen is
not saved. A file cut short is refused. A flipped bit is by PyTorch's
loader alone: the other formats have no checksum of the numbers.

Raises: FileNotFoundError if there is no file
        ValueError if it is no whole checkpoint, or one that does not
        fit; it names the file, what was expected and what it holds
"""

# region imports
import functools
import tempfile

import numpy
from mxnet import np

from mxnet_impl.linear import Linear
from mxnet_impl.params_file import read
from mxnet_impl.quantization.modes import complete
from mxnet_impl.whole_file import write_whole

# endregion


# region function
def save(layer, path):
    write = functools.partial(layer.save_parameters, deduplicate=True)
    write_whole(path, lambda part: write(str(part)))


def load(layer, path):
    with open(path, "rb") as file:
        try:
            state = complete(read(file.read()), layer)
            got = describe(state)
        except Exception as error:
            why = " ".join(str(error).split())  # on one line
            text = f"{path} is no whole checkpoint: {why:.500}"
            raise ValueError(text) from error
    every = layer._collect_params_with_prefix()
    once = {p: n for n, p in every.items()}
    named = {n: p for p, n in once.items()}
    check_same(path, describe(named), got)
    for name, value in state.items():
        value = np.array(value, dtype=value.dtype)
        if named[name]._data is None:
            named[name]._load_init(value, None)
        else:
            named[name].data()[()] = value


def describe(arrays):
    """{name: dtype, shape}"""
    found = {}
    for name, a in arrays.items():
        if not (isinstance(name, str) and name.isprintable()):
            raise ValueError(f"no name: {name!r:.80}")
        dtype = numpy.dtype(a.dtype).name
        found[name] = f"{dtype} {tuple(a.shape)}"
    return found


def check_same(path, want, got):
    wrong = [
        f"{n} expected {want.get(n, 'none')}, got {got.get(n, 'none')}"
        for n in sorted(want | got)
        if want.get(n) != got.get(n)
    ]
    if wrong:
        raise ValueError(f"{path}: {'; '.join(wrong):.2000}")


# endregion


# region try
if __name__ == "__main__":
    layer, copy = Linear(3, 2), Linear(3, 2)
    layer.initialize()
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/linear.params"
        save(layer, path)
        load(copy, path)
    print((layer.weight.data() == copy.weight.data()).all())
# endregion


# region what differs here
# mxnet 1.9.1: load_parameters of a layer without sublayers raises, or,
# where it is not initialized, leaves legacy arrays on which np fails:
# here is its inner step
# mxnet 1.9.1: of the names of a shared parameter, deduplicate=True
# keeps the last; set_data of a parameter of shape () raises
# endregion

"""Checkpoint: the parameters of a layer in a file, and back.

save(layer, path)  one file in the framework's own format; it gets its
    name only when it is whole: a crash leaves the last good one
load(layer, path)  bit for bit what was saved, or an error and no
    change: names, shapes and dtypes have to be those of the layer
    what a file claims is checked before memory is taken for it

A symbolic link stays; the file it leads to is replaced. A killed save
leaves .part.<name>, which the next one overwrites. What is frozen is
not saved. No loader here verifies a checksum of the numbers: a file
cut short is refused, a flipped bit is not.

Raises: FileNotFoundError if there is no file
        ValueError if it is no whole checkpoint, or one that does not
        fit; it names the file, what was expected and what it holds
"""

# region imports
import io
import tempfile

import h5py
import keras
import tensorflow as tf

from tf_impl.linear import Linear
from tf_impl.quantization.modes import KEPT, complete
from tf_impl.weights_file import to_bytes
from tf_impl.whole_file import write_whole

# endregion


# region function
def save(layer, path):
    data = to_bytes(layer)
    write_whole(path, lambda part: part.write_bytes(data))


def load(layer, path):
    with open(path, "rb") as file:
        try:
            with h5py.File(file) as arrays:
                got = describe(arrays)
                modes = {n: arrays[n][()] for n in got if KEPT in n}
            modes = complete(modes, layer)
        except Exception as error:
            text = f"{path} is no whole checkpoint: {error}"
            raise ValueError(text) from error
    with h5py.File(io.BytesIO(to_bytes(layer))) as arrays:
        want = describe(arrays)
    older = {n: want[n] for n in modes}  # a file from before has none
    check_same(path, want, older | got)
    keras.saving.load_weights(layer, path)


def describe(arrays):
    """{name: dtype, shape}"""
    found = {}

    def visit(name, a):
        if isinstance(a, h5py.Dataset):
            if a.id.get_storage_size() < a.nbytes:
                raise ValueError(
                    f"{name} has fewer numbers than its shape"
                )
            dtype = a.attrs.get("dtype", a.dtype)
            found[name] = f"{dtype} {tuple(a.shape)}"

    arrays.visititems(visit)
    return found


def check_same(path, want, got):
    wrong = [
        f"{n} expected {want.get(n, 'none')}, got {got.get(n, 'none')}"
        for n in sorted(want | got)
        if want.get(n) != got.get(n)
    ]
    if wrong:
        raise ValueError(f"{path}: {'; '.join(wrong)}")


# endregion


# region try
if __name__ == "__main__":
    layer, copy = Linear(3, 2), Linear(3, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/linear.weights.h5"
        save(layer, path)
        load(copy, path)
    print(bool(tf.reduce_all(layer.weight == copy.weight)))
# endregion


# region what differs here
# keras 3.15.1: the name has to end in .weights.h5; tf.keras.saving does
# not exist; a layer counts as built after its first call, but here its
# parameters are made before
# keras 3.15.1: the file has places (layer1/vars/0), not names, and
# load_weights ignores what the layer has no place for
# endregion

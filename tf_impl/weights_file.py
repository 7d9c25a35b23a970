"""Weights file: what keras.saving.save_weights writes, in memory.

to_bytes(layer)  the bytes of the .weights.h5 file of that layer
read(data)  {place: NumPy array} of the bytes of such a file
put(layer, arrays)  arrays into the layer, which has just these places

On a full disk save_weights ends the whole process: HDF5 crashes when it
closes a file that it could not write. Bytes are written by Python, and
a full disk is an OSError. load_weights stops in the middle of a layer
where an entry does not fit. read refuses what save_weights does not
write: links (an entry may lie in another file of this machine), packed
or missing numbers, an object in two places, other types
Raises: ValueError and others for what is no such file
"""

# region imports
import io

import h5py
import ml_dtypes
from keras.src.saving import saving_lib

DEPTH = 50  # layers inside layers
# endregion


# region function
def to_bytes(layer):
    layer.built, file = True, io.BytesIO()
    store = saving_lib.H5IOStore(file, mode="w")
    # keras 3.15.1: the inside of save_weights, which wants a path
    saving_lib._save_state(layer, store, None, "", set())
    store.close()
    return file.getvalue()


def read(data):
    found, size = {}, 0
    with h5py.File(io.BytesIO(data)) as file:
        for name, a in walk(file, "", set()):
            check(name, a)
            size += a.nbytes
            if size > len(data):
                raise ValueError(f"{name} is larger than the file")
            found[name] = a[()]
            if a.dtype == "V2":
                found[name] = a[()].view(ml_dtypes.bfloat16)
    return found


def walk(group, before, seen):
    """(place, dataset) of each, all of them in this file, once."""
    for key in group:
        name = before + key
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise ValueError(f"{name} is a link")
        value = group[key]
        if value in seen or name.count("/") > DEPTH:
            raise ValueError(f"{name} is there twice, or too deep")
        seen.add(value)
        if isinstance(value, h5py.Group):
            yield from walk(value, f"{name}/", seen)
        else:
            yield name, value


def check(name, a):
    known = isinstance(a, h5py.Dataset) and a.dtype.kind in "fiub"
    if not known and a.dtype != "V2":
        raise ValueError(f"{name} has no numbers of a known type")
    # keras 3.15.1 marks bfloat16, and rounds whatever has that mark
    mark, want = a.attrs.get("dtype"), None if known else "bfloat16"
    if str(mark) != str(want):
        raise ValueError(f"{name} is marked as {mark!r:.80}")
    if a.external or a.is_virtual:
        raise ValueError(f"{name} lies in another file")
    if a.chunks or a.id.get_storage_size() < a.nbytes:
        raise ValueError(f"{name} has fewer numbers than its shape")


def put(layer, arrays):
    layer.built, file = True, io.BytesIO()
    with h5py.File(file, "w") as to:
        for name, a in arrays.items():
            to[name] = a
            if a.dtype == ml_dtypes.bfloat16:
                to[name].attrs["dtype"] = "bfloat16"
    store = saving_lib.H5IOStore(file, mode="r")
    saving_lib._load_state(layer, store, None, "", False, set())
    store.close()


# endregion


# region try
if __name__ == "__main__":
    from tf_impl.linear import Linear

    layer = Linear(3, 2)
    arrays = read(to_bytes(layer))
    print(arrays)
    put(layer, arrays)
# endregion

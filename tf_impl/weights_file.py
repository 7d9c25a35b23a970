"""Weights file: what keras.saving.save_weights writes, in memory.

to_bytes(layer)  the bytes of the .weights.h5 file of that layer
from_bytes(layer, data)  the numbers of such a file into the layer

On a full disk save_weights ends the whole process: HDF5 crashes when it
closes a file that it could not write. Bytes are written by Python, and
a full disk is an OSError.
"""

# region imports
import io

from keras.src.saving import saving_lib

# endregion


# region function
def to_bytes(layer):
    layer.built, file = True, io.BytesIO()
    store = saving_lib.H5IOStore(file, mode="w")
    # keras 3.15.1: the inside of save_weights, which wants a path
    saving_lib._save_state(layer, store, None, "", set())
    store.close()
    return file.getvalue()


def from_bytes(layer, data):
    layer.built = True
    store = saving_lib.H5IOStore(io.BytesIO(data), mode="r")
    saving_lib._load_state(layer, store, None, "", False, set())
    store.close()


# endregion


# region try
if __name__ == "__main__":
    from tf_impl.linear import Linear

    print(len(to_bytes(Linear(3, 2))))
# endregion

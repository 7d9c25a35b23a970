"""Params file: read what save_parameters of MXNet writes.

read(data)  {name: NumPy array} of the bytes of such a file

npx.load takes memory for whatever a file claims: 162 bytes took 8.2 GB
before it raised. Here an array is a part of the file, or an error.

The file:   0x112, 0, count (uint64 each); the arrays; then the count
            of names, and for each name its length and its bytes
An array:   0xF993FACA, 0 (dense), rank (uint32 each); its shape, int64
            each; kind and number of the device, number of the dtype
            (uint32 each); its numbers
Raises: ValueError and others for what is no such file
"""

# region imports
import math

import numpy

NAMES = "float32 float64 float16 uint8 int32 int8 int64 bool"
DTYPES = NAMES.split()  # as MXNet numbers them
# endregion


# region function
def read(data):
    at = 0

    def take(count, dtype="u8"):
        nonlocal at
        if not count:
            return numpy.zeros(0, dtype)
        got = numpy.frombuffer(data, dtype, int(count), at)
        at += got.nbytes
        return got

    def take_array():
        kind, sparse, rank = take(3, "u4")
        if (kind, sparse) != (0xF993FACA, 0):
            raise ValueError("no dense array")
        shape = tuple(map(int, take(rank)))
        flag = take(3, "u4")[2]
        return take(math.prod(shape), DTYPES[flag]).reshape(shape)

    magic, _, count = take(3)
    arrays = [take_array() for _ in range(count)]
    (count,) = take(1)
    names = [bytes(take(take(1)[0], "u1")) for _ in range(count)]
    if magic != 0x112 or at != len(data):
        raise ValueError(f"{at} bytes of {len(data)} read")
    names = [name.decode() for name in names]
    return dict(zip(names, arrays, strict=True))


# endregion


# region try
if __name__ == "__main__":
    import pathlib
    import tempfile

    from mxnet_impl.linear import Linear

    layer = Linear(3, 2)
    layer.initialize()
    with tempfile.TemporaryDirectory() as folder:
        layer.save_parameters(f"{folder}/linear.params")
        data = pathlib.Path(f"{folder}/linear.params").read_bytes()
    print(read(data))
# endregion

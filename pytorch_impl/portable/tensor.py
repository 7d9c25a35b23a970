"""Tensor: an array as bytes that any framework reads.

Tensor(dtype, shape, data)  the numbers row by row, little-endian; dtype
    is a name of DTYPES
check_numbers(name, tensor, finite)  it has as many bytes as its shape
    says; a bool is 0 or 1; finite: no number is infinite or NaN

Raises: ValueError that names the tensor
"""

# region imports
import math
from typing import NamedTuple

import numpy

from pytorch_impl.portable.expect import expect

# dtype: its word in a file, and its bytes
DTYPES = {
    "float64": ("F64", 8),
    "float32": ("F32", 4),
    "bfloat16": ("BF16", 2),
    "float16": ("F16", 2),
    "int64": ("I64", 8),
    "int32": ("I32", 4),
    "int8": ("I8", 1),
    "uint8": ("U8", 1),
    "bool": ("BOOL", 1),
}
# the bits of the exponent: all are 1 in infinity and NaN alone
EXPONENT = {
    "float64": 0x7FF << 52,
    "float32": 0xFF << 23,
    "bfloat16": 0xFF << 7,
    "float16": 0x1F << 10,
}
# endregion


# region function
class Tensor(NamedTuple):
    dtype: str
    shape: tuple
    data: bytes


def check_numbers(name: str, tensor, finite: bool = False):
    dtype, shape, data = tensor
    want = math.prod(shape) * DTYPES[dtype][1]
    expect(len(data) == want, f"{name}: bytes", want, len(data))
    if dtype == "bool":
        got = sorted(set(data) - {0, 1})
        expect(not got, f"{name}: a bool", "0 or 1", got)
    if finite and dtype in EXPONENT:
        mask = EXPONENT[dtype]
        bits = numpy.frombuffer(data, f"<u{DTYPES[dtype][1]}")
        got = int(((bits & mask) == mask).sum())
        expect(not got, name, "finite numbers", f"{got} others")


# endregion


# region try
if __name__ == "__main__":
    data = numpy.array([1, 2, numpy.inf], "float32").tobytes()
    tensor = Tensor("float32", (3,), data)
    check_numbers("weight", tensor)
    try:
        check_numbers("weight", tensor, finite=True)
    except ValueError as error:
        print(error)
# endregion

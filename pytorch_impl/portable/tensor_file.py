"""Tensor file: named arrays in a file that a reader need not trust.

write(path, tensors, words)  {name: Tensor} and {word: text} to a file
    in the format of safetensors, whole or not at all (whole_file.py)
read(path, finite)  words and tensors of such a file. What it says of
    itself is checked before memory is taken for it; finite: NaN and
    infinity are refused as well

The file: 8 bytes, little-endian, the length of the JSON, a multiple of
    8; the JSON (tensor_header.py), with spaces behind it; the numbers,
    to the end. Its "__metadata__" has the words and one more, sha256,
    of what the JSON says and of the numbers: flipped bits are refused
Raises: FileNotFoundError if there is no file
        ValueError that names the file, what was expected and found
"""

# region imports
import hashlib
import json
import os
import pathlib
import tempfile

from pytorch_impl.portable.expect import expect
from pytorch_impl.portable.tensor import DTYPES, Tensor, check_numbers
from pytorch_impl.portable.tensor_header import KEYS, parse
from pytorch_impl.whole_file import write_whole

LONGEST = 2**22  # bytes of JSON
# endregion


# region function
def write(path, tensors, words):
    # large items first: so each begins at a multiple of its size
    def order(name):
        return -DTYPES[tensors[name].dtype][1], name

    places, entries, begin = {}, {}, 0
    for name in sorted(tensors, key=order):
        dtype, shape, data = tensors[name]
        end = begin + len(data)
        places[name] = dtype, shape, begin, end
        entry = DTYPES[dtype][0], shape, (begin, end)
        entries[name], begin = dict(zip(KEYS, entry)), end
    digest = digest_of(words, places)
    for name in entries:
        digest.update(tensors[name].data)
    words = words | dict(sha256=digest.hexdigest())
    text = json.dumps({"__metadata__": words} | entries).encode()
    text += b" " * (-len(text) % 8)
    check_length(len(text))
    parse(text, begin)  # what cannot be read is not written

    def fill(part):
        with part.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for name in entries:
                file.write(tensors[name].data)

    write_whole(path, fill)


def digest_of(words, places):
    """SHA-256, begun with what the JSON says."""
    text = json.dumps([words, places], sort_keys=True)
    return hashlib.sha256(text.encode())


def check_length(length, most=LONGEST):
    right = length % 8 == 0 and 0 < length <= most
    want = f"a multiple of 8 up to {most}"
    expect(right, "the length of the JSON", want, length)


def read(path, finite: bool = False):
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f"{path} expected a file, got none")
    with open(path, "rb") as file:
        try:
            return read_open(file, finite)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: {error}") from error


def read_open(file, finite):
    size = file.seek(0, os.SEEK_END)
    expect(size >= 16, "the file", "16 bytes or more", size)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    check_length(length, min(LONGEST, size - 8))
    text, first = file.read(length).decode(), 8 + length
    words, places = parse(text, size - first)
    got = words.pop("sha256", None)
    digest = digest_of(words, places)
    want = hashlib.file_digest(file, lambda: digest).hexdigest()
    expect(got == want, "sha256", want, got)
    tensors = {}
    for name, (dtype, shape, begin, end) in places.items():
        file.seek(first + begin)
        tensors[name] = Tensor(dtype, shape, file.read(end - begin))
        check_numbers(name, tensors[name], finite)
    return words, tensors


# endregion


# region try
if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "numbers.safetensors")
        tensor = Tensor("int32", (2,), bytes([7, 0, 0, 0, 8, 0, 0, 0]))
        write(path, {"a": tensor}, {"unit": "metre"})
        print(read(path))
# endregion

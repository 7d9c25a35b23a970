"""Tensor header: what a tensor file says of itself, before it is used.

A file may come from anyone, so nothing in it is taken for granted.
parse(text, size)  the JSON of such a file (tensor_file.py), with size
    bytes of numbers behind it: "__metadata__", which maps words to
    texts, and {name: (dtype, shape, begin, end)}; begin and end count
    bytes from the first number on
Checked: that it is JSON, each name once; that names are those of
    parameters, and no paths; that shape and dtype give the bytes from
    begin to end; that begin is a multiple of the item size; that the
    arrays fill the numbers, without gap or overlap
Raises: ValueError, RecursionError (brackets too deep)
Ref:    huggingface.co/docs/safetensors (the format)
"""

# region imports
import json
import math
import re

from mxnet_impl.portable.expect import expect
from mxnet_impl.portable.tensor import DTYPES

WORDS = {word: dtype for dtype, (word, _) in DTYPES.items()}
NAME = re.compile(r"[A-Za-z_]\w*(\.\w+)*", re.ASCII)
KEYS = "dtype", "shape", "data_offsets"
LARGEST = 2**48  # a size, or a place in the file
# endregion


# region function
def parse(text, size: int):
    hooks = dict(parse_constant=no_number, parse_float=no_number)
    names = json.loads(text, object_pairs_hook=each_once, **hooks)
    expect(isinstance(names, dict), "the JSON", "an object", names)
    words = names.pop("__metadata__", {})
    expect(isinstance(words, dict), "__metadata__", "an object", words)
    for word in (*words, *words.values()):
        plain = isinstance(word, str) and word.isprintable()
        expect(plain, "__metadata__", "printable texts", word)
    places = {n: place(n, entry) for n, entry in names.items()}
    check_filled(places, size)
    return words, places


def each_once(pairs):
    found = {}
    for name, value in pairs:
        expect(name not in found, "each name", "once", name)
        found[name] = value
    return found


def no_number(text):
    expect(False, "each number", "whole", text)


def place(name, entry):
    right = NAME.fullmatch(name) and len(name) < 1000
    expect(right, "each name", "words with dots between", name)
    right = isinstance(entry, dict) and entry.keys() == set(KEYS)
    expect(right, name, ", ".join(KEYS), entry)
    word, shape, offsets = (entry[key] for key in KEYS)
    right = isinstance(word, str) and word in WORDS
    expect(right, f"{name}: dtype", ", ".join(WORDS), word)
    right = are_sizes(shape) and len(shape) <= 32
    expect(right, f"{name}: shape", "up to 32 sizes", shape)
    right = are_sizes(offsets) and len(offsets) == 2
    expect(right, f"{name}: data_offsets", "begin, end", offsets)
    dtype, (begin, end) = WORDS[word], offsets
    item = DTYPES[dtype][1]
    want = math.prod(shape) * item
    expect(end - begin == want, f"{name}: bytes", want, end - begin)
    want = f"a multiple of {item}"
    expect(begin % item == 0, f"{name}: begin", want, begin)
    return dtype, tuple(shape), begin, end


def are_sizes(values):
    if not isinstance(values, list):
        return False
    return all(type(n) is int and 0 <= n < LARGEST for n in values)


def check_filled(places, size):
    filled, begins = 0, {n: p[2:] for n, p in places.items()}
    for name in sorted(begins, key=begins.get):
        begin, end = begins[name]
        expect(begin == filled, f"{name}: begin", filled, begin)
        filled = end
    expect(filled == size, "the arrays", f"{size} bytes", filled)


# endregion


# region try
if __name__ == "__main__":
    entry = dict(dtype="F32", shape=[2, 3], data_offsets=[0, 24])
    print(parse(json.dumps(dict(weight=entry)), size=24))
# endregion

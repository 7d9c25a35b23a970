"""A tensor file: what was written is read; all else is refused."""

import hashlib
import importlib
import json
import re

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load

from shared_tests.environments import FRAMEWORKS
from shared_tests.files import ROOT

# the pages are the same in all four, but MXNet needs an older NumPy
ENVIRONMENTS = ("pytorch", "mxnet")
PAGES = """
portable/expect portable/tensor portable/tensor_file
portable/tensor_header whole_file
""".split()

NAME = "numbers.safetensors"
DTYPES = dict(F32="float32", I8="int8", BOOL="bool", F16="float16")
NUMBERS = {
    "layer1.weight": np.arange(6, dtype="float32").reshape(2, 3),
    "layer1.bias": np.array([-0.0, np.inf, np.nan], "float64"),
    "alpha": np.array(1 / 3, "float16"),
    "codes": np.array([[-128], [127]], "int8"),
    "none": np.zeros((0, 3), "int32"),
    "truth": np.array([True, False, True]),
    "bytes": np.array([0, 255], "uint8"),
    "long": np.array([-(2**63), 2**63 - 1], "int64"),
}


@pytest.fixture(scope="module")
def page(framework):
    return importlib.import_module(
        f"{framework}_impl.portable.tensor_file"
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / NAME


def tensors(page, arrays=NUMBERS):
    return {
        n: page.Tensor(a.dtype.name, a.shape, a.tobytes())
        for n, a in arrays.items()
    }


def raw(entries, data, words=None):
    """A file that says those things, with its right checksum."""
    words = (
        dict(sha256=digest(entries, data)) if words is None else words
    )
    text = entries
    if not isinstance(entries, str):
        text = json.dumps({"__metadata__": words} | entries)
    head = text.encode("utf-8", "surrogatepass")
    head += b" " * (-len(head) % 8)
    return len(head).to_bytes(8, "little") + head + data


def digest(entries, data):
    """Of what the JSON says, if it says so as it should, and of data."""
    try:
        places = {
            n: (DTYPES[e["dtype"]], e["shape"], *e["data_offsets"])
            for n, e in entries.items()
        }
    except (AttributeError, TypeError, KeyError):
        return ""
    text = json.dumps([{}, places], sort_keys=True)
    return hashlib.sha256(text.encode() + data).hexdigest()


def entry(dtype="F32", shape=(2, 3), offsets=(0, 24), **more):
    return dict(dtype=dtype, shape=shape, data_offsets=offsets, **more)


def refused(page, path, data, words, finite=False):
    path.write_bytes(data)
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        page.read(path, finite)
    text = str(caught.value)
    assert text.startswith(f"{path}") and len(text) < 500


@pytest.mark.parametrize("page", PAGES)
def test_the_page_is_the_same_in_all_four(page):
    ours = (ROOT / f"pytorch_impl/{page}.py").read_text()
    for other in FRAMEWORKS:
        text = (ROOT / f"{other}_impl/{page}.py").read_text()
        assert text.replace(f"{other}_impl", "pytorch_impl") == ours


def test_what_was_written_is_read(page, path):
    page.write(path, tensors(page), dict(layer="MLP", config="{}"))
    words, found = page.read(path)
    assert words == dict(layer="MLP", config="{}")
    assert found == tensors(page)


def test_the_library_reads_it(page, path):
    """bfloat16 too, of which its NumPy knows nothing."""
    more = {"low": page.Tensor("bfloat16", (2,), b"\x80\x3f\x00\x40")}
    page.write(path, tensors(page) | more, dict(layer="MLP"))
    with safe_open(path, "numpy") as file:
        assert file.metadata()["layer"] == "MLP"
        assert set(file.keys()) == set(NUMBERS) | set(more)
        entry = file.get_slice("low")
        assert (entry.get_dtype(), entry.get_shape()) == ("BF16", [2])
    page.write(path, tensors(page), {})
    for name, array in load(path.read_bytes()).items():
        assert array.dtype == NUMBERS[name].dtype
        assert array.shape == NUMBERS[name].shape
        assert array.tobytes() == NUMBERS[name].tobytes()


def test_the_same_bytes_whatever_the_order(page, path):
    page.write(path, tensors(page), {})
    before = path.read_bytes()
    turned = dict(reversed(tensors(page).items()))
    page.write(path, turned, {})
    assert path.read_bytes() == before


def test_an_array_begins_at_a_multiple_of_its_size(page, path):
    page.write(path, tensors(page), {})
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    assert length % 8 == 0
    head = json.loads(data[8 : 8 + length])
    head.pop("__metadata__")
    for name, said in head.items():
        assert said["data_offsets"][0] % NUMBERS[name].itemsize == 0


def test_no_file(page, path):
    with pytest.raises(FileNotFoundError, match=NAME):
        page.read(path)


def test_a_folder(page, path):
    path.mkdir()
    with pytest.raises(ValueError, match="expected a file"):
        page.read(path)


def test_finite(page, path):
    arrays = dict(a=np.ones(3, "float32"), b=np.ones(2, "int64") * -1)
    page.write(path, tensors(page, arrays), {})
    assert page.read(path, finite=True)[1] == tensors(page, arrays)
    largest = dict(float64="7fefffffffffffff", float32="7f7fffff")
    largest |= dict(bfloat16="7f7f", float16="7bff")
    for dtype, bits in largest.items():
        good = bytes.fromhex(bits)[::-1]
        # one more in the last bit is infinity, and one more NaN
        for more, words in enumerate(
            ("", "b.c expected finite", "b.c")
        ):
            number = int.from_bytes(good, "little") + more
            both = good + number.to_bytes(len(good), "little")
            tensor = page.Tensor(dtype, (2,), both)
            page.write(path, {"b.c": tensor}, {})
            page.read(path)
            if more:
                whole = path.read_bytes()
                refused(page, path, whole, words, finite=True)
            else:
                page.read(path, finite=True)


@pytest.mark.parametrize("name", ["", "a/b", "..", "a..b", "a b", "é"])
def test_what_cannot_be_read_is_not_written(page, path, name):
    with pytest.raises(ValueError, match="each name expected words"):
        page.write(path, {name: page.Tensor("int8", (1,), b"1")}, {})
    with pytest.raises(ValueError, match="a: bytes expected 8"):
        page.write(path, {"a": page.Tensor("int32", (2,), b"123")}, {})
    with pytest.raises(ValueError, match="printable"):
        page.write(path, {}, dict(layer="two\nlines"))
    assert list(path.parent.iterdir()) == []


ONES = np.ones((2, 3), "float32").tobytes()
GOOD = {"a": entry()}
TWO = {"a": entry(), "b": entry(offsets=(24, 48))}


def test_the_good_one(page, path):
    path.write_bytes(raw(GOOD, ONES))
    assert page.read(path)[1]["a"] == ("float32", (2, 3), ONES)


@pytest.mark.parametrize(
    "entries, data, words",
    [
        ({"a": entry("F33")}, ONES, "a: dtype expected F64, F32"),
        ({"a": entry(["F32"])}, ONES, "a: dtype expected"),
        ({"a": entry(shape=[2, 4])}, ONES, "a: bytes expected 32"),
        ({"a": entry(shape=[-2, -3])}, ONES, "a: shape expected"),
        ({"a": entry(shape=[True, 6])}, ONES, "a: shape expected"),
        ({"a": entry(shape=[2**48])}, ONES, "a: shape expected"),
        ({"a": entry(shape=[1] * 33)}, ONES, "a: shape expected"),
        ({"a": entry(shape="ab")}, ONES, "a: shape expected"),
        ({"a": entry(shape=[2, 3.0])}, ONES, "whole, got '3.0'"),
        ({"a": entry(offsets=[0])}, ONES, "a: data_offsets expected"),
        ({"a": entry(offsets=[24, 0])}, ONES, "a: bytes expected 24"),
        ({"a": entry(offsets=[0, 10**10])}, ONES, "bytes expected 24"),
        ({"a": entry(more=1)}, ONES, "a expected dtype, shape, data"),
        ({"a": [1]}, ONES, "a expected dtype, shape, data"),
        ({"a": {"dtype": "F32"}}, ONES, "a expected dtype, shape"),
        ({"../a": entry()}, ONES, "each name expected words"),
        ({"/etc/a": entry()}, ONES, "each name expected words"),
        ({"a\\b": entry()}, ONES, "each name expected words"),
        ({"a" * 1000: entry()}, ONES, "each name expected words"),
        ({}, ONES, "the arrays expected 24 bytes, got 0"),
        (GOOD, ONES + b"1", "the arrays expected 25 bytes, got 24"),
        (GOOD, ONES[:-1], "the arrays expected 23 bytes, got 24"),
        (TWO | {"b": entry(offsets=(0, 24))}, 2 * ONES, "begin exp"),
        (TWO | {"b": entry(offsets=(4, 28))}, 2 * ONES, "begin exp"),
        (TWO | {"b": entry(offsets=(28, 52))}, 3 * ONES, "begin exp"),
        (
            {
                "a": entry("I8", [1], [0, 1]),
                "b": entry(offsets=[1, 25]),
            },
            b"1" + ONES,
            "b: begin expected a multiple of 4, got 1",
        ),
        ({"a": entry("BOOL", [2], [0, 2])}, b"\1\2", "a bool expected"),
    ],
)
def test_an_entry_that_is_wrong(page, path, entries, data, words):
    refused(page, path, raw(entries, data), words)


SHA = dict(sha256="0" * 64)


@pytest.mark.parametrize(
    "said, words",
    [
        ({}, "sha256 expected"),
        (dict(sha256="0" * 64), "sha256 expected"),
        (SHA | dict(epoch=7), "printable texts, got 7"),
        (SHA | dict(layer=None), "printable texts, got None"),
        (SHA | dict(layer={"a": "b"}), "printable texts"),
        (SHA | {"a\nb": ""}, "printable texts"),
        (SHA | dict(layer="\ud800"), "printable texts"),
        ([1], "__metadata__ expected an object"),
    ],
)
def test_words_that_are_wrong(page, path, said, words):
    refused(page, path, raw(GOOD, ONES, said), words)


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "the file expected 16 bytes or more, got 8"),
        ("{", "Expecting"),
        ("[]", "the JSON expected an object"),
        ("7", "the JSON expected an object"),
        ("NaN", "whole, got 'NaN'"),
        ('{"a": -Infinity}', "whole, got '-Infinity'"),
        ('{"a": 1e999}', "whole, got '1e999'"),
        ('{"a": 1, "a": 2}', "each name expected once, got 'a'"),
        ('{"a": {"dtype": 1, "dtype": 2}}', "got 'dtype'"),
        ('{"__metadata__": {"a": "", "a": ""}}', "once, got 'a'"),
        ('{"__metadata__": {}, "__metadata__": {}}', "__metadata__"),
        ("[" * 100_000, "recursion"),
        ('{"a":' * 100_000, "recursion"),
        ('{"a": ' + "1" * 5000 + "}", "digits"),
        ("\ufeff{}", "BOM"),
        ('{"\udcff": 1}', "decode"),
        ("{}" + " " * 2**22, "the length of the JSON expected"),
    ],
)
def test_json_that_is_wrong(page, path, text, words):
    refused(page, path, raw(text, b""), words)


def test_a_file_cut_short_or_changed(page, path):
    page.write(path, tensors(page), dict(layer="MLP"))
    good = path.read_bytes()
    for size in range(len(good)):
        refused(page, path, good[:size], "expected")
    length = int.from_bytes(good[:8], "little")
    for at in range(8 + length, len(good)):
        changed = bytearray(good)
        changed[at] ^= 1
        refused(page, path, changed, "sha256 expected")
    for at in range(8 + length):  # what it says of itself
        changed = bytearray(good)
        changed[at] ^= 1
        refused(page, path, changed, NAME)
    changed = good.replace(b"MLP", b"MLQ")
    refused(page, path, changed, "sha256 expected")


@pytest.mark.parametrize("length", [1, 12, 2**22 + 8, 2**63, 2**64 - 8])
def test_a_length_that_is_wrong(page, path, length):
    good = raw(GOOD, ONES)
    refused(
        page,
        path,
        length.to_bytes(8, "little") + good[8:],
        "the length of the JSON expected a multiple of 8",
    )

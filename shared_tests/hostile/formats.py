"""Formats: spoiled files whose author knows how the format is read.

KNOWING = {format: functions of (data, rng) that give a spoiled file}

What a careful attacker would send: claims of gigabytes, bombs, names
that leave the folder, calls in a pickle, links to other files, numbers
that are none. data is a good file of that format.
"""

import copy
import functools
import hashlib
import io
import json
import pickle
import struct
import warnings
import zipfile

ODD = (0, 1, -1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, 10**40)
ODD += (1.0, 2.5, True, False, None, "3", [], {}, float("nan"))
NAMES = (
    "../x",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "..",
    "",
    "\0",
    "weight\n",
)
NAMES += ("\ud800", "é" * 300, "__class__", "__import__('os')", "C:x")
GIGA = 10 * 2**30


# --- safetensors, with the words of tensor_file.py


def parts(data):
    """(header, data part) of a safetensors file."""
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def joined(header, body, pad=True):
    text = header if isinstance(header, bytes) else words(header)
    if pad:
        text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + body


def words(header):
    return json.dumps(header).encode()


def tensors(header):
    return [n for n in header if n != "__metadata__"]


def some_tensor(header, rng):
    return (
        header[rng.choice(tensors(header))] if tensors(header) else {}
    )


def places_of(header):
    """(place, key) of each value at any depth."""
    todo = [header]
    for place in todo:
        items = place.items() if isinstance(place, dict) else None
        items = enumerate(place) if items is None else items
        for key, value in items:
            yield place, key
            if isinstance(value, (dict, list)):
                todo.append(value)


def odd_value(data, rng):
    header, body = parts(data)
    place, key = rng.choice([*places_of(header)])
    place[key] = rng.choice(ODD)
    return joined(header, body)


def odd_offsets(data, rng):
    """Overlapping, reversed, unaligned, with a hole, too large."""
    header, body = parts(data)
    one, two = some_tensor(header, rng), some_tensor(header, rng)
    start, end = one.get("data_offsets", (0, 0))
    one["data_offsets"] = rng.choice(
        (
            [end, start],
            [start + 1, end + 1],
            [start + 8, end + 8],
            [start, end + 4],
            [start, start],
            [-8, end],
            [start, GIGA],
            two.get("data_offsets", [0, 0]),
            [start, end, end],
            [0, len(body)],
        )
    )
    return joined(header, body)


def odd_shape(data, rng):
    """Another shape, with the right number of elements or without."""
    header, body = parts(data)
    one = some_tensor(header, rng)
    shape = list(one.get("shape", ()))
    one["shape"] = rng.choice(
        (
            shape[::-1],
            [*shape, 1],
            [-n for n in shape],
            [2**62, 4],
            [2**32, 2**32],
            [0, *shape],
            [1] * 100_000,
            [GIGA],
            [*shape, 2**63, 0],
        )
    )
    return joined(header, body)


def odd_dtype(data, rng):
    header, body = parts(data)
    known = ("F64", "F32", "F16", "BF16", "I64", "I32", "I8", "U8")
    odd = ("BOOL", "f32", "O", "", "F8_E4M3", "F4", "C64", "object")
    one = some_tensor(header, rng)
    one["dtype"] = rng.choice(known + odd)
    if rng.random() < 0.5:  # with a shape that fits
        start, end = one.get("data_offsets", (0, 0))
        one["shape"] = [end - start]
    return joined(header, body)


def other_names(data, rng):
    header, body = parts(data)
    named = tensors(header)
    old = rng.choice(named) if named else "__metadata__"
    new = rng.choice((*NAMES, *named, f"{old}x", old.upper()))
    text = {new if n == old else n: v for n, v in header.items()}
    return joined(text, body)


def name_twice(data, rng):
    """JSON's reader would take the last one."""
    header, body = parts(data)
    name = rng.choice([*header])
    value = copy.deepcopy(header[name])
    more = b"{%s:%s," % (words(name), words(value))
    return joined(more + words(header)[1:], body)


def word_twice(data, rng):
    """The same inside one entry."""
    header, body = parts(data)
    value = header[rng.choice([*header])]
    old = words(value)
    key = rng.choice([*value]) if value else "a"
    new = b"{%s:%s," % (words(key), words(rng.choice(("0", [0], 8))))
    return joined(words(header).replace(old, new + old[1:], 1), body)


def left_out(data, rng):
    header, body = parts(data)
    place, key = rng.choice([*places_of(header)])
    del place[key]
    return joined(header, body)


def more_keys(data, rng):
    header, body = parts(data)
    places = [p for p, _ in places_of(header) if isinstance(p, dict)]
    rng.choice(places)[rng.choice((*NAMES, "more"))] = rng.choice(ODD)
    return joined(header, body)


def other_words(data, rng):
    """Of the metadata; the tensors stay. The sum is made anew."""
    header, body = parts(data)
    meta = header.get("__metadata__", {})
    texts = (
        "",
        "Layer",
        "os.system",
        "Linear",
        "PACT",
        "[]",
        "{}",
        "1",
    )
    texts += ('{"in_features": 1e400}', '{"in_features": true}', "null")
    texts += ("[" * 100_000, '{"a":' * 100_000, "NaN", "9" * 5000)
    texts += ('{"in_features": 10000000000}', "../../x", "\ud800")
    for key in rng.sample([*meta], min(len(meta), rng.choice((1, 2)))):
        old = meta[key]
        meta[key] = rng.choice(
            (*texts, old[:-1], old + " ", old.replace("7", "8", 1))
        )
    if rng.random() < 0.3:
        header["__metadata__"] = rng.choice((None, [], "a", 1, {}))
    return joined(header, body)


def other_digit(data, rng):
    """One digit of what the header says."""
    size = 8 + int.from_bytes(data[:8], "little")
    at = rng.choice(
        [i for i in range(8, size) if data[i] in b"0123456789"]
    )
    return data[:at] + b"%d" % rng.randrange(10) + data[at + 1 :]


def wrong_sum(data, rng):
    header, body = parts(data)
    digest = rng.choice(
        (
            "0" * 64,
            "",
            "g" * 64,
            hashlib.sha256(body + b"\0").hexdigest(),
            hashlib.sha256(body).hexdigest().upper(),
            hashlib.md5(body).hexdigest(),
        )
    )
    header.get("__metadata__", {})["sha256"] = digest
    return joined(header, body)


def other_numbers(data, rng):
    """A number changed; half of them with a sum that fits."""
    header, body = parts(data)
    new = bytearray(body or b"\0")
    at = rng.randrange(len(new))
    new[at] ^= 1 << rng.randrange(8)
    return joined(header, bytes(new))


def header_size(data, rng):
    size = int.from_bytes(data[:8], "little")
    new = rng.choice(
        (
            size + 8,
            size - 8,
            size + 1,
            0,
            1,
            len(data),
            len(data) - 8,
            2**31,
            2**32,
            2**63,
            2**64 - 1,
            GIGA,
            2 * size,
        )
    )
    return (new % 2**64).to_bytes(8, "little") + data[8:]


def deep(data, rng):
    """JSON, 10^5 deep."""
    header, body = parts(data)
    start, end = rng.choice((("[", "]"), ('{"a":', "}")))
    deep = start * 100_000 + "1" + end * 100_000
    name = rng.choice([*header])
    if rng.random() < 0.3:  # and it never ends
        return joined(deep.encode()[:100_000], body)
    first = b"{%s: %s, " % (words(f"{name}x"), deep.encode())
    return joined(first + words(header)[1:], body)


def odd_text(data, rng):
    """Of the header: constants that are no JSON, encodings, spaces."""
    header, body = parts(data)
    text = words(header)
    new = rng.choice(
        (
            text.replace(b"0", b"NaN", 1),
            text.replace(b"0", b"-Infinity", 1),
            text.replace(b"0", b"0.0", 1),
            text.replace(b"0", b"1e1000", 1),
            text.replace(b"[0", b"[" + b"9" * 5000, 1),
            text.replace(b"[0", b"[true", 1),
            text.decode().encode("utf-16"),
            b"\xef\xbb\xbf" + text,
            text.replace(b'"', b'"\\ud800', 1),
            text + text,
            text[:-1],
            b"",
            b"{}",
            b"[]",
            b"null",
            text.replace(b'"', b"'"),
            text + b"\0" * 64,
            text + b" " * 5_000_000,
            b"{" + b'"a":{},' * 100_000 + text[1:],
        )
    )
    return joined(new, body, rng.random() < 0.8)


def trailing(data, rng):
    return data + rng.choice((b"\0", b"\0" * 8, data, b" "))


TENSORS = (odd_value, odd_value, odd_offsets, odd_shape, odd_dtype)
TENSORS += (other_names, name_twice, word_twice, left_out, more_keys)
TENSORS += (other_words, other_digit, wrong_sum, other_numbers)
TENSORS += (header_size, deep, odd_text, trailing)


# --- the zip file of torch.save


def unzipped(data):
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {n: file.read(n) for n in file.namelist()}


def zipped(inside, packed=False):
    """inside: {name: bytes}, or (name, bytes) where names come twice"""
    to = io.BytesIO()
    how = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    rows = inside.items() if isinstance(inside, dict) else inside
    with (
        warnings.catch_warnings(),
        zipfile.ZipFile(to, "w", how) as file,
    ):
        warnings.simplefilter("ignore")  # names may come twice
        for name, content in rows:
            # not writestr's own check of names that come twice
            info = zipfile.ZipInfo(name)
            info.compress_type = how
            with file.open(info, "w") as entry:
                entry.write(content)
    return to.getvalue()


def with_pickle(data, new):
    inside = unzipped(data)
    return zipped(
        {n: new if n.endswith(".pkl") else c for n, c in inside.items()}
    )


def called(module, name, *arguments):
    """A pickle that calls a function with arguments, by GLOBAL."""
    head = f"c{module}\n{name}\n".encode()
    return b"\x80\x02" + head + pickle.dumps(arguments, 2)[2:-1] + b"R."


def calls(data, rng):
    """Opcodes that would run code, or take memory."""
    touch = "touch touched"
    how = rng.choice(
        (
            called("os", "system", touch),
            called("posix", "system", touch),
            called("builtins", "eval", "open('touched', 'w')"),
            called("builtins", "exec", "open('touched', 'w')"),
            called("subprocess", "Popen", touch, -1, None, None),
            called("subprocess", "call", ["touch", "touched"]),
            called("torch", "load", "touched"),
            called("torch.serialization", "load", "touched"),
            called("torch.hub", "load", "touched", "x"),
            called("shutil", "rmtree", "."),
            called("builtins", "bytearray", GIGA),
            called("builtins", "bytearray", 2**62),
            called("torch", "Tensor", 2**31),
            called("torch", "FloatTensor", 2**31),
            called("torch", "FloatStorage", 2**31),
            called("torch.storage", "UntypedStorage", 2**31),
            called("_codecs", "encode", "a" * 99, "rot13"),
            called("torch", "Size", [2**40]),
            b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x0d"
            + touch.encode()
            + b"\x85R.",
            b"(ios\nsystem\nS'" + touch.encode() + b"'\no.",
            b"(S'" + touch.encode() + b"'\nios\nsystem\n.",
            b"(cos\nsystem\nS'" + touch.encode() + b"'\no.",
            b"\x80\x02ctorch\nTensor\nJ\0\0\0\x7f\x85\x81.",
            b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
            b"\x80\x02}" + b"(" * 100_000 + b".",
            b"\x80\x02X\xff\xff\xff\xffweight.",
            b"\x80\x02\x8b\xff\xff\xff\x7f1.",
            b"\x80\x02}(K\x01K\x02u.",
            b"\x80\x02}(X\x06\0\0\0weightK\x02u.",
            b"\x80\x02}(X\x06\0\0\0weightNu.",
            b"\x80\x02N.",
            b"\x80\x02].",
            b"\x80\x63}.",
            b"\x82\x01.",
            b".",
        )
    )
    return with_pickle(data, how)


def odd_pickle(data, rng):
    """The pickle of the file with another number, word or opcode."""
    inside = unzipped(data)
    (name,) = (n for n in inside if n.endswith(".pkl"))
    old = inside[name]
    new = bytearray(old)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(new))
        how = rng.choice(("byte", "int", "opcode", "gone"))
        if how == "byte":
            new[at] = rng.randrange(256)
        elif how == "int" and b"K" in new:
            at = rng.choice([i for i, b in enumerate(new) if b == 75])
            value = rng.choice((-1, 2**31 - 1, -(2**31), 10**6))
            new[at : at + 2] = b"J" + struct.pack("<i", value)
        elif how == "opcode":
            new[at] = rng.choice(
                b"(.012FIJKLMNPQRSTUVXabcdeghijloprstu}"
            )
        else:
            del new[at]
    return zipped(
        {n: c if n != name else bytes(new) for n, c in inside.items()}
    )


def odd_storage(data, rng):
    """Records that are longer, shorter, gone, another, packed."""
    inside = unzipped(data)
    records = [n for n in inside if "/data/" in n]
    name = rng.choice(records) if records else "archive/version"
    old = inside[name]
    new = rng.choice(
        (b"", old[:-1], old + b"\0", old * 2, bytes(2**20), None)
    )
    if new is None:
        del inside[name]
    else:
        inside[name] = new
    return zipped(inside, rng.random() < 0.5)


def zip_bomb(data, rng):
    """20 MB of zeros in 20 kB."""
    return bomb(data, rng.choice([*unzipped(data)]))


@functools.cache
def bomb(data, name):
    inside = unzipped(data)
    inside[name] = inside[name] + bytes(20 * 2**20)
    return zipped(inside, True)


def zip_names(data, rng):
    rows = [*unzipped(data).items()]
    at = rng.randrange(len(rows))
    name, content = rows[at]
    how = rng.choice(("moved", "twice", "odd", "top"))
    if how == "moved":
        rows[at] = (f"../{name}", content)
    elif how == "twice":
        rows.append((name, content[::-1]))
    elif how == "odd":
        new = rng.choice([n for n in NAMES if n != "\ud800"])
        rows[at] = (new, content)
    else:
        rows = [(n.rpartition("/")[2], c) for n, c in rows]
    return zipped(rows)


def zip_fields(data, rng):
    """Sizes and offsets of the directory at the end."""
    new = bytearray(data)
    at = data.rfind(b"PK\x01\x02") if rng.random() < 0.5 else -1
    at = data.rfind(b"PK\x05\x06") if at < 0 else at
    at += rng.choice((8, 10, 12, 16, 20, 24, 28, 42))
    value = rng.choice((0, 1, 2**31, 2**32 - 1, len(data), 2**16 - 1))
    new[at : at + 4] = struct.pack("<I", value)
    return bytes(new[: len(data)])


ZIP = (calls, calls, odd_pickle, odd_pickle, odd_storage, zip_bomb)
ZIP += (zip_names, zip_fields)


# --- msgpack, as flax writes it


def restored(data):
    """What is in the file, with arrays as (code, bytes)."""
    import msgpack

    return msgpack.unpackb(data, strict_map_key=False)


def packed(content):
    import msgpack

    return msgpack.packb(content)


def ext(shape, dtype, content, code=1):
    import msgpack

    inside = msgpack.packb((shape, dtype, content))
    return msgpack.ExtType(code, inside)


def odd_array(data, rng):
    """An entry with another shape, dtype, length or kind."""
    content = restored(data)
    name = rng.choice([*content])
    code, inside = content[name]
    shape, dtype, numbers = restored(inside)
    how = rng.randrange(4)
    if how == 0:
        shape = rng.choice(
            (
                shape[::-1],
                [-1],
                [-1, -1],
                [0],
                [2**40],
                [2.0],
                [True],
                [2**63],
                [*shape, 1],
                "ab",
                None,
                [[1]],
                [1] * 99,
                [-7, 3],
            )
        )
    elif how == 1:
        dtype = rng.choice(
            (
                "O",
                "object",
                "V8",
                "V1000000000",
                "U1",
                "datetime64",
                "S9",
                "float64",
                ">f4",
                "int32",
                "f4,f4",
                "bfloat16",
                "",
                "(9,)f4",
                3,
                None,
                b"\xff",
                "float8_e4m3fn",
                "complex64",
                "str",
            )
        )
    elif how == 2:
        numbers = rng.choice(
            (b"", numbers[:-1], numbers * 2, 7, "a", [])
        )
    else:
        code = rng.choice((0, 2, 3, 4, 127))
    content[name] = ext(shape, dtype, numbers, code)
    return packed(content)


def odd_entry(data, rng):
    """An entry that is no array, or has an odd name."""
    content = restored(data)
    name = rng.choice([*content])
    value = content.pop(name)
    how = rng.randrange(3)
    if how == 0:
        content[rng.choice((*NAMES[:8], 1, True, None, 2.5, b"a"))] = (
            value
        )
    elif how == 1:
        content[name] = rng.choice(
            (
                None,
                1,
                -1,
                2**63,
                2.5,
                True,
                "a",
                b"a",
                [],
                {},
                [1, 2, 3],
                [[1.0] * 7] * 3,
                {"a": 1},
            )
        )
    else:
        content[name] = rng.choice(chunked(value))
    return packed(content)


def chunked(value):
    """Arrays in parts, which flax puts together."""
    mark = "__msgpack_chunked_array__"
    return (
        {mark: True},
        {mark: True, "shape": {}, "chunks": {}},
        {mark: True, "shape": {"0": 2**40}, "chunks": {"0": value}},
        {mark: True, "shape": {"0": -1}, "chunks": {"0": value}},
        {mark: True, "shape": 3, "chunks": [value]},
        {mark: False, "shape": {"0": -1}, "chunks": {"0": value}},
        {
            mark: True,
            "shape": {"0": -1},
            "chunks": {str(i): value for i in range(1000)},
        },
    )


def odd_bytes(data, rng):
    """Heads that claim much, nest deeply, or are other things."""
    at = rng.choice((0, 1, 2, rng.randrange(len(data))))
    new = rng.choice(
        (
            b"\xdd\xff\xff\xff\xff",
            b"\xdf\xff\xff\xff\xff",
            b"\xc6\xff\xff\xff\xff",
            b"\xdb\xff\xff\xff\xff",
            b"\xc9\xff\xff\xff\xff\x01",
            b"\xdd\x7f\xff\xff\xff",
            b"\x91" * 100_000,
            b"\x81\xa1a" * 100_000,
            b"\xc9\0\0\0\x08\x01" * 1000,
            b"\xd6\xff\xff\xff\xff\xff",
            b"\xc1",
            b"\xc7\x0c\xff" + b"\xff" * 12,
            b"\xdd\0\x10\0\0" + b"\xc0" * 2**20,
        )
    )
    return data[:at] + new + data[at + rng.choice((0, 1, len(new))) :]


def left_out_entry(data, rng):
    content = restored(data)
    content.pop(rng.choice([*content]))
    content |= {"more": 1} if rng.random() < 0.5 else {}
    whole = rng.choice((content, [content], 3, "a", None, [*content]))
    return packed(whole)


MSGPACK = (odd_array, odd_array, odd_entry, odd_bytes, left_out_entry)


# --- HDF5, as Keras writes it


def with_h5(change):
    """A function of (data, rng) from one of (file, datasets, rng)."""

    def changed(data, rng):
        import h5py

        to = io.BytesIO(data)
        with h5py.File(to, "r+") as file:
            names = []
            file.visit(names.append)
            sets = [
                n for n in names if isinstance(file[n], h5py.Dataset)
            ]
            change(file, sets, rng)
        return to.getvalue()

    changed.__name__ = change.__name__
    return changed


def again(file, name, *arguments, **options):
    """A dataset in place of one that was there, its attributes too."""
    kept = dict(file[name].attrs)
    del file[name]
    made = file.create_dataset(name, *arguments, **options)
    for key, value in kept.items():
        made.attrs[key] = value


@with_h5
def h5_links(file, sets, rng):
    """To another file, to nothing, to the group above."""
    import h5py

    name = rng.choice(sets)
    del file[name]
    file[name] = rng.choice(
        (
            h5py.ExternalLink("canary.h5", "numbers"),
            h5py.ExternalLink("/etc/passwd", "/"),
            h5py.SoftLink("/nowhere"),
            h5py.SoftLink("/"),
            file["/"],
        )
    )


@with_h5
def h5_elsewhere(file, sets, rng):
    """Numbers that lie in another file: it would be read."""
    import h5py

    name = rng.choice(sets)
    shape, dtype = file[name].shape, file[name].dtype
    if rng.random() < 0.5:
        size = file[name].nbytes
        place = rng.choice(("canary.txt", "/etc/passwd", "/dev/zero"))
        again(file, name, shape, dtype, external=[(place, 0, size)])
    else:
        layout = h5py.VirtualLayout(shape, dtype)
        layout[...] = h5py.VirtualSource("canary.h5", "numbers", shape)
        kept = dict(file[name].attrs)
        del file[name]
        made = file.create_virtual_dataset(name, layout)
        for key, value in kept.items():
            made.attrs[key] = value


@with_h5
def h5_claims(file, sets, rng):
    """Shapes that have no numbers, and packed ones that have many."""
    name = rng.choice(sets)
    shape, dtype = file[name].shape, file[name].dtype
    how = rng.randrange(4)
    if how == 0:
        again(file, name, (2, 2**31), dtype)
    elif how == 1:
        again(file, name, shape, dtype)
    elif how == 2:
        numbers = np_zeros((2**22,), dtype)
        again(file, name, data=numbers, compression="gzip")
    else:
        again(file, name, (2**40,), dtype, chunks=(2**10,))


def np_zeros(shape, dtype):
    import numpy

    return numpy.zeros(shape, dtype)


@with_h5
def h5_kinds(file, sets, rng):
    """Other dtypes: text, compounds, references, objects."""
    import h5py

    name = rng.choice(sets)
    shape = file[name].shape
    dtype = rng.choice(
        (
            h5py.string_dtype(),
            h5py.vlen_dtype("float32"),
            h5py.ref_dtype,
            h5py.enum_dtype({"a": 1}),
            h5py.opaque_dtype("V8"),
            "S9",
            "float64",
            ">f4",
            "int32",
            "uint16",
            "bool",
            [("a", "f4"), ("b", "f4")],
        )
    )
    again(file, name, shape, dtype)
    if rng.random() < 0.3:
        import numpy

        again(file, name, data=numpy.ones(shape, "float64"))


@with_h5
def h5_attributes(file, sets, rng):
    """Keras reads the attribute dtype before the dataset's own."""
    name = rng.choice((*sets, "/"))
    value = rng.choice(
        (
            "float32",
            "bfloat16",
            "float64",
            "O",
            "",
            "é" * 9000,
            1,
            b"\xff",
            [1, 2],
            "object",
            "int32",
        )
    )
    file[name].attrs["dtype"] = value
    if rng.random() < 0.5:
        file[name].attrs[rng.choice(("a", "vars", "\u00e9"))] = (
            "x" * 60_000
        )


@with_h5
def h5_names(file, sets, rng):
    name = rng.choice(sets)
    folder = name.rpartition("/")[0]
    new = rng.choice(("0x", "1", "é", "..", ".", "-1", "x" * 3000))
    how = rng.choice(("moved", "more", "gone", "groups"))
    if how == "groups":
        file.create_group("/".join("abcdefgh" * 100))
    elif how == "gone":
        del file[name]
    elif new not in (".", "..") and f"{folder}/{new}" not in file:
        file[f"{folder}/{new}"] = file[name]
        if how == "moved":
            del file[name]


HDF5 = (h5_links, h5_elsewhere, h5_claims, h5_kinds, h5_attributes)
HDF5 += (h5_names,)


# --- what save_parameters of MXNet writes


def fields(data):
    """(place, size) of its numbers, apart from those of the arrays."""
    found, at = [(0, 8), (8, 8), (16, 8)], 24
    (count,) = struct.unpack_from("<Q", data, 16)
    widths = (4, 8, 2, 1, 4, 1, 8, 1)
    for _ in range(count):
        (rank,) = struct.unpack_from("<I", data, at + 8)
        found += [(at, 4), (at + 4, 4), (at + 8, 4)]
        at += 12
        shape = struct.unpack_from(f"<{rank}q", data, at)
        found += [(at + 8 * i, 8) for i in range(rank)]
        at += 8 * rank
        found += [(at, 4), (at + 4, 4), (at + 8, 4)]
        size = widths[struct.unpack_from("<I", data, at + 8)[0]]
        for n in shape:
            size *= n
        at += 12 + size
    found.append((at, 8))
    (count,) = struct.unpack_from("<Q", data, at)
    at += 8
    for _ in range(count):
        found.append((at, 8))
        at += 8 + struct.unpack_from("<Q", data, at)[0]
    return found


def odd_field(data, rng):
    new = bytearray(data)
    for _ in range(rng.choice((1, 1, 2))):
        at, size = rng.choice(fields(data))
        (old,) = struct.unpack_from(
            "<Q" if size == 8 else "<I", data, at
        )
        odd = (0, 1, 2, 3, 7, 8, 9, 2**31, 2**32 - 1, 2**33, 2**62)
        odd += (2**63, 2**64 - 1, old + 1, old - 1, old * 2, GIGA)
        value = rng.choice(odd) % 2 ** (8 * size)
        new[at : at + size] = value.to_bytes(size, "little")
    return bytes(new)


def odd_name(data, rng):
    """Of an entry: of the same length, so that the rest stays."""
    at, _ = fields(data)[-1]
    size = len(data) - at - 8
    new = rng.choice((b"\xff", b"\0", b"/", b".", b"a", b"\n")) * size
    return data[: at + 8] + new


def arrays_swapped(data, rng):
    """The count says one array or one name more, or less."""
    new = bytearray(data)
    at = rng.choice([p for p, size in fields(data) if size == 8])
    new[at] = (new[at] + rng.choice((1, -1))) % 256
    return bytes(new)


PARAMS = (odd_field, odd_field, odd_field, odd_name, arrays_swapped)

KNOWING = dict(
    tensors=TENSORS, zip=ZIP, msgpack=MSGPACK, hdf5=HDF5, params=PARAMS
)

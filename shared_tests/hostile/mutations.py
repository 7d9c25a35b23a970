"""Mutations: a good file, spoiled in a way that a seed decides.

spoil(data, kind, rng)  (what was done, the bytes of the spoiled file)

Half of all draws know nothing of the format: bits, runs of bytes, blocks
cut, put twice, swapped; numbers of 4 and 8 bytes become those at which a
reader stumbles. The other half knows it: formats.py. rng is a
random.Random, so that a seed gives the same file everywhere.
Standard library only, apart from what formats.py needs for one format.
"""

import random
import struct

from shared_tests.hostile import formats

# where parts of a file begin: zip, HDF5, an array of MXNet, an array of
# msgpack, and the first number of a safetensors file
MARKS = (b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06")
MARKS += (b"\x89HDF", b"TREE", b"HEAP", b"SNOD", b"OHDR", b"GCOL")
MARKS += (b"\xca\xfa\x93\xf9", b"\xc7", b"\xc8", b'":', b"[", b"{")
NUMBERS = (0, 1, -1, 2, 127, 128, 2**31 - 1, 2**31, 2**32 - 1, 2**32)
NUMBERS += (2**40, 2**62, 2**63 - 1, -(2**63), 10**10)


def places(data, rng):
    """Where parts begin, and a few places in between."""
    found = [0, 4, 8, 16, len(data)]
    for mark in MARKS:
        at = data.find(mark)
        while at >= 0 and len(found) < 500:
            found.append(at)
            at = data.find(mark, at + 1)
    found += [rng.randrange(len(data) + 1) for _ in range(20)]
    return [at for at in found if at <= len(data)]


def block(data, rng):
    """(start, end) of some part of the file."""
    start, end = (rng.choice(places(data, rng)) for _ in range(2))
    return min(start, end), max(start, end)


def flip(data, rng):
    """1 to 8 bits."""
    new = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        new[rng.randrange(len(new))] ^= 1 << rng.randrange(8)
    return bytes(new)


def fill(data, rng):
    """A run of bytes becomes one value, or noise."""
    at = rng.randrange(len(data))
    size = rng.choice((1, 2, 4, 8, 16, 200))
    value = rng.choice((b"\0", b"\xff", b"\x7f", b"\x80", b"9", b""))
    new = value * size if value else rng.randbytes(size)
    return data[:at] + new[: len(data) - at] + data[at + size :]


def number(data, rng):
    """A number of 4 or 8 bytes, little-endian or big-endian."""
    form = rng.choice(("<I", "<Q", ">I", ">Q"))
    size = struct.calcsize(form)
    if rng.random() < 0.5:
        at = rng.choice(places(data, rng)) + rng.choice((0, 4, 8, 12))
    else:
        at = rng.randrange(len(data))
    at = max(0, min(at, len(data) - size))
    value = rng.choice((*NUMBERS, len(data), len(data) + 1))
    new = struct.pack(form, value % 2 ** (8 * size))
    return data[:at] + new + data[at + size :]


def cut(data, rng):
    return data[: rng.choice(places(data, rng))]


def head_gone(data, rng):
    return data[rng.choice(places(data, rng)) :]


def insert(data, rng):
    at = rng.choice(places(data, rng))
    new = rng.randbytes(rng.choice((1, 3, 8, 64, 4096)))
    if rng.random() < 0.3:
        new = bytes(len(new))
    return data[:at] + new + data[at:]


def twice(data, rng):
    start, end = block(data, rng)
    return data[:end] + data[start:end] + data[end:]


def gone(data, rng):
    start, end = block(data, rng)
    return data[:start] + data[end:]


def swapped(data, rng):
    cuts = sorted(rng.choice(places(data, rng)) for _ in range(3))
    a, b, c = cuts
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def other(data, rng):
    """No file of that kind at all."""
    return rng.choice(
        (
            b"",
            b"\0" * len(data),
            b"name: layer\n" * 100,
            rng.randbytes(len(data)),
            data[:8] + rng.randbytes(len(data)),
        )
    )


BLIND = (flip, flip, fill, number, number, cut, head_gone, insert)
BLIND += (twice, gone, swapped, other)


def spoil(data, kind, rng):
    """kind: a key of formats.KNOWING, or "" for blind mutations only"""
    if kind and rng.random() < 0.5:
        done = rng.choice(formats.KNOWING[kind])
        new = done(data, rng)
    else:
        done = rng.choice(BLIND)
        new = done(data, rng)
        if rng.random() < 0.1:
            new = flip(new, rng) if new else new
    return done.__name__, new


def seeded(reader, number):
    """The generator of one file of a reader."""
    return random.Random(f"{reader} {number}")

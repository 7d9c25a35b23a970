"""Arrays between two interpreters: a folder with JSON and .npz files.

A message is a nest (nest.py) of arrays, numbers, texts and None. Nothing
is pickled. NumPy only, Python 3.8 or later.
"""

import json
import os

import numpy as np

from .. import nest


def write(folder, name, message):
    """NAME.npz first, then NAME.json, whole or not at all."""
    arrays = []

    def keep(array):
        arrays.append(np.asarray(array))
        return len(arrays) - 1

    text = json.dumps(nest.to_json(message, keep))
    path = os.path.join(folder, name)
    np.savez(path + ".npz", **{str(i): a for i, a in enumerate(arrays)})
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path + ".json")


def read(folder, name):
    """What write() was given; dicts for other mappings."""
    path = os.path.join(folder, name)
    with open(path + ".json", encoding="utf-8") as file:
        data = json.load(file)
    with np.load(path + ".npz", allow_pickle=False) as arrays:
        return nest.from_json(data, lambda i: arrays[str(i)])

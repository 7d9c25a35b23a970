"""Checkpoint: the parameters of a layer in a file, and back.

save(layer, path)  one file in the framework's own format; it gets its
    name only when it is whole: a crash leaves the last good one
load(layer, path)  bit for bit what was saved, or an error and no
    change: names, shapes and dtypes have to be those of the layer

What is frozen is not saved. No loader here verifies a checksum of the
numbers: a file cut short is refused, a flipped bit is not.

Raises: FileNotFoundError if there is no file
        ValueError if it is no whole checkpoint, or one that does not
        fit; it names the file, what was expected and what it holds
"""

# region imports
import os
import pathlib
import tempfile

import torch

from pytorch_impl.linear import Linear

# endregion


# region function
def save(layer, path):
    path = pathlib.Path(path)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        part = pathlib.Path(folder) / path.name
        torch.save(layer.state_dict(), part)
        with part.open("rb") as file:
            os.fsync(file)
        os.replace(part, path)


def load(layer, path):
    with open(path, "rb") as file:
        try:
            state = torch.load(file, "cpu", weights_only=True)
            got = describe(state)
        except Exception as error:
            text = f"{path} is no whole checkpoint: {error}"
            raise ValueError(text) from error
    check_same(path, describe(layer.state_dict()), got)
    layer.load_state_dict(state)


def describe(arrays):
    """{name: dtype, shape}"""
    first = {a.data_ptr(): n for n, a in reversed(arrays.items())}
    found = {}
    for name, a in arrays.items():
        dtype = str(a.dtype).split(".")[-1]
        found[name] = f"{dtype} {tuple(a.shape)}"
        if first[a.data_ptr()] != name:  # shared: with which name
            found[name] += f" = {first[a.data_ptr()]}"
    return found


def check_same(path, want, got):
    wrong = [
        f"{n} expected {want.get(n, 'none')}, got {got.get(n, 'none')}"
        for n in sorted(want | got)
        if want.get(n) != got.get(n)
    ]
    if wrong:
        raise ValueError(f"{path}: {'; '.join(wrong)}")


# endregion


# region try
if __name__ == "__main__":
    layer, copy = Linear(3, 2), Linear(3, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/linear.pt"
        save(layer, path)
        load(copy, path)
    print(torch.equal(layer.weight, copy.weight))
# endregion

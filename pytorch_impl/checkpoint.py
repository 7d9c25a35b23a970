"""Checkpoint: the parameters of a layer in a file, and back.

save(layer, path)  one file in the framework's own format; it gets its
    name only when it is whole: a crash leaves the last good one
load(layer, path)  bit for bit what was saved, or an error and no
    change: names, shapes and dtypes have to be those of the layer
    what a file claims is checked before memory is taken for it

A symbolic link stays; the file it leads to is replaced. A killed save
leaves .part.<name>, which the next one overwrites. What is frozen is
not saved. A file cut short is refused. A flipped bit is by PyTorch's
loader alone: the other formats have no checksum of the numbers.

Raises: FileNotFoundError if there is no file
        ValueError if it is no whole checkpoint, or one that does not
        fit; it names the file, what was expected and what it holds
"""

# region imports
import tempfile

import torch

from pytorch_impl.linear import Linear
from pytorch_impl.quantization.modes import complete
from pytorch_impl.state_file import read
from pytorch_impl.whole_file import write_whole

# endregion


# region function
def save(layer, path):
    state = layer.state_dict()
    write_whole(path, lambda part: torch.save(state, part))


def load(layer, path):
    with open(path, "rb") as file:
        try:
            state = complete(read(file), layer)
            got = describe(state)
        except Exception as error:
            why = " ".join(str(error).split())  # on one line
            text = f"{path} is no whole checkpoint: {why:.500}"
            raise ValueError(text) from error
    check_same(path, describe(layer.state_dict()), got)
    layer.load_state_dict(state)


def describe(arrays):
    """{name: dtype, shape}"""
    first = {a.data_ptr(): n for n, a in reversed(arrays.items())}
    found = {}
    for name, a in arrays.items():
        if not (isinstance(name, str) and name.isprintable()):
            raise ValueError(f"no name: {name!r:.80}")
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
        raise ValueError(f"{path}: {'; '.join(wrong):.2000}")


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

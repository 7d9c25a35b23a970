"""State file: read what torch.save wrote of a layer, and nothing else.

read(file)  {name: tensor} of such a file, open for bytes

It is a zip file of a pickle and of the numbers of each tensor. A pickle
is a program. torch.load(weights_only=True) calls no function outside a
list, but on that list are bytearray and torch.Tensor, which take as
much memory as the file asks for. So the pickle is read first, without
running it: it may name what CALLS has, and nothing else. torch.load
then gets a zip file made of the parts that were checked.
Checked as well: each part is there once and not packed, all parts
together are no longer than the file, and each has its CRC-32

Raises: ValueError and others for what is no such file
"""

# region imports
import io
import os
import pickle
import pickletools
import zipfile

import torch

TYPES = "Double Float Half BFloat16 Long Int Short Char Byte Bool"
CALLS = {f"torch {word}Storage" for word in TYPES.split()}
CALLS |= {"collections OrderedDict", "torch._utils _rebuild_tensor_v2"}
# endregion


# region function
def read(file):
    inside = parts(file)
    pickled = [n for n in inside if n.endswith("/data.pkl")]
    if len(pickled) != 1:
        raise ValueError(f"expected one pickle, got {len(pickled)}")
    check_calls(inside[pickled[0]])
    checked = io.BytesIO()
    with zipfile.ZipFile(checked, "w") as to:
        for name, data in inside.items():
            to.writestr(name, data)
    checked.seek(0)
    try:
        state = torch.load(checked, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own words advise to run the pickle as it is
        raise ValueError("its pickle builds no state") from error
    if not isinstance(state, dict):
        got = type(state).__name__
        raise ValueError(f"expected a dict of tensors, got {got}")
    for name, value in dict.items(state):
        if not isinstance(value, torch.Tensor):
            got = type(value).__name__
            raise ValueError(f"{name} expected a tensor, got {got}")
    return state


def parts(file):
    """{name: bytes} of the zip file, as small as it says."""
    size, found = file.seek(0, os.SEEK_END), {}
    with zipfile.ZipFile(file) as every:
        claimed = sum(p.file_size for p in every.infolist())
        if claimed > size:
            text = f"{size} bytes claim to be {claimed}"
            raise ValueError(text)
        for part in every.infolist():
            name, packed = part.filename, part.compress_type
            packed = packed or part.compress_size != part.file_size
            if name in found or packed:
                raise ValueError(f"{name} is there twice, or packed")
            found[name] = every.read(part)
    return found


def check_calls(pickled):
    for opcode, words, _ in pickletools.genops(pickled):
        name = opcode.name
        names = name in ("GLOBAL", "INST", "STACK_GLOBAL")
        if (names and words not in CALLS) or name.startswith("EXT"):
            got = words or name
            raise ValueError(f"its pickle calls {got}, not run here")


# endregion


# region try
if __name__ == "__main__":
    from pytorch_impl.linear import Linear

    file = io.BytesIO()
    torch.save(Linear(3, 2).state_dict(), file)
    print(read(file))
    file = io.BytesIO()
    torch.save({"weight": bytearray(3)}, file)
    try:
        read(file)
    except ValueError as error:
        print(error)
# endregion

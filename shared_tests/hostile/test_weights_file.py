"""What a Keras file may not have: each is refused, by its own sentence."""

import io

import h5py
import numpy as np
import pytest

from shared_tests.hostile.formats import again
from shared_tests.hostile.readers import made, state_of
from tf_impl import checkpoint
from tf_impl.weights_file import to_bytes

ENVIRONMENTS = ("tf",)

MLP = dict(input_size=3, hidden_size=5, output_size=2)
NAME = "layer.weights.h5"
PLACE = "layer2/vars/0"  # shape (2, 5)


def external_link(file):
    del file[PLACE]
    file[PLACE] = h5py.ExternalLink("other.h5", "a")


def soft_link(file):
    del file[PLACE]
    file[PLACE] = h5py.SoftLink("/layer1/vars/0")


def group_in_itself(file):
    file["layer2/more"] = file["layer2"]


def twice(file):
    file["layer2/vars/2"] = file[PLACE]


def external_dataset(file):
    again(file, PLACE, (2, 5), "f4", external=[("/etc/passwd", 0, 40)])


def virtual_dataset(file):
    layout = h5py.VirtualLayout((2, 5), "f4")
    layout[...] = h5py.VirtualSource("other.h5", "a", (2, 5))
    del file[PLACE]
    file.create_virtual_dataset(PLACE, layout)


def no_numbers(file):
    again(file, PLACE, (2, 5), "f4")


def packed(file):
    zeros = np.zeros((2, 5), "f4")
    again(file, PLACE, data=zeros, compression="gzip")


def text(file):
    again(file, PLACE, data=[[b"a"] * 5] * 2)


def a_type(file):
    file["layer2/vars/2"] = np.dtype("f4")


def deep(file):
    file.create_group("/".join("a" * 99))


def large(file):
    again(file, PLACE, data=np.zeros((2, 5), "f8"))


def marked(file):
    """Keras would round these numbers to bfloat16."""
    file[PLACE].attrs["dtype"] = "bfloat16"


@pytest.mark.parametrize(
    "change, words",
    [
        (external_link, "layer2/vars/0 is a link"),
        (soft_link, "layer2/vars/0 is a link"),
        (group_in_itself, "layer2/more is there twice"),
        (twice, "layer2/vars/2 is there twice"),
        (external_dataset, "lies in another file"),
        (virtual_dataset, "lies in another file"),
        (no_numbers, "has fewer numbers than its shape"),
        (packed, "has fewer numbers than its shape"),
        (text, "no numbers of a known type"),
        (a_type, "no numbers of a known type"),
        (deep, "too deep"),
        (large, "expected float32 .2, 5., got float64"),
        (marked, "layer2/vars/0 is marked as 'bfloat16'"),
    ],
)
def test_refused(tmp_path, change, words):
    saved, loaded = (made("tf", "MLP", MLP, n) for n in (0, 1))
    to = io.BytesIO(to_bytes(saved))
    with h5py.File(to, "r+") as file:
        change(file)
    path = tmp_path / NAME
    path.write_bytes(to.getvalue())
    before = state_of("tf", loaded)
    with pytest.raises(ValueError, match=words):
        checkpoint.load(loaded, path)
    assert state_of("tf", loaded) == before

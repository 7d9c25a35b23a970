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

import jax.numpy as jnp
from flax import nnx
from flax.serialization import msgpack_restore, msgpack_serialize

from jax_impl.linear import Linear
from jax_impl.quantization.modes import complete, mode_at, saved_modes
from jax_impl.whole_file import write_whole

# endregion


# region function
def save(layer, path):
    flat = nnx.to_flat_state(nnx.state(layer))
    state = {".".join(map(str, at)): v[...] for at, v in flat}
    state |= saved_modes(layer)
    data = msgpack_serialize(state)
    write_whole(path, lambda part: part.write_bytes(data))


def load(layer, path):
    with open(path, "rb") as file:
        try:
            state = msgpack_restore(file.read())
            state = complete(state, layer)
            got = describe(state)
        except Exception as error:
            why = " ".join(str(error).split())  # on one line
            text = f"{path} is no whole checkpoint: {why:.500}"
            raise ValueError(text) from error
    flat = nnx.to_flat_state(nnx.state(layer))
    own = {".".join(map(str, at)): v for at, v in flat}
    check_same(path, describe(own | saved_modes(layer)), got)
    for name in saved_modes(layer):
        own[name].set_metadata(word=mode_at(state[name]))
        state[name] = jnp.zeros(0)
    for name, variable in own.items():
        variable.set_value(jnp.asarray(state[name]))


def describe(arrays):
    """{name: dtype, shape}"""
    found = {}
    for name, a in arrays.items():
        if not (isinstance(name, str) and name.isprintable()):
            raise ValueError(f"no name: {name!r:.80}")
        dtype = str(a.dtype).split(".")[-1]
        found[name] = f"{dtype} {tuple(a.shape)}"
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
    layer, copy = (Linear(3, 2, rngs=nnx.Rngs(n)) for n in (0, 1))
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/linear.msgpack"
        save(layer, path)
        load(copy, path)
    print(jnp.array_equal(layer.weight, copy.weight))
# endregion


# region what differs here
# flax 0.12.8: msgpack is one file; Orbax, for large or sharded arrays,
# writes a folder and replaces it itself
# endregion

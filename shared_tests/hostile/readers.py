"""Readers: good files of each, and what becomes of a spoiled one.

Trial(framework, reader, folder)   makes the good files, in that folder
    .examine(number)   spoils one, loads it, and says what happened
reader is own, the framework's own format (checkpoint.py), or portable,
the format of all four (portable/checkpoint.py).

A spoiled file is `refused` by a ValueError of one sentence that names
it, with a layer that is the same to the bit; or loads `as it was`,
where what was changed does not count; or, in a format that has no sum,
with `other numbers`, which checkpoint.py says of itself. All else is a
finding; in the portable format, which has a sum, other numbers are too.
"""

import contextlib
import functools
import importlib
import inspect
import os
import pathlib
from typing import NamedTuple

from shared_tests.hostile.mutations import seeded, spoil
from shared_tests.hostile.watch import watched

FORMATS = dict(pytorch="zip", jax="msgpack", tf="hdf5", mxnet="params")
NAME = "spoiled.weights.h5"  # Keras insists on this ending
LAYERS = (
    ("Linear", dict(in_features=7, out_features=3)),
    ("TiedMLP", dict(features=7)),
    (
        "QATLinear",
        dict(
            in_features=7,
            out_features=3,
            weight_quantizer="lsq",
            input_quantizer="pact",
        ),
    ),
    ("MLP", dict(input_size=7, hidden_size=5, output_size=3)),
)
# a sentence with one of these was not checked before memory was taken
MEMORY = ("t allocate", "unable to allocate", "allocation failed")
MEMORY += ("out of memory", "memoryerror", "bad_alloc")
MOST = 3000  # characters of a sentence


class Good(NamedTuple):
    """A layer with numbers, its file, and another of the same kind."""

    data: bytes
    state: object
    target: object
    before: object


class Outcome(NamedTuple):
    number: int
    how: str  # the mutation
    what: str  # refused, as it was, other numbers, or finding
    words: str
    peak: int


def made(framework, name, config, seed):
    package = importlib.import_module(f"{framework}_impl")
    parameters = importlib.import_module(f"{framework}_impl.parameters")
    make = functools.partial(getattr(package, name), **config)
    takes = inspect.signature(make.func.__init__).parameters
    if framework == "jax" and "rngs" not in takes:
        return parameters.seeded(lambda rngs: make(), seed)
    return parameters.seeded(make, seed)


def state_of(framework, layer):
    """All that a checkpoint keeps, to the bit."""
    if framework == "tf":
        from tf_impl.weights_file import read, to_bytes

        arrays = read(to_bytes(layer))
    elif framework == "pytorch":
        import torch

        arrays = {
            n: a.detach().flatten().view(torch.uint8).numpy()
            for n, a in layer.state_dict().items()
        }
    elif framework == "jax":
        import numpy
        from flax import nnx

        from jax_impl.quantization.modes import saved_modes

        flat = nnx.to_flat_state(nnx.state(layer))
        arrays = {str(n): numpy.asarray(v[...]) for n, v in flat}
        arrays |= saved_modes(layer)
    else:
        arrays = {
            n: p.data().asnumpy()
            for n, p in layer._collect_params_with_prefix().items()
        }
    return {
        n: (str(a.dtype), a.shape, a.tobytes())
        for n, a in arrays.items()
    }


class Trial:
    def __init__(self, framework, reader, folder):
        self.framework, self.reader = framework, reader
        self.folder = pathlib.Path(folder).resolve() / "inside"
        self.folder.mkdir(parents=True)
        (self.folder / "canary.txt").write_text("untouched\n" * 100)
        self.path = self.folder / NAME
        self.path.touch()
        self.portable = reader == "portable"
        self.page = page_of(framework, reader)
        self.format = "tensors" if self.portable else FORMATS[framework]
        self.goods = [self.good(*each) for each in LAYERS]
        for good in self.goods:  # imports, and what is made only once
            self.path.write_bytes(good.data)
            self.load(good)
            self.restore(good)

    def state(self, found):
        """What was loaded: a layer, or the file that it would be."""
        if not self.portable:
            return state_of(self.framework, found)
        again = self.folder / "again"
        self.page.save_portable(*found[:1], again, *found[1:])
        data = again.read_bytes()
        again.unlink()
        return data

    def good(self, name, config):
        layers = [made(self.framework, name, config, n) for n in (0, 1)]
        if self.portable:
            self.page.save_portable(layers[0], self.path)
            data = self.path.read_bytes()
            return Good(data, data, None, None)
        self.page.save(layers[0], self.path)
        data = self.path.read_bytes()
        self.page.save(layers[1], self.path)
        before = self.path.read_bytes()
        states = [self.state(layer) for layer in layers]
        assert states[0] != states[1]
        return Good(data, states[0], layers[1], (before, states[1]))

    def load(self, good):
        if self.portable:
            return self.page.load_portable(self.path)
        self.page.load(good.target, self.path)
        return good.target

    def loaded(self, found, good):
        same = self.state(found) == good.state
        return "as it was" if same else "other numbers"

    def restore(self, good):
        if self.portable:
            return
        self.path.write_bytes(good.before[0])
        self.page.load(good.target, self.path)
        assert self.state(good.target) == good.before[1]

    def examine(self, number):
        rng = seeded(f"{self.framework} {self.reader}", number)
        good = self.goods[number % len(self.goods)]
        how, data = spoil(good.data, self.format, rng)
        self.path.write_bytes(data)
        what, words, loaded = "finding", "", None
        with inside(self.folder), watched(self.folder) as seen:
            try:
                loaded = self.load(good)
            except ValueError as error:
                what, words = "refused", str(error)
                wrong = self.wrong(error)
            except Exception as error:
                wrong = f"{type(error).__name__}: {error}"
            else:
                what = wrong = ""
        if loaded is not None:
            what = self.loaded(loaded, good)
            wrong = self.portable and what == "other numbers" and what
            self.restore(good)
        elif (
            not self.portable
            and self.state(good.target) != good.before[1]
        ):
            wrong = f"refused, but the layer has changed: {words}"
            self.restore(good)
        wrong = wrong or "; ".join(seen.did)
        if seen.peak > 200 * 2**20:
            wrong = wrong or f"it took {seen.peak} bytes"
        if wrong:
            what, words = "finding", wrong
        return Outcome(number, how, what, words[:MOST], seen.peak)

    def wrong(self, error):
        """What a ValueError should not say; "" if it is well."""
        words, causes = str(error), []
        while error:
            causes.append(f"{type(error).__name__} {error}".lower())
            error = error.__cause__ or error.__context__
        if str(self.path) not in words:
            return f"does not name the file: {words}"
        if any(word in each for each in causes for word in MEMORY):
            return f"memory was asked for: {words}"
        if len(words) > MOST or "\n" in words:
            return f"no one sentence: {words}"
        return ""


def saver(framework, reader, folder):
    """(save(0 or 1), path): two layers whose file is one."""
    path = pathlib.Path(folder).resolve() / NAME
    page = page_of(framework, reader)
    save = page.save if reader == "own" else page.save_portable
    config = dict(in_features=500, out_features=300)
    layers = [made(framework, "Linear", config, n) for n in (0, 1)]
    return lambda which: save(layers[which], path), path


def page_of(framework, reader):
    page = "checkpoint" if reader == "own" else "portable.checkpoint"
    return importlib.import_module(f"{framework}_impl.{page}")


@contextlib.contextmanager
def inside(folder):
    """Relative names in a file lead to where they are seen."""
    old = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(old)

"""The square: what each framework has saved, loaded by each framework.

python -m shared_tests.live.square jax DIR float32 ...   one part of it

It saves its models into DIR/jax, says {"saved": their number}, waits for
a line, and then loads those that all four have saved. For each file it
says
    {"author", "model", "precision", "arrays", "same", "judged", "ratio",
     "refused"}
same: saved again, it is the same file, byte for byte; ratio: the worst
error of the output against its budget, of a converted or frozen model 0
or infinity, since those have to give equal bits; judged: which of both
it was, or "" for a model whose roundings decide between two codes;
refused: why it was not loaded.
"""

import importlib
import json
import math
import pathlib
import sys

import numpy as np

from shared_tests.cases import CASES
from shared_tests.environments import FRAMEWORKS
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.processes import answers
from shared_tests.run import group, precisions, sigmas
from shared_tests.verdict import judge

# one case of each layer; functions have nothing to save
BASIC = [c for c in CASES if c.name == "basic" and c.layer[0].isupper()]
QUANTIZED = {
    "MLP": dict(input_size=7, hidden_size=11, output_size=3),
    "TiedMLP": dict(features=7),
    "MultiHeadAttention": dict(
        embed_dim=12, num_heads=6, num_kv_heads=2
    ),
    "TransformerClassifier": dict(
        input_dim=7,
        embed_dim=12,
        num_heads=3,
        num_layers=2,
        num_classes=5,
    ),
}
# for each place in turn; of larger models the last stays a Linear
OPTIONS = [
    dict(weight_bits=4),
    dict(weight_quantizer="lsq", input_quantizer="pact"),
    dict(input_bits=5, input_quantizer="percentile"),
    dict(input_signed=False, input_quantizer="min_max"),
    dict(input_quantizer="lsq", weight_bits=3),
]
EXACT = ("MLP", "TiedMLP")  # nothing is rounded between the codes


class Part:
    def __init__(self, framework, folder, precisions):
        self.framework, self.folder = framework, pathlib.Path(folder)

        def page(name):
            return importlib.import_module(f"{framework}_impl.{name}")

        self.package = importlib.import_module(f"{framework}_impl")
        self.adapter, self.portable = (
            page("adapter"),
            page("portable.checkpoint"),
        )
        self.arrays, self.file = (
            page("portable.arrays"),
            page("portable.tensor_file"),
        )
        self.named = page("parameters").named_parameters
        self.places = page("quantization.places")
        self.precisions = precisions

    def of(self, case):
        return [p for p in precisions(case) if p in self.precisions]

    def quantized(self, layer):
        """Of the larger models one, and that in the whole square."""
        one = ("float32",) if "float64" in self.precisions else ()
        return self.precisions if layer in EXACT else one

    def path(self, author, model, precision):
        name = f"{model}.{precision}.safetensors"
        return self.folder / author / name

    def save(self, layer, model, precision, y=None):
        path = self.path(self.framework, model, precision)
        self.portable.save_portable(layer, path)
        if y is not None:
            tensor = self.arrays.to_tensor(y)
            self.file.write(path.with_suffix(".out"), {"y": tensor}, {})

    def save_all(self):
        (self.folder / self.framework).mkdir()
        manifest = read_manifest()
        self.fixtures = {c.id: read_fixture(c, manifest) for c in BASIC}
        for case in BASIC:
            for precision in self.of(case):
                if not self.adapter.unsupported(case.layer, precision):
                    built = self.built(case, precision)
                    self.save(built.call, case.id, precision)
        for layer, config in QUANTIZED.items():
            for precision in self.quantized(layer):
                if not self.adapter.unsupported(layer, precision):
                    self.save_quantized(layer, config, precision)
        return len(list((self.folder / self.framework).iterdir()))

    def built(self, case, precision):
        params = group(self.fixtures[case.id], "param")
        given = case.layer, case.config, params, precision
        return self.adapter.build(*given)

    def save_quantized(self, layer, config, precision):
        rng = np.random.default_rng(17)
        shapes = self.adapter.shapes(layer, config)
        params = {n: rng.standard_normal(s) for n, s in shapes.items()}
        given = layer, config, params, precision
        model = self.adapter.build(*given).call
        linear = self.places.find(model, self.package.Linear)
        chosen = {
            n: OPTIONS[i % len(OPTIONS)]
            for i, n in enumerate(sorted(linear))
        }
        if layer not in EXACT:
            chosen[max(linear)] = None
        if layer == "TiedMLP":  # one weight, but two quantizers
            chosen = dict.fromkeys(linear, OPTIONS[0])
        model = self.package.prepare(model, chosen)
        self.package.set_mode(model, "observe")
        x = self.x(layer, precision)
        model(x)
        self.package.set_mode(model, "frozen")
        y = model(x) if layer in EXACT else None
        self.save(model, f"{layer}-frozen", precision, y)
        if layer in EXACT:
            y = self.package.convert(model)(x)
        else:
            self.package.convert(model)
        self.save(model, f"{layer}-converted", precision, y)

    def x(self, layer, precision):
        width = 12 if layer == "MultiHeadAttention" else 7
        x = np.random.default_rng(23).standard_normal((5, 4, width))
        return self.adapter.to_tensor(x.astype("float16"), precision)

    def load_all(self, say):
        """By model, since JAX compiles anew for each shape."""
        for case in BASIC:
            for precision in self.of(case):
                for author in FRAMEWORKS:
                    self.load(say, author, case.id, precision, case)
        for layer in QUANTIZED:
            for precision in self.quantized(layer):
                for kind in ("frozen", "converted"):
                    model = f"{layer}-{kind}"
                    for author in FRAMEWORKS:
                        self.load(say, author, model, precision)

    def load(self, say, author, model, precision, case=None):
        path = self.path(author, model, precision)
        if not path.exists():
            return
        row = dict(author=author, model=model, precision=precision)
        if self.framework == "tf":  # a layer without numbers has it too
            keras = importlib.import_module("keras")
            keras.config.set_dtype_policy(precision)
        row |= dict(arrays=0, same=None, judged="", ratio=0, refused="")
        try:
            layer, _ = self.portable.load_portable(path)
        except ValueError as error:
            say(row | dict(refused=str(error)))
            return
        again = self.folder / f"{self.framework}.again"
        self.portable.save_portable(layer, again)
        row |= dict(same=again.read_bytes() == path.read_bytes())
        row |= dict(arrays=len(self.file.read(path)[1]))
        name = model.split("-")[0]
        if self.adapter.unsupported(name, precision):
            row |= dict(judged="")
        elif case:
            row |= dict(judged="budget")
            row |= dict(ratio=self.error(layer, case, precision))
        elif name in EXACT:
            got = self.arrays.to_tensor(layer(self.x(name, precision)))
            (want,) = self.file.read(path.with_suffix(".out"))[
                1
            ].values()
            row |= dict(judged="equal")
            row |= dict(ratio=0 if got == want else math.inf)
        say(row)

    def error(self, layer, case, precision):
        fixture = self.fixtures[case.id]
        params = {}
        if self.framework == "jax":  # its adapter runs with these
            params = {n: p[...] for n, p in self.named(layer).items()}
        built = self.built(case, precision)
        built = built._replace(call=layer, params=params)
        y = self.adapter.run(built, group(fixture, "in"))["out.y"]
        ref, sigma = group(fixture, "ref"), sigmas(fixture, precision)
        key = "out.y"
        return judge(y, ref[key], sigma[key], precision).ratio


def main(framework, folder, *precisions):
    with answers() as out:

        def say(row):
            out.write(json.dumps(row).encode() + b"\n")
            out.flush()

        part = Part(framework, folder, precisions)
        say(dict(saved=part.save_all()))
        sys.stdin.readline()
        part.load_all(say)
        say(dict(done=True))


if __name__ == "__main__":
    main(*sys.argv[1:])

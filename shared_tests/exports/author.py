"""Writes the artefacts of one framework, in that framework's environment.

python -m shared_tests.exports.author pytorch FOLDER FORMAT,... [LAYER ...]

Each line on standard output is the JSON of one: {"format", "layer",
"case", "precision", "dynamic": the letters of its dynamic axes, "fixed":
why not all, "inputs": their names in order, "path": inside FOLDER}, or
"refused" or "failed" and why there is none.
"""

import contextlib
import functools
import importlib
import inspect
import json
import pathlib
import sys

from shared_tests.exports.artefacts import (
    INT8,
    QUANTIZED,
    artefacts,
    case_of,
    dynamic_of,
    example,
    fixture_of,
    letters_of,
)
from shared_tests.processes import answers
from shared_tests.run import group

SUFFIX = {
    "torch_export": "pt2",
    "torchscript": "pt",
    "onnx": "onnx",
    "litert": "tflite",
    "stablehlo": "stablehlo",
    "symbol": "symbol",
    "saved_model": "saved_model",
}


def layer_of(framework, adapter, artefact, fixture):
    """What the page exports, and the order of its arguments."""
    case = case_of(artefact)
    params, inputs = group(fixture, "param"), group(fixture, "in")
    built = adapter.build(
        case.layer, case.config, params, artefact.precision
    )
    layer = built.call
    if case.layer in QUANTIZED:
        package = importlib.import_module(f"{framework}_impl")
        see(framework, adapter, built, inputs)
        package.set_mode(layer, "frozen")
        if artefact.layer == INT8:
            layer = package.convert(layer)
    return layer, order(layer, inputs)


def see(framework, adapter, built, inputs):
    """The quantizers see the batch, and keep its ranges."""
    if framework != "jax":
        adapter.run(built, inputs)
        return
    # there run() is a pure function, which changes no layer
    to_tensor = adapter.to_tensor
    xs = {n: to_tensor(x, built.precision) for n, x in inputs.items()}
    built.call(**xs)


def order(layer, inputs):
    """Names of the inputs, as the layer takes them one after the other."""
    for method in ("forward", "call"):
        layer = getattr(layer, method, layer)
    return [
        n for n in inspect.signature(layer).parameters if n in inputs
    ]


def write(framework, adapter, make, artefact, path):
    """(letters of its dynamic axes, why not of all, its inputs).

    Raises: NotImplementedError, where not even one axis can be
    """
    case = case_of(artefact)
    fixture = fixture_of(case)
    layer, names = layer_of(framework, adapter, artefact, fixture)
    inputs = group(fixture, "in")
    inputs = {name: inputs[name] for name in names}
    whole = letters_of(dynamic_of(case, fixture))

    def attempt(letters):
        dynamic = dynamic_of(case, fixture, letters)
        arrays = {
            n: adapter.to_tensor(x, artefact.precision)
            for n, x in example(inputs, dynamic).items()
        }
        make(layer, arrays, path, dynamic)

    try:
        attempt(whole)
        return whole, None, names
    except NotImplementedError as error:
        why = str(error)
    kept = ""
    for letter in whole:  # as many as it takes, one by one
        with contextlib.suppress(NotImplementedError):
            attempt(kept + letter)
            kept += letter
    if not kept:
        raise NotImplementedError(why)
    return kept, why, names


def main(framework, folder, formats, *layers):
    adapter = importlib.import_module(f"{framework}_impl.adapter")
    page = importlib.import_module(f"{framework}_impl.export")
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with answers() as out:
        for artefact in artefacts(layers):
            for name in formats.split(","):
                row = {"format": name, **artefact._asdict()}
                file = f"{artefact.name}.{SUFFIX[name]}"
                make = functools.partial(
                    write, framework, adapter, page.FORMATS[name]
                )
                try:
                    found = make(artefact, folder / file)
                    row |= zip(("dynamic", "fixed", "inputs"), found)
                    row["path"] = file
                except NotImplementedError as error:
                    row["refused"] = str(error)
                except Exception as error:
                    kind = type(error).__name__
                    row["failed"] = f"{kind}: {error}"
                out.write(json.dumps(row).encode() + b"\n")
                out.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

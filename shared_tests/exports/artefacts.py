"""Which files the matrix of exports is made of, and what they are fed.

An artefact is one case of cases.py, in one precision, in one format of a
framework. Its layer is exported with an example of other sizes than the
case has on every axis that is to be dynamic, and then run with the
sizes of the case: a file that keeps the sizes of its example fails.
NumPy only.
"""

from typing import NamedTuple

import numpy as np

from shared_tests.cases import CASES
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.run import group, sigmas

INT8 = "Int8Linear"  # what convert makes of the cases of QATLinear
QUANTIZED = ("QATLinear", "QATMultiHeadAttention")
# axes of the inputs by letter, from the last one back; equal letters are
# equal sizes, "-" and what is before stays as it is in the example
AXES = {
    "CenteredLayer": {"x": "BN"},
    "ScaledReLU": {"x": "BN"},
    "HalfSpectrum": {"x": "BN"},
    "MultiHeadAttention": {"x": "BN-", "attn_mask": "B--N"},
    "QATMultiHeadAttention": {"x": "BN-"},
    "TransformerClassifier": {"x": "BN-"},
    "StandardizedConv2d": {"x": "B-HW"},
    "standardized_conv2d": {"x": "B-HW"},
    "attention": {"q": "B-N-", "k": "B-M-", "v": "B-M-"}
    | {"attn_mask": "B-NM"},
    "quantize": {"x": "BN"},
    "PACT": {"x": "BN"},
    "LSQ": {"x": "BN"},
}
AXES["EmbeddingBag"] = {"x": "BN", "bag_mask": "BN"}
AXES["TextClassifier"] = AXES["EmbeddingBag"]
AXES["attention_tiled"] = AXES["attention"]
AXES["fake_quantize-channels"] = {"x": "B-N"}  # axis 1 has the steps
PLAIN = {"x": "B-"}
# layers without 16 bits that are exported in float64 too
DOUBLE = ("HalfSpectrum", "TransformerClassifier", "QATLinear")
# case names, the first in the precisions that it claims
CHOSEN = {
    "CenteredLayer": "basic",
    "Linear": "basic no_bias leading_axes",
    "LinearReLU": "basic",
    "ScaledReLU": "basic",
    "MLP": "basic",
    "TiedMLP": "basic",
    "TensorReduction": "basic",
    "HalfSpectrum": "odd_length basic",
    "RMSNorm": "basic",
    "rms_norm": "defaults",
    "StandardizedConv2d": "basic stride_padding",
    "standardized_conv2d": "defaults",
    "WeightedSum": "basic",
    "ManualLinear": "basic",
    "MultiHeadAttention": "basic causal grouped masked",
    "TransformerClassifier": "basic",
    "EmbeddingBag": "basic empty_bag",
    "TextClassifier": "basic",
    "attention": "basic causal_more_keys masked fully_masked_row"
    " grouped_causal",
    "attention_tiled": "basic grouped_causal",
    "fake_quantize": "basic zero_point channels",
    "quantize": "basic zero_point unsigned tie",
    "PACT": "basic",
    "LSQ": "basic channels",
    "LSQPlus": "basic",
    "pact": "defaults",
    "lsq": "defaults",
    "QATLinear": "basic 4_bits lsq pact wide",
    "QATMultiHeadAttention": "basic grouped",
    INT8: "basic 4_bits lsq pact wide",
}
ALONE = {"CenteredLayer", "WeightedSum"}  # rows are not independent


class Artefact(NamedTuple):
    layer: str
    case: str
    precision: str

    @property
    def name(self):
        return f"{self.layer}-{self.case}.{self.precision}"


def case_of(artefact):
    layer = "QATLinear" if artefact.layer == INT8 else artefact.layer
    wanted = f"{layer}-{artefact.case}"
    (found,) = (c for c in CASES if c.id == wanted and not c.training)
    return found


def artefacts(layers=()):
    """[Artefact], of these layers or of all."""
    found = []
    for layer, names in CHOSEN.items():
        if layers and layer not in layers:
            continue
        for place, name in enumerate(names.split()):
            one = Artefact(layer, name, "float32")
            found.append(one)
            if not place:
                low = "low_precision" in case_of(one).flags
                more = ["bfloat16", "float16"] * low
                more += ["float64"] * (low or layer in DOUBLE)
                found += [one._replace(precision=p) for p in more]
    return found


def fixture_of(case, known=[]):  # noqa: B006  # the manifest, read once
    if not known:
        known.append(read_manifest())
    return read_fixture(case, known[0])


def dynamic_of(case, fixture, letters="BNMHW"):
    """{argument: {axis: letter}}, of these letters."""
    found = {}
    specs = AXES.get(case.id) or AXES.get(case.layer, PLAIN)
    for name, spec in specs.items():
        shape = fixture.get(f"in.{name}", np.zeros(())).shape
        spec = (
            spec.rjust(len(shape), "-")[-len(shape) :] if shape else ""
        )
        found[name] = {
            axis: letter
            for axis, letter in enumerate(spec)
            if letter != "-" and shape[axis] != 1 and letter in letters
        }
    return found


def letters_of(dynamic):
    """The axes that are dynamic, as a word such as BN."""
    found = {
        letter for axes in dynamic.values() for letter in axes.values()
    }
    return "".join(sorted(found))


def example(inputs, dynamic):
    """Arrays of other sizes on these axes: letter i is i + 2 larger."""
    grows = {x: i + 2 for i, x in enumerate(letters_of(dynamic))}
    made = {}
    for name, x in inputs.items():
        shape = list(x.shape)
        for axis, letter in dynamic.get(name, {}).items():
            shape[axis] += grows[letter]
        made[name] = np.resize(x, shape)
    return made


def feeds(case, fixture, precision, dynamic):
    """{name: (inputs, reference, sigma)} of the sizes that are run: the
    case, and where rows are independent, twice its batch and one row."""
    inputs = group(fixture, "in")
    reference = fixture["ref.out.y"]
    sigma = sigmas(fixture, precision)["out.y"]
    found = {"case": (inputs, reference, sigma)}
    batch = {
        n: [a for a, d in axes.items() if d == "B"]
        for n, axes in dynamic.items()
    }
    axes = {axis for found in batch.values() for axis in found}
    if len(axes) == 1 and case.layer not in ALONE:
        (axis,) = axes
        rows = np.arange(reference.shape[axis])
        for name, chosen in (("twice", [*rows, *rows]), ("one", [0])):
            found[name] = (
                {
                    n: np.take(x, chosen, axis) if batch.get(n) else x
                    for n, x in inputs.items()
                },
                np.take(reference, chosen, axis),
                np.take(sigma, chosen, axis),
            )
    return found

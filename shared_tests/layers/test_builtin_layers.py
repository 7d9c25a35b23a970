"""Built-in layers: ours as the framework's own, and back, same numbers.

A case's parameters go into our layer, the layer becomes a built-in one,
and that has to meet the case: its output, the gradient of x, and those
of the parameters, which go back to our names and places the way that
the parameters do. The budgets are the case's own.
"""

import importlib
import runpy

import numpy as np
import pytest

from shared_tests.cases import CASES
from shared_tests.environments import FRAMEWORKS
from shared_tests.files import ROOT
from shared_tests.fixture_files import (
    asked_of,
    read_fixture,
    read_manifest,
)
from shared_tests.layers.builtin_calls import wrap
from shared_tests.roundoff.maps.entries import numbered, total
from shared_tests.run import group, sigmas
from shared_tests.verdict import judge

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

# in float64 as well: where the built-in layer has float32 inside
TRIED = {
    "Linear": "basic* no_bias leading_axes",
    "StandardizedConv2d": "basic* padding stride_padding eps",
    "RMSNorm": "basic* eps",
    "TensorReduction": "basic* leading_axes",
    "MultiHeadAttention": "basic* no_bias causal masked grouped*",
}
CASE = {case.id: case for case in CASES}


def layouts(framework):
    page = ROOT / f"{framework}_impl" / "builtins" / "layouts.py"
    return runpy.run_path(str(page))["LAYOUTS"]


def asked(framework):
    """(case, kind, precision) of all that a framework has a layer for."""
    return [
        (CASE[f"{layer}-{name.strip('*')}"], kind, precision)
        for layer, kinds in layouts(framework).items()
        for name in TRIED.get(layer, "").split()
        for kind in kinds
        for precision in ("float32", "float64")
        if precision == "float32" or "*" in name
        # Keras builds it for one rank of x
        if kind != "EinsumDense" or name == "leading_axes"
    ]


ROWS = {
    f"{framework}-{case.id}-{kind}-{precision}": (case, kind, precision)
    for framework in FRAMEWORKS
    for case, kind, precision in asked(framework)
}
# what the built-in layer has no option for
REFUSED = {
    "pytorch-MultiHeadAttention-grouped": "num_kv_heads expected 6, got 2",
    "tf-MultiHeadAttention-grouped-MultiHead": "num_kv_heads expected 6",
    "tf-StandardizedConv2d-stride_padding": "padding expected 0: .* got 2",
}
# where the built-in layer is off by more than rounding, for its reason in
# docs/deviations.md: a softmax, a scale, in float32. 1/sqrt(4) is exact
OFF = {
    "jax-MultiHeadAttention-basic-MultiHeadAttention-float64",
    "jax-MultiHeadAttention-grouped-MultiHeadAttention-float64",
    "tf-MultiHeadAttention-grouped-GroupQueryAttention-float64",
}


def pytest_generate_tests(metafunc):
    if "row" in metafunc.fixturenames:
        here = metafunc.config.getoption("--framework")
        rows = [r for r in ROWS if r.startswith(f"{here}-")]
        metafunc.parametrize("row", rows)


@pytest.fixture
def page(framework):
    def page(name):
        return importlib.import_module(f"{framework}_impl.{name}")

    return page


@pytest.fixture
def ours(adapter):
    """ours(case, precision): our layer, with the case's numbers."""

    def ours(case, precision):
        fixture = read_fixture(case, read_manifest())
        params = group(fixture, "param")
        built = adapter.build(
            case.layer, case.config, params, precision
        )
        layer = built.call
        if getattr(layer, "causal", False):
            layer.causal = False  # an argument of the call, there
        return fixture, layer

    return ours


def run_builtin(framework, adapter, page, row, layer, builtin, fixture):
    """{array: ndarray} as an adapter has them of our layer."""
    case, kind, precision = row
    causal = case.config.get("causal", False)
    call, named = wrap(framework, kind, builtin, causal)
    head = "builtin." if framework == "jax" else ""
    take = {"jax": lambda p: p[...], "tf": lambda p: p.value}
    take = take.get(framework, lambda p: p)
    params = {head + n: take(p) for n, p in named.items()}
    built = adapter.Built(kind, call, params, precision)
    cotangents = group(fixture, "cotangent")
    found = adapter.run(built, group(fixture, "in"), cotangents)
    theirs = {
        n: adapter.to_tensor(found.pop(f"grad.{head}{n}"), precision)
        for n in named
    }
    pages = page("builtins.arrays")
    layout = page("builtins.layouts").LAYOUTS[case.layer][kind]
    shapes = pages.shapes_of(pages.named(layer))
    sizes = pages.sizes_of(layer)
    grads = pages.lay_back(layout, theirs, shapes, sizes)
    grads = {f"grad.{n}": adapter.to_numpy(g) for n, g in grads.items()}
    if kind.lower() in ("conv", "conv2d"):
        grads["grad.weight"] = through_standardize(
            adapter, page, layer, grads["grad.weight"], precision
        )
    return found | grads


def through_standardize(adapter, page, layer, grad, precision):
    """The gradient of our weight from that of the standardised one."""
    conv = page("conv")

    def call(x):
        return conv.standardize(x, layer.eps)

    weight = adapter.to_numpy(
        page("builtins.arrays").read(layer)["weight"]
    )
    built = adapter.Built("standardize", call, {}, precision)
    return adapter.run(built, {"x": weight}, {"y": grad})["grad.x"]


def judged(found, case, fixture, precision):
    """{array: Verdict}"""
    assert set(found) == set(asked_of(case, fixture))
    reference, sigma = group(fixture, "ref"), sigmas(fixture, precision)
    return {
        n: judge(a, reference[n], sigma[n], precision)
        for n, a in found.items()
    }


def refusal(row):
    """The words of the error that this row has to raise, or None."""
    found = [
        words
        for start, words in REFUSED.items()
        if row.startswith(start)
    ]
    return found[0] if found else None


def test_a_builtin_layer_meets_the_case(
    framework, adapter, page, ours, row
):
    case, kind, precision = ROWS[row]
    fixture, layer = ours(case, precision)
    pages = page("builtins.layers")
    if refusal(row):
        with pytest.raises(ValueError, match=refusal(row)):
            pages.to_builtin(layer, kind)
        return
    builtin = pages.to_builtin(layer, kind)
    found = run_builtin(
        framework, adapter, page, ROWS[row], layer, builtin, fixture
    )
    verdicts = judged(found, case, fixture, precision)
    wrong = {n: v.detail for n, v in verdicts.items() if not v.passed}
    assert bool(wrong) == (row in OFF), wrong
    if case.layer != "StandardizedConv2d":  # it has no way back
        there_and_back(adapter, pages, layer, builtin, kind)


def there_and_back(adapter, pages, layer, builtin, kind):
    """Every bit of every parameter, and every option, both ways."""
    back = pages.from_builtin(builtin)
    again = pages.to_builtin(back, kind)
    for one, other in ((layer, back), (builtin, again)):
        assert type(one) is type(other)
        assert bits(adapter, pages, one) == bits(adapter, pages, other)
        assert pages.options(one) == pages.options(other)


def bits(adapter, pages, layer):
    """{parameter: (dtype, shape, bytes)}"""
    found = {}
    for name, array in pages.read(layer).items():
        array = adapter.to_numpy(array)
        found[name] = array.dtype, array.shape, array.tobytes()
    return found


def test_a_query_that_may_attend_to_nothing(
    framework, adapter, page, ours
):
    """Ours gives it 0, and so does PyTorch without need_weights; with
    it, the default, NaN. The others give the mean of all values."""
    case = CASE["MultiHeadAttention-masked"]
    fixture, layer = ours(case, "float32")
    fixture["in.attn_mask"] = fixture["in.attn_mask"].copy()
    fixture["in.attn_mask"][0] = False
    for kind in page("builtins.layouts").LAYOUTS.get(case.layer, ()):
        builtin = page("builtins.layers").to_builtin(layer, kind)
        row = case, kind, "float32"
        y = run_builtin(
            framework, adapter, page, row, layer, builtin, fixture
        )["out.y"][0]
        params = group(fixture, "param")
        weight, bias = params["qkv.weight"], params["qkv.bias"]
        mean = weight[-12:] @ fixture["in.x"][0].mean(0) + bias[-12:]
        weight, bias = params["out.weight"], params["out.bias"]
        found = [weight @ mean + bias, bias]
        if framework == "pytorch":
            found.reverse()
            x = adapter.to_tensor(fixture["in.x"], "float32")
            nothing = adapter.to_tensor(
                np.ones((2, 5), bool), "float32"
            )
            y_default, _ = builtin(x, x, x, key_padding_mask=nothing)
            assert np.isnan(adapter.to_numpy(y_default)).all()
        near, far = (np.abs(y - one).max() for one in found)
        assert near < far / 1000


def test_low_precision_goes_there_and_back(
    framework, adapter, page, ours
):
    pages = page("builtins.layers")
    for precision in ("bfloat16", "float16"):
        if adapter.unsupported("Linear", precision):
            assert (framework, precision) == ("mxnet", "bfloat16")
            continue
        _, layer = ours(CASE["Linear-basic"], precision)
        builtin = pages.to_builtin(layer)
        kind = next(iter(pages.LAYOUTS["Linear"]))
        there_and_back(adapter, pages, layer, builtin, kind)
        for dtype, _, _ in bits(adapter, pages, builtin).values():
            assert dtype.name == precision


def test_the_entries_are_those_of_a_weights_map(
    framework, adapter, page, ours
):
    """The words mean what they mean there, and nothing is left over."""
    arrays = page("builtins.arrays")
    for layer_name, kinds in page("builtins.layouts").LAYOUTS.items():
        if layer_name not in TRIED:
            continue  # a Block has no case of its own
        name = "grouped" if "Multi" in layer_name else "basic"
        _, layer = ours(CASE[f"{layer_name}-{name}"], "float32")
        read, sizes = arrays.read(layer), arrays.sizes_of(layer)
        given = {n: adapter.to_numpy(a) for n, a in read.items()}
        for layout in kinds.values():
            found = arrays.lay_out(layout, read, sizes)
            places = []
            for theirs, entry in layout.items():
                entry = resolved(entry, sizes)
                want = total(entry, given)
                assert np.array_equal(
                    adapter.to_numpy(found[theirs]), want
                )
                names, (where,) = numbered(entry, given)
                places += [(names[0], i) for i in where.ravel()]
            assert len(places) == len(set(places))
            assert len(places) == sum(a.size for a in given.values())


def resolved(entry, sizes):
    """The entry with numbers for the letters."""
    if isinstance(entry, str):
        return entry
    return {
        word: value
        if word == "from"
        else [sizes.get(n, n) for n in value]
        for word, value in entry.items()
    }


# {framework: [(case, kind, entries changed, what happens)]}: the numbers
# are outside, or the words of an error
OUT = {"from": "out.weight", "reshape": ["H", "D", "C"]}
ROWS_OF = {"from": "qkv.weight", "transpose": [1, 0]}
PER_HEAD = {"reshape": ["C", "H", "D"]}
EXCHANGED = {
    "query.kernel": ROWS_OF | PER_HEAD | {"slice": [0, "HD", "HD+GD"]},
    "key.kernel": ROWS_OF | PER_HEAD | {"slice": [0, 0, "HD"]},
}
NO_BIAS = {"query.bias": None}
WANTED = "query.bias expected .*, got none"
ATTENTION = "MultiHeadAttention-basic"
FAULTS = {
    "pytorch": [
        (
            ATTENTION,
            "MultiheadAttention",
            {
                "out_proj.weight": {
                    "from": "out.weight",
                    "transpose": [1, 0],
                }
            },
            None,
        ),
        ("Linear-basic", "Linear", {"bias": None}, "bias expected"),
    ],
    "jax": [
        (ATTENTION, "MultiHeadAttention", {"out.kernel": OUT}, None),
        (ATTENTION, "MultiHeadAttention", EXCHANGED, None),
        (ATTENTION, "MultiHeadAttention", NO_BIAS, WANTED),
    ],
    "tf": [
        (
            ATTENTION,
            "MultiHeadAttention",
            {"attention_output.kernel": OUT},
            None,
        ),
        (ATTENTION, "GroupQueryAttention", EXCHANGED, None),
        (ATTENTION, "MultiHeadAttention", NO_BIAS, WANTED),
    ],
    "mxnet": [
        ("Linear-basic", "Dense", {"bias": None}, "bias expected"),
        (
            "Linear-basic",
            "Dense",
            {"weight": {"from": "weight", "transpose": [1, 0]}},
            "weight expected .3, 7., got .7, 3.",
        ),
    ],
}


def test_a_fault_in_the_table_is_seen(
    framework, adapter, page, ours, monkeypatch
):
    to_builtin = page("builtins.layers").to_builtin
    for name, kind, changed, words in FAULTS[framework]:
        case = CASE[name]
        row = case, kind, "float32"
        fixture, layer = ours(case, "float32")
        layouts = page("builtins.layouts").LAYOUTS[case.layer]
        entries = layouts[kind] | changed
        entries = {n: e for n, e in entries.items() if e}
        monkeypatch.setitem(layouts, kind, entries)
        if words:
            with pytest.raises(ValueError, match=words):
                to_builtin(layer, kind)
        else:
            builtin = to_builtin(layer, kind)
            monkeypatch.undo()
            found = run_builtin(
                framework, adapter, page, row, layer, builtin, fixture
            )
            verdicts = judged(found, case, fixture, "float32")
            assert not verdicts["out.y"].passed
        monkeypatch.undo()

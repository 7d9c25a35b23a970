"""The line-up: four pages that differ only where the frameworks do.

Needs no framework: the pages are read, not imported.
"""

import ast

import pytest

from shared_tests.environments import FRAMEWORKS
from shared_tests.side_by_side.pages import (
    NOT_PAGES,
    definitions,
    files,
    header,
    regions,
    sections,
    source,
    tree,
)

ENVIRONMENTS = ("tools",)

REGIONS = (
    "imports",
    "gradient rule",
    "function",
    "layer",
    "try",
    "what differs here",
)
# no pages: they stand beside nothing, so the limits of a page are not theirs
# files to export: each framework has formats of its own, and an exporter
# of ONNX of its own, or none: MXNet writes its operators node by node
EXPORT = {
    "pytorch": {
        "export.py",
        "exports/onnx_layers.py",
        "quantization/export.py",
        "quantization/onnx_quantizer.py",
    },
    "jax": {
        "export.py",
        "exports/onnx_graph.py",
    },
    "tf": {
        "export.py",
        "exports/constant_graph.py",
        "exports/folder.py",
        "exports/traced.py",
    },
    "mxnet": {
        "export.py",
        "exports/folder.py",
        "exports/onnx_fourier.py",
        "exports/onnx_functions.py",
        "exports/onnx_graph.py",
        "exports/onnx_layers.py",
        "quantization/onnx_int8.py",
        "quantization/onnx_quantizers.py",
        "exports/recorded.py",
    },
}
# files that one framework alone needs
ALONE = {
    "pytorch": {
        "transforms.py",  # torch.func has to be told
        "at_home.py",  # how a layer is printed
        "builtins/encoder.py",  # nn.TransformerEncoderLayer
        "state_file.py",  # its files are programs: what they may call
    },
    "jax": {"linen.py"},
    # how Keras saves, holds and casts layers; forward mode is refused
    "tf": {
        "builtins/keras_layers.py",  # built late, padding in words
        "serializable.py",
        "weights_file.py",
        "custom_gradient.py",
        "exact_weight.py",
        "quantization/keras_holders.py",
    },
    # what MXNet 1.9.1 lacks: a Function that works, an FFT, and a loader
    # that does not believe a file
    "mxnet": {
        "at_home.py",
        "custom_function.py",
        "fourier.py",
        "params_file.py",
    },
}
ALONE = {
    framework: ALONE[framework] | EXPORT[framework]
    for framework in FRAMEWORKS
}
OTHERS = FRAMEWORKS[1:]
# files of each folder, kernels apart: a new page is counted here as well
COUNTS = dict(pytorch=78, jax=73, tf=80, mxnet=83)


PAGES = sorted(files("pytorch") - NOT_PAGES)
EVERY_PAGE = pytest.mark.parametrize("page", PAGES)
EVERY_OTHER = pytest.mark.parametrize("framework", OTHERS)
EVERY_FRAMEWORK = pytest.mark.parametrize("framework", FRAMEWORKS)


@pytest.mark.parametrize("framework, count", COUNTS.items())
def test_no_page_is_overlooked(framework, count):
    """All else here takes the pages that files() finds."""
    assert len(files(framework)) == count
    for page in files(framework):
        assert source(framework, page)


@EVERY_OTHER
def test_same_files(framework):
    alone = ALONE.get(framework, set())
    shared = files("pytorch") - ALONE["pytorch"]
    assert files(framework) - alone == shared


@EVERY_OTHER
def test_same_public_names_in_the_same_order(framework):
    def exported(name):
        for node in tree(name, "__init__.py").body:
            if ast.unparse(node).startswith("__all__ ="):
                return ast.literal_eval(node.value)
        return None

    assert exported(framework) == exported("pytorch") is not None


@EVERY_PAGE
@EVERY_OTHER
def test_same_header(framework, page):
    assert header(framework, page) == header("pytorch", page)


@EVERY_PAGE
def test_a_short_header(page):
    assert len(header("pytorch", page).splitlines()) <= 16


@EVERY_PAGE
@EVERY_FRAMEWORK
def test_regions(framework, page):
    names = regions(framework, page)
    order = [REGIONS.index(name) for name in names]
    assert order == sorted(set(order))
    if framework == "pytorch":
        assert "what differs here" not in names
    common = [n for n in names if n != "what differs here"]
    assert common == regions("pytorch", page)


@EVERY_PAGE
@EVERY_FRAMEWORK
def test_what_differs_is_short_and_only_comments(framework, page):
    text = source(framework, page)
    if "# region what differs here" in text:
        last = text.split("# region what differs here\n")[1]
        lines = last.removesuffix("# endregion\n").splitlines()
        assert 0 < len(lines) <= 6
        assert all(line.startswith("# ") for line in lines)


@EVERY_PAGE
@EVERY_OTHER
def test_same_definitions_and_arguments(framework, page):
    """A gradient rule: the maths alike, its registration is the
    framework's own."""
    rule, rest = split(framework, page)
    rule_of_pytorch, rest_of_pytorch = split("pytorch", page)
    assert rest == rest_of_pytorch
    maths = ("_forward", "_backward")
    assert [d for d in rule if d[0].endswith(maths)] == [
        d for d in rule_of_pytorch if d[0].endswith(maths)
    ]


def split(framework, page):
    """Definitions inside the gradient rule, and all the others."""
    regions = dict(sections(framework, page))
    inside = ast.parse("\n".join(regions.get("gradient rule", [])))
    names = {getattr(node, "name", None) for node in inside.body}
    found = definitions(framework, page)
    rule = [d for d in found if d[0] in names]
    return rule, [d for d in found if d[0] not in names]


@EVERY_PAGE
@EVERY_FRAMEWORK
def test_page_size(framework, page):
    lines = source(framework, page).splitlines()
    assert len(lines) <= 120
    assert max(map(len, lines)) <= 72


@EVERY_OTHER
def test_the_adapters_have_the_same_functions(framework):
    def public(name):
        return {n for n, _ in definitions(name, "adapter.py")}

    expected = public("pytorch")
    if framework != "jax":  # only these two run on a GPU
        expected -= {"check_device"}
    assert expected <= public(framework)


@EVERY_FRAMEWORK
def test_nothing_shared_between_the_folders(framework):
    """A shared core would erase the comparison."""
    for page in files(framework):
        for node in ast.walk(tree(framework, page)):
            if isinstance(node, ast.ImportFrom) and node.module:
                first = node.module.split(".")[0]
                assert first != "shared_tests"
                if first.endswith("_impl"):
                    assert first == f"{framework}_impl"

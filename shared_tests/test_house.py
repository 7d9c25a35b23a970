"""The house: what may import what, so that it stays easy to walk."""

import ast

import pytest

from shared_tests.environments import environments_of, files_of_tests
from shared_tests.files import ROOT

ENVIRONMENTS = ("tools",)

HERE = ROOT / "shared_tests"
BELOW = "roundoff"  # a package of its own: others can install it
WINGS = {path.parent.name for path in HERE.glob("*/__init__.py")} - {
    BELOW
}
BESIDE = {"trials": {"live", "side_by_side"}}  # wings it may import


def modules(path):
    """Dotted names of what a file imports from shared_tests."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{a.name}" for a in node.names]
        else:
            continue
        yield from (n for n in names if n.startswith("shared_tests."))


def wings_of(path):
    return {name.split(".")[1] for name in modules(path)} & WINGS


def code(folder):
    found = HERE.glob("*.py") if folder == "." else None
    found = found or (HERE / folder).rglob("*.py")
    return [p for p in found if not is_test(p)]


def is_test(path):
    """What a wing's conftest.py gives to its tests is part of them, and
    so is what lies in a folder of tests."""
    shared = path.name == "conftest.py" and path.parent != HERE
    shared = shared or path.parent.name == "tests"
    return shared or path.name.startswith("test_")


def test_the_wings_are_these():
    assert (
        set(
            "builtins exports layers live performance ports real_data"
            " side_by_side trials".split()
        )
        == WINGS
    )


def test_the_spine_imports_no_wing():
    found = {path.name: wings_of(path) for path in code(".")}
    assert not {n: w for n, w in found.items() if w}


@pytest.mark.parametrize("wing", sorted(WINGS))
def test_a_wing_imports_the_spine(wing):
    for path in code(wing):
        assert wings_of(path) <= {wing} | BESIDE.get(wing, set())


def depth(path):
    """How many folders of the package a file lies in."""
    return len(path.relative_to(HERE / BELOW).parts)


def test_the_package_imports_nothing_of_this_repo():
    """By relative names, so that it runs under another name too."""
    ours = {p.name for p in ROOT.iterdir() if p.is_dir()}
    for path in code(BELOW):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level <= depth(path), path
                names = [node.module] if not node.level else []
            assert not {n.split(".")[0] for n in names} & ours, path


def test_no_test_file_is_imported():
    for path in HERE.rglob("*.py"):
        names = [n for m in modules(path) for n in m.split(".")]
        assert not [n for n in names if n.startswith("test_")]


def test_every_test_file_says_where_it_runs(tmp_path):
    assert len(files_of_tests()) == len(list(HERE.rglob("test_*.py")))
    for text, wrong in (
        ("", "no ENVIRONMENTS"),
        ('ENVIRONMENTS = ("theano",)', "got ..theano"),
        ("ENVIRONMENTS = ()", "expected some of"),
    ):
        path = tmp_path / "test_it.py"
        path.write_text(text)
        with pytest.raises(ValueError, match=wrong):
            environments_of(path)

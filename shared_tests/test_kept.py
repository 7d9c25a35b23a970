"""Kept rows: used only while nothing that they depend on has moved."""

import json
import shutil

import pytest

from shared_tests import kept, parity
from shared_tests.cases import CASES
from shared_tests.environments import FRAMEWORKS
from shared_tests.files import ROOT
from shared_tests.fixture_files import read_manifest
from shared_tests.run import runs

ENVIRONMENTS = ("tools",)

CASE = {case.id: case for case in CASES}
BOTH = [CASE["MLP-basic"], CASE["CenteredLayer-basic"]]
WANTED = [(case, "float32", "eager") for case in BOTH]
PERCEPTRON, CENTERED = "MLP-basic", "CenteredLayer-basic"


@pytest.fixture
def repo(tmp_path, monkeypatch):
    """A copy of what the digests read, with a stand-in environment."""
    for folder in ("jax_impl", "shared_tests"):
        shutil.copytree(
            ROOT / folder,
            tmp_path / folder,
            ignore=lambda _, names: [
                n for n in names if "test_" in n or n == "data"
            ],
        )
    packages = tmp_path / ".venv/jax/lib/python3.11/site-packages"
    (packages / "jax-0.10.2.dist-info").mkdir(parents=True)
    (tmp_path / ".venv/jax/.stamp").touch()
    monkeypatch.setattr(kept, "ROOT", tmp_path)
    monkeypatch.setattr(parity, "ROOT", tmp_path)
    python = tmp_path / ".venv" / "jax" / "bin" / "python"
    monkeypatch.setattr(kept, "python_of", lambda _: python)
    monkeypatch.setattr(parity, "environment_error", lambda _: None)
    yield tmp_path
    monkeypatch.undo()
    kept.clear_memory()


def framework(repo, fresh=False):
    kept.clear_memory()
    fixtures = repo / "shared_tests" / "fixtures"
    cache = repo / "cache"
    return parity.Framework("jax", WANTED, fixtures, fresh, cache)


def column(one, verdict="pass", left_out=None):
    """A process that has computed both, from the files as they are."""
    made = parity.Column("jax", one.question, one.table)
    files = {}
    for _, own in one.keys.values():
        files |= own
    made.take(
        {"event": "hello", "total": len(runs())}
        | {"versions": {"jax": "0.10.2"}}
        | {"sources": files}
    )
    for case, precision, mode in WANTED:
        where = {"precision": precision, "mode": mode}
        made.take({"event": "start", "case": case.id} | where)
        run = f"{case.id}.{precision}.{mode}"
        for array, (kind, size) in one.question[run].items():
            if array == left_out:
                continue
            made.take(
                {"event": "row", "framework": "jax", "detail": ""}
                | {"layer": case.layer, "case": case.name}
                | where
                | {"array": array, "kind": kind, "elements": size}
                | {"verdict": verdict, "ratio": 0.25}
            )
        made.take({"event": "end", "run": run, "seconds": 1.5})
    made.take({"event": "done"})
    return made


@pytest.fixture
def saved(repo):
    one = framework(repo)
    assert one.todo() == one.runs
    one.columns.append(column(one))
    one.save()
    return repo


def again(repo):
    """The cases that run again."""
    return {run.split(".")[0] for run in framework(repo).todo()}


def append(path):
    path.write_text(path.read_text() + "\nMORE = 1\n")


def test_nothing_moved(saved):
    one = framework(saved)
    assert one.todo() == []
    asked = sum(map(len, one.question.values()))
    assert [row["ratio"] for row in one.rows()] == [0.25] * asked
    assert one.wrong() == []
    assert one.status()["status"] == "ran"
    assert one.status()["kept"] == asked
    assert one.status()["versions"] == {"jax": "0.10.2"}
    assert one.sources()["jax_impl/linear.py"]


def test_a_fresh_run_takes_nothing(saved):
    one = framework(saved, fresh=True)
    assert one.todo() == one.runs


@pytest.mark.parametrize(
    "path, want",
    [
        ("jax_impl/mlp.py", {PERCEPTRON}),
        ("jax_impl/centered.py", {CENTERED}),
        # what adapter.py imports, parameters.py imports
        ("jax_impl/linear.py", {PERCEPTRON, CENTERED}),
        ("jax_impl/scaled_relu.py", {PERCEPTRON, CENTERED}),
        ("jax_impl/adapter.py", {PERCEPTRON, CENTERED}),
        ("jax_impl/__init__.py", {PERCEPTRON, CENTERED}),
        ("shared_tests/verdict.py", {PERCEPTRON, CENTERED}),
        ("shared_tests/roundoff/verdict.py", {PERCEPTRON, CENTERED}),
        ("shared_tests/run.py", {PERCEPTRON, CENTERED}),
        ("shared_tests/report.py", set()),
    ],
)
def test_a_change_runs_what_imports_it_again(saved, path, want):
    append(saved / path)
    assert again(saved) == want


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_prepared_layer_depends_on_what_prepares_it(framework):
    names = "QATMultiHeadAttention", "attention_tiled"
    found = kept.depends(framework, names)
    for page in (
        "multi_head_attention.py",
        "attention_tiled.py",
        "quantization/prepare.py",
        "quantization/lsq.py",
    ):
        assert ROOT / f"{framework}_impl" / page in found
    with pytest.raises(ValueError, match="layer expected one of"):
        kept.depends(framework, ("NoSuchLayer",))


def test_another_version_of_a_package(saved):
    packages = saved / ".venv/jax/lib/python3.11/site-packages"
    old = packages / "jax-0.10.2.dist-info"
    old.rename(packages / "jax-0.10.3.dist-info")
    assert again(saved) == {PERCEPTRON, CENTERED}


@pytest.mark.parametrize("what", ["processor", "compiler"])
def test_another_processor_or_compiler(saved, monkeypatch, what):
    monkeypatch.setattr(kept, what, lambda: "another")
    assert again(saved) == {PERCEPTRON, CENTERED}


def test_a_variable_that_libraries_read(saved, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    assert again(saved) == {PERCEPTRON, CENTERED}


def test_another_fixture(saved):
    path = saved / "shared_tests/fixtures/MLP-basic.safetensors"
    path.write_bytes(path.read_bytes() + b" ")
    assert again(saved) == {PERCEPTRON}


@pytest.mark.parametrize("damage", ["cut off", "changed", "empty"])
def test_a_damaged_file_is_none(saved, damage):
    path = kept.place(
        saved / "cache", "jax", f"{PERCEPTRON}.float32.eager"
    )
    text = path.read_text()
    changed = text.replace('"ratio": 0.25', '"ratio": 0.01')
    assert changed != text
    texts = {"cut off": text[:-9], "changed": changed, "empty": ""}
    path.write_text(texts[damage])
    assert again(saved) == {PERCEPTRON}


def test_rows_that_fail_are_not_kept(repo):
    one = framework(repo)
    one.columns.append(column(one, "fail"))
    one.save()
    assert again(repo) == {PERCEPTRON, CENTERED}


def test_a_run_without_all_its_rows_is_not_kept(repo):
    one = framework(repo)
    one.columns.append(column(one, left_out="grad.x"))
    one.save()
    assert again(repo) == {PERCEPTRON, CENTERED}
    assert "2 of the 8 rows" in one.wrong()[0]


def test_a_page_that_changed_while_it_ran_is_not_kept(repo):
    one = framework(repo)
    one.columns.append(column(one))
    one.columns[0].sources["jax_impl/mlp.py"] = "another digest"
    one.save()
    assert again(repo) == {PERCEPTRON}


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_page_has_all_that_it_imports(name):
    """Read from the files, since the spine imports no framework."""
    kept.clear_memory()
    found = kept.depends(name, ("TransformerClassifier",))
    names = {path.relative_to(ROOT).as_posix() for path in found}
    pages = ("transformer", "multi_head_attention", "linear", "checks")
    want = {f"{name}_impl/{page}.py" for page in pages}
    want |= {f"{name}_impl/adapter.py", "shared_tests/verdict.py"}
    assert want <= names
    assert f"{name}_impl/conv.py" not in names


def test_the_copy_is_not_this_repo(repo):
    """Else a test of the cache would judge the cache of the reader."""
    text = json.dumps(
        [str(p) for p in kept.depends("jax", ("Linear",))]
    )
    assert str(repo) in text
    assert read_manifest(repo / "shared_tests" / "fixtures")

"""Side by side: every line is there, equal ones face, the rest is marked."""

import io
import os
import re
import subprocess
import sys

import pytest
from rich.console import Console
from rich.text import Text

from shared_tests.environments import FRAMEWORKS
from shared_tests.side_by_side import compare, pages
from shared_tests.side_by_side.compare import (
    MARKED,
    Refused,
    complaints,
    facing,
    find_frameworks,
    find_page,
)

ENVIRONMENTS = ("tools",)

ROOT = pages.ROOT


def plain(rows):
    return [
        [None if cell is None else cell.plain for cell in row]
        for row in rows
    ]


def texts(*columns):
    return [[Text(line) for line in lines] for lines in columns]


def command(*words):
    """What a pipe gets: (exit status, stdout, stderr)."""
    hidden = ("FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS")
    clean = {k: v for k, v in os.environ.items() if k not in hidden}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "shared_tests.side_by_side.compare",
            *words,
        ],
        cwd=ROOT,
        env=clean,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


def terminal(width, layer, frameworks):
    console = Console(
        file=io.StringIO(),
        force_terminal=True,
        color_system="standard",
        width=width,
        _environ={},
    )
    compare.compare(console, layer, frameworks)
    return console.file.getvalue()


def test_equal_lines_face_each_other():
    rows = facing(
        texts(
            ["a = torch.exp(x)", "return a"],
            ["check(x)", "a = jnp.exp(x)", "b = 1", "return a"],
        )
    )
    assert plain(rows) == [
        [None, "check(x)"],
        ["a = torch.exp(x)", "a = jnp.exp(x)"],
        [None, "b = 1"],
        ["return a", "return a"],
    ]


def test_similar_lines_face_each_other_and_others_do_not():
    rows = facing(
        texts(
            ["def forward(self, x):", "import torch as t"],
            ["def call(self, x):", "x = t"],
        )
    )
    assert ["def forward(self, x):", "def call(self, x):"] in plain(
        rows
    )
    assert ["import torch as t", None] in plain(rows)
    assert [None, "x = t"] in plain(rows)


def test_what_the_first_page_lacks_still_lines_up_in_the_others():
    rows = facing(
        texts(["x = 1"], ["x = 1", "self,"], ["self,", "x = 1"])
    )
    assert ["x = 1", "x = 1", "x = 1"] in plain(rows)
    rows = facing(
        texts(["x = 1"], ["x = 1", "self,"], ["x = 1", "self,"])
    )
    assert [None, "self,", "self,"] in plain(rows)


def test_the_first_page_counts_more_than_the_others():
    """Two lines could face the second page's, or one the first's."""
    rows = facing(
        texts(
            ["first"], ["one", "two", "first"], ["first", "one", "two"]
        )
    )
    assert ["first", "first", "first"] in plain(rows)


def test_one_equal_line_counts_more_than_two_similar_ones():
    a, b, c = "f(x, a)", "f(x, b)", "f(x, c)"
    assert [None, b, b] in plain(facing(texts(["1"], [a, b], [b, c])))
    assert [b, b] in plain(facing(texts([a, b], [b, c])))


@pytest.mark.parametrize(
    "page", sorted(pages.files("pytorch") - pages.NOT_PAGES)
)
def test_no_line_is_lost(page):
    names = [fw for fw in FRAMEWORKS if page in pages.files(fw)]
    columns = [pages.source(fw, page).splitlines() for fw in names]
    rows = plain(facing(texts(*columns)))
    for number, column in enumerate(columns):
        there = [row[number] for row in rows]
        assert [line for line in there if line is not None] == column


def marked(text):
    return [
        text.plain[span.start : span.end]
        for span in text.spans
        if span.style == MARKED
    ]


@pytest.mark.parametrize(
    "one, other, of_one, of_other",
    [
        ("  def forward(x):", "  def call(x):", ["forward"], ["call"]),
        ("y = torch.exp(x)", "y = jnp.exp(x)", [], []),
        ("f(x, dim=1)", "f(x, axis=1)", ["dim"], ["axis"]),
        ("f(x)", "f(x, y)", [], [",", " ", "y"]),
        ("  return y", "      return y", [], []),
    ],
)
def test_the_tokens_that_differ_are_marked(
    one, other, of_one, of_other
):
    one, other = Text(one), Text(other)
    compare.mark(one, other)
    assert marked(one) == of_one
    assert marked(other) == of_other


@pytest.mark.parametrize(
    "first, line, sign",
    [
        ("y = torch.exp(x)", "y = jnp.exp(x)", " "),
        ("y = 1", "y = 2", "|"),
        (None, "y = 2", "+"),
        ("y = 2", None, "-"),
        (None, "", " "),
        ("", None, " "),
    ],
)
def test_gutter(first, line, sign):
    first, line = (
        None if t is None else Text(t) for t in (first, line)
    )
    assert compare.gutter(first, line) == sign


def test_a_pipe_gets_72_columns_a_page_and_no_colour():
    code, output, errors = command(
        "compare", "LinearReLU", "pytorch,jax"
    )
    assert (code, errors) == (0, "")
    assert "\x1b" not in output
    lines = output.splitlines()
    assert lines[0].split() == [
        "PyTorch",
        "pytorch_impl/linear.py",
        "JAX",
        "jax_impl/linear.py",
    ]
    end = next(i for i, line in enumerate(lines) if line[:3] == "───")
    shown = [[], []]
    for line in lines[1:end]:
        if re.match(r"\S[\w ]* ─+$", line):
            assert len(line) == 72 + 3 + 72
            continue
        for column, at in zip(shown, (0, 75)):
            column.append(line[at : at + 72].rstrip())
        equal = pages.renamed(shown[0][-1]) == pages.renamed(
            shown[1][-1]
        )
        assert (line[72:75] == "   ") == (
            equal or not (shown[0][-1] or shown[1][-1])
        )
    for name, column in zip(("pytorch", "jax"), shown):
        source = (ROOT / f"{name}_impl" / "linear.py").read_text()
        source = re.sub("# (region .*|endregion)\n", "", source)
        wanted = source.splitlines()
        assert [t for t in column if t] == [t for t in wanted if t]


def test_a_pipe_gets_four_pages():
    code, output, _ = command("compare", "mlp", "pytorch,jax,tf,mxnet")
    assert code == 0
    assert max(map(len, output.splitlines())) == 4 * 72 + 3 * 3


def test_a_terminal_gets_colour_and_no_more_than_its_width():
    for width, used in ((200, 72 + 3 + 72), (80, 38 + 3 + 38)):
        output = terminal(width, "mlp", "pytorch,tf")
        assert "\x1b[" in output
        bare = re.sub(r"\x1b\[[0-9;]*m", "", output)
        assert max(map(len, bare.splitlines())) == used
        assert "def call" in bare
    assert re.search(r"\x1b\[[0-9;]*43mforward", output), (
        "marked yellow"
    )


def test_regions_in_order_also_short_and_empty_ones(
    tmp_path, monkeypatch
):
    """`try` comes after the last region of a page that has no `try`."""
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    for fw in FRAMEWORKS:
        (tmp_path / f"{fw}_impl").mkdir()
        (tmp_path / f"{fw}_impl" / "__init__.py").write_text("")
    region = "# region {}\n{}# endregion\n"
    imports = region.format("imports", "")
    last = region.format("what differs here", "# nothing\n")
    page = tmp_path / "jax_impl" / "toy.py"
    page.write_text(imports + last)
    page = tmp_path / "tf_impl" / "toy.py"
    page.write_text(imports + region.format("try", "print(1)\n"))
    console = Console(file=io.StringIO(), width=80, _environ={})
    compare.compare(console, "toy", "jax,tf")
    lines = console.file.getvalue().splitlines()
    words = [line.split()[0] for line in lines[1:7]]
    assert words == ["header", "imports", "try", "+", "what", "#"]
    assert lines[6].split() == ["#", "nothing", "-"]


def test_layers_are_found_by_page_and_by_name():
    assert find_page("linear") == "linear.py"
    assert find_page("LinearReLU") == "linear.py"
    assert find_page("TensorReduction") == "bilinear.py"


@pytest.mark.parametrize(
    "layer", ["", "linaer", "adapter", "linear.py"]
)
def test_an_unknown_layer_names_the_pages(layer):
    with pytest.raises(Refused) as error:
        find_page(layer)
    text = str(error.value)
    assert "  linear                 Linear, LinearReLU" in text
    assert (
        "  linen  " in text and "not in pytorch_impl, tf_impl" in text
    )
    assert (layer == "") == ("make compare LAYER=" in text)
    if layer == "linaer":
        assert "'linaer'; did you mean linear or" in text


@pytest.mark.parametrize(
    "text",
    ["", "jax", "jax,jax", "jax,torch", "jax,tf,pytorch,mxnet,jax"],
)
def test_frameworks_are_two_to_four(text):
    with pytest.raises(
        Refused, match="two to four of pytorch,jax"
    ) as e:
        find_frameworks(text, "linear.py")
    assert repr(text) in str(e.value)


def test_a_folder_without_the_page_is_named():
    with pytest.raises(Refused, match=r"pytorch_impl has no linen\.py"):
        find_frameworks("jax,pytorch", "linen.py")


@pytest.mark.parametrize(
    "words, said",
    [
        (("compare", "", "pytorch,jax"), "LAYER is a page"),
        (("compare", "linaer", "pytorch,jax"), "did you mean linear"),
        (("compare", "linear", "jax"), "FRAMEWORKS expected"),
        (("compare", "linen", "jax,tf"), "tf_impl has no linen.py"),
    ],
)
def test_what_does_not_exist_is_exit_status_2(words, said):
    code, output, errors = command(*words)
    assert (code, output) == (2, "")
    assert said in errors and "Traceback" not in errors


def measured(jax=(8, 10), tf=(8, 10), mxnet=(8, 10)):
    columns = dict(jax=jax, tf=tf, mxnet=mxnet)
    return {
        "toy.py": {k: v and (v, (1, 2)) for k, v in columns.items()}
    }


@pytest.fixture
def said(monkeypatch):
    """What pages say in their last region: {framework: lines}."""
    lines = {}
    monkeypatch.setattr(
        compare.pages, "reasons", lambda fw, page: lines.get(fw, [])
    )
    return lines


def test_pages_that_line_up(said):
    assert complaints(measured()) == []
    assert complaints(measured(jax=(6, 10), tf=(9, 10))) == [], "60 %"
    exact = measured((3, 4), (3, 4), (3, 4))
    assert complaints(exact) == [], "75 %"


def test_the_average_is_too_low(said):
    wrong = complaints(measured(jax=(6, 10)))
    assert wrong == ["the average is 73.3%, expected 75% or more"]


def test_a_page_that_drifts_apart_says_why(said):
    pair = measured(jax=(59, 100), mxnet=(10, 10))
    (wrong,) = complaints(pair)
    assert wrong.startswith("jax_impl/toy.py: 59.0%, expected 60%")
    said["jax"] = ["# alignment: because"]
    assert complaints(pair) == []


def test_a_missing_page_is_a_complaint(said):
    wrong = complaints(measured(jax=None, mxnet=None))
    assert wrong == ["jax_impl, mxnet_impl: no toy.py"]


def test_the_average_is_over_pages(said):
    pair = measured((1, 1), (1, 2), None)
    pair |= {"long.py": {"jax": ((0, 100), (0, 9)), "tf": None}}
    assert compare.average(pair, ["jax"], 0) == 0.5
    assert compare.average(pair | {"long.py": {}}, [], 0) is None


def test_the_table(said, monkeypatch):
    pair = measured(jax=(5, 10), tf=None, mxnet=(9, 9))
    monkeypatch.setattr(compare, "measure", lambda: pair)
    console = Console(file=io.StringIO(), width=100, _environ={})
    assert compare.alignment(console) == 1
    output = console.file.getvalue()
    assert re.search(
        r"toy +5/10 +50% +50% +missing +9/9 100% +50%", output
    )
    assert re.search(
        r"average +50\.0% +50\.0% +- +- +100\.0% +50\.0%", output
    )
    overall = "average of the three: 75.0% of lines, 50.0% of code"
    assert overall in output
    assert "non-blank lines of a page, with the header" in output
    assert "tf_impl: no toy.py" in output
    said["jax"] = ["# alignment: because"]
    pair["toy.py"]["tf"] = ((9, 10), (9, 10))
    assert compare.alignment(console) == 0
    assert (
        "jax_impl/toy.py  # alignment: because"
        in console.file.getvalue()
    )


def test_every_page_is_measured():
    names = pages.files("pytorch") - pages.NOT_PAGES
    assert set(compare.measure()) == names


def test_make_passes_the_words_on():
    words = ("LAYER=mlp", "FRAMEWORKS=jax,tf")
    done = subprocess.run(
        ["make", "-n", "compare", "test-jax", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert 'compare compare "mlp" "jax,tf"' in done.stdout
    assert ".venv/jax/bin/python -m pytest" in done.stdout


def test_pages_that_differ_much_say_why():
    """As make alignment prints it."""
    assert complaints(compare.measure()) == []

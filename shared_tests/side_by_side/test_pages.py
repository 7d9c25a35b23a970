"""Reading pages: renaming goes just so far, and lines are well counted."""

import itertools

import numpy as np
import pytest

from shared_tests.side_by_side import pages
from shared_tests.side_by_side.pages import (
    align,
    alignment,
    renamed,
    sections,
)

ENVIRONMENTS = ("tools",)

TORCH = '''\
"""Toy: a page.

y = exp(x)
"""

# region imports
import torch

# endregion


# region function
def toy(x, scale: float = 1.0):
    y = torch.exp(x)
    return y


# endregion
'''
JAX = '''\
"""Toy: a page.

y = exp(x)
"""

# region imports
import jax.numpy as jnp

# endregion


# region function
def toy(x, scale: float = 1.0):
    y = jnp.exp(x)
    z = y
    return y


# endregion


# region what differs here
# jax 0.0.0: nothing
# alignment: a toy needs a z
# endregion
'''


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Four folders; write(framework, text, page) puts a page there."""
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    for framework in ("pytorch", "jax", "tf", "mxnet"):
        (tmp_path / f"{framework}_impl").mkdir()

    def write(framework, text, page="toy.py"):
        (tmp_path / f"{framework}_impl" / page).write_text(text)

    return write


@pytest.mark.parametrize(
    "line",
    [
        "y = jnp.exp(x)",
        "y = jax.numpy.exp(x)",
        "y = lax.exp(x)",
        "y = jax.lax.exp(x)",
        "y = tf.exp(x)",
        "y = np.exp(x)",
        "y = npx.exp(x)",
        "y = mx.np.exp(x)",
        "y = mx.npx.exp(x)",
        "y = mx.exp(x)",
    ],
)
def test_a_namespace_is_renamed(line):
    assert renamed(line) == renamed("y = torch.exp(x)")


@pytest.mark.parametrize(
    "folder", ["jax_impl", "tf_impl", "mxnet_impl"]
)
def test_a_folder_is_renamed(folder):
    line = "from {}.linear import Linear"
    assert renamed(line.format(folder)) == renamed(
        line.format("pytorch_impl")
    )


@pytest.mark.parametrize(
    "one, other",
    [
        ("import torch", "import jax"),
        ("y = torch.exp(x)", "y = jnp.expm1(x)"),
        ("y = torch.sum(x, dim=1)", "y = jnp.sum(x, axis=1)"),
        ("w = nn.Parameter(x)", "w = nnx.Param(x)"),
        ("y = torch.exp(x)", "y = pytorch_impl.exp(x)"),
        ("    return y", "        return y"),
    ],
)
def test_lines_that_stay_different(one, other):
    assert renamed(one) != renamed(other)


@pytest.mark.parametrize(
    "line",
    [
        "import torch",
        "y = numpy.exp(x)",
        "y = self.np.exp(x)",
        "y = xjnp.exp(x)",
        "from my_jax_impl import f",
        "from jax_implement import f",
        "np, tf = jax, mx",
    ],
)
def test_nothing_else_is_renamed(line):
    assert renamed(line) == line


def test_tokens_are_the_whole_line():
    line = '    y = jax.numpy.where(y <= 0, "a  b", x[..., -1])  # B N'
    spans = [(start, end) for _, start, end in pages.tokens(line)]
    assert "".join(line[a:b] for a, b in spans) == line
    assert ("<namespace>", 8, 18) in pages.tokens(line)


def test_sections(folders):
    folders("jax", JAX)
    found = sections("jax", "toy.py")
    names = ["header", "imports", "function", "what differs here"]
    assert [name for name, _ in found] == names
    assert found[0][1][:3] == ['"""Toy: a page.', "", "y = exp(x)"]
    assert found[1][1] == ["import jax.numpy as jnp", ""]
    assert pages.regions("jax", "toy.py") == names[1:]
    assert (
        pages.header("jax", "toy.py") == "Toy: a page.\n\ny = exp(x)\n"
    )


@pytest.mark.parametrize(
    "text, words",
    [
        (
            "# region a\n# region b\n# endregion\n",
            "# region b inside a",
        ),
        ("# region a\n", "a is not closed"),
        ("# endregion\n", "endregion without a region"),
        (
            "# region a\n# endregion\nx = 1\n",
            "outside every region: x = 1",
        ),
    ],
)
def test_broken_regions(folders, text, words):
    folders("tf", text)
    with pytest.raises(ValueError, match=f"tf_impl/toy.py: .*{words}"):
        sections("tf", "toy.py")


def test_definitions_and_arguments(folders):
    folders(
        "jax",
        "def f(x, bits: int = 8, *, rngs): ...\n"
        "def g(x, *, rngs, **options): ...\n"
        "class A:\n"
        "    def other(self): ...\n"
        "    def __init__(self, size: int, **kwargs): ...\n"
        "class B: ...\n",
    )
    assert pages.definitions("jax", "toy.py") == [
        ("f", "x, bits: int=8"),
        ("g", "x, **options"),
        ("A", "self, size: int"),
        ("B", []),
    ]


def test_public_names(folders):
    text = "import warnings\nfrom os import path\n"
    text += "from tf_impl.toy import Toy, toy\n"
    folders("tf", text, "__init__.py")
    assert pages.public("tf") == {"Toy": "toy.py", "toy": "toy.py"}


def longest_common(a, b):
    """By trying every choice of lines: for short lists only."""
    for size in range(min(len(a), len(b)), 0, -1):
        chosen = set(itertools.combinations(a, size))
        if chosen & set(itertools.combinations(b, size)):
            return size
    return 0


def test_align_finds_as_many_equal_lines_as_there_are():
    rng = np.random.default_rng(0)
    for _ in range(200):
        left, right = (
            list(rng.choice(list("abc"), rng.integers(0, 8)))
            for _ in range(2)
        )
        pairs = align(left, right, lambda a, b: a == b)
        assert [i for i, _ in pairs if i is not None] == list(
            range(len(left))
        )
        assert [j for _, j in pairs if j is not None] == list(
            range(len(right))
        )
        both = [pair for pair in pairs if None not in pair]
        assert all(left[i] == right[j] for i, j in both)
        assert len(both) == longest_common(left, right)


def test_alignment_counted_by_hand(folders):
    """Equal: 3 lines of header, 4 marks, and of 5 of code def, y, return."""
    folders("pytorch", TORCH)
    folders("jax", JAX)
    assert alignment("jax", "toy.py") == (10, 12)
    assert alignment("jax", "toy.py", code=True) == (3, 5)


def test_lines_in_another_order_are_not_equal(folders):
    folders("pytorch", "# region a\nx = 1\ny = 2\n# endregion\n")
    folders("tf", "# region a\ny = 2\nx = 1\n# endregion\n")
    assert alignment("tf", "toy.py") == (3, 4)


def test_reasons_stand_in_the_last_region(folders):
    folders("jax", JAX)
    reason = "# alignment: a toy needs a z"
    assert pages.reasons("jax", "toy.py") == [reason]
    folders("tf", f"# region imports\n{reason}\n# endregion\n")
    assert pages.reasons("tf", "toy.py") == []

"""Read the pages: header, regions, definitions, and how lines align.

Needs no framework: the pages are read, not imported. A page is named by
its file, linear.py, and is the same in the four folders but for what
the frameworks call things. Renaming goes just so far: a namespace
before a dot, and the name of the folder, become one symbol each.
"""

import ast
import difflib
import functools
import re

from shared_tests.files import ROOT

NOT_PAGES = {
    "__init__.py",
    "adapter.py",
    "at_home.py",
    "builtins/encoder.py",
    "builtins/__init__.py",
    "exports/__init__.py",
    "portable/__init__.py",
    "quantization/__init__.py",
    "quantization/export.py",
    "state_file.py",
    "export.py",
    "exports/onnx_layers.py",
    "quantization/onnx_quantizer.py",
    "transforms.py",
}
DIFFERS = "what differs here"
WHY = (
    "# alignment:"  # starts the line that says why a page aligns badly
)

NAMESPACE = re.compile(
    r"(?P<namespace>(?<!\.)(?:torch|jnp|jax\.numpy|jax\.lax|lax|jax|tf"
    r"|mx\.np|mx\.npx|np|npx|mx)\.)"
    r"|(?P<folder>(?:pytorch|jax|tf|mxnet)_impl\b)"
    r"|\w+|\s+|."
)


def paths(framework):
    """The files of a framework's folder, kernels apart, in order.

    Pages in folders of their own count too: what is not found here is
    not lined up, not tried by the mutation trial and in no digest.
    """
    folder = ROOT / f"{framework}_impl"
    found = folder.rglob("*.py")
    return sorted(
        path for path in found if path.parent.name != "kernels"
    )


def files(framework):
    """Names of the pages: paths such as linear.py, inside the folder."""
    folder = ROOT / f"{framework}_impl"
    return {
        path.relative_to(folder).as_posix() for path in paths(framework)
    }


def page_of(module):
    """jax_impl.linear is the module of linear.py."""
    return module.split(".", 1)[1].replace(".", "/") + ".py"


def source(framework, page):
    return (ROOT / f"{framework}_impl" / page).read_text()


def tree(framework, page):
    return ast.parse(source(framework, page))


def header(framework, page):
    """The docstring, byte for byte as it stands in the file."""
    return source(framework, page).split('"""')[1]


def sections(framework, page):
    """[("header", lines), (region name, lines), ...] in order.

    Raises: ValueError for a region inside another or not closed, an end
        without a region, and a line outside every region
    """
    where = f"{framework}_impl/{page}"
    found, inside = [("header", [])], None
    for line in source(framework, page).splitlines():
        if line.startswith("# region "):
            if inside is not None:
                raise ValueError(f"{where}: {line} inside {inside}")
            inside = line.removeprefix("# region ")
            found.append((inside, []))
        elif line == "# endregion":
            if inside is None:
                raise ValueError(f"{where}: endregion without a region")
            inside = None
        elif inside is not None or len(found) == 1:
            found[-1][1].append(line)
        elif line.strip():
            raise ValueError(f"{where}: outside every region: {line}")
    if inside is not None:
        raise ValueError(f"{where}: {inside} is not closed")
    return found


def regions(framework, page):
    return [name for name, _ in sections(framework, page)[1:]]


def public(framework):
    """{name: page} of what the package imports from its pages."""
    return {
        alias.name: page_of(node.module)
        for node in tree(framework, "__init__.py").body
        if isinstance(node, ast.ImportFrom)
        and node.module.startswith(f"{framework}_impl.")
        for alias in node.names
    }


def definitions(framework, page):
    """[(name, argument names with defaults)] of functions and layers."""
    found = []
    for node in tree(framework, page).body:
        if isinstance(node, ast.FunctionDef):
            found.append((node.name, arguments(node)))
        if isinstance(node, ast.ClassDef):
            made = [
                arguments(inner)
                for inner in node.body
                if isinstance(inner, ast.FunctionDef)
                and inner.name == "__init__"
            ]
            found.append((node.name, made[0] if made else []))
    return found


def arguments(function):
    """Names, hints and defaults, less the two declared exceptions."""
    text = ast.unparse(function.args)
    # NNX: keyword, last but for **options
    text = re.sub(r"(, \*)?, rngs(?=$|, \*\*)", "", text)
    return re.sub(r", \*\*kwargs$", "", text)  # Keras, Gluon: last


@functools.cache
def tokens(line):
    """[(symbol, start, end)] of a line; the symbol is the renamed text."""
    return [
        (
            f"<{m.lastgroup}>" if m.lastgroup else m[0],
            m.start(),
            m.end(),
        )
        for m in NAMESPACE.finditer(line)
    ]


@functools.cache
def renamed(line):
    return "".join(symbol for symbol, _, _ in tokens(line))


@functools.cache
def words(line):
    return [s for s, _, _ in tokens(line) if not s.isspace()]


@functools.cache
def similarity(a, b):
    """Share of the tokens that two lines have in common, in order."""
    matcher = difflib.SequenceMatcher(None, words(a), words(b), False)
    return matcher.ratio()


def align(left, right, score):
    """[(i, j)] in order, None for a gap: the pairs with the best total.

    score(a, b) is 0 where two elements may not stand side by side.
    """
    worth = [[score(a, b) for b in right] for a in left]
    best = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i in reversed(range(len(left))):
        for j in reversed(range(len(right))):
            best[i][j] = max(
                best[i + 1][j],
                best[i][j + 1],
                best[i + 1][j + 1] + worth[i][j],
            )
    pairs, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        paired = best[i + 1][j + 1] + worth[i][j]
        if worth[i][j] and best[i][j] == paired:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            pairs.append((i, None))
            i += 1
        else:
            pairs.append((None, j))
            j += 1
    pairs += [(k, None) for k in range(i, len(left))]
    return pairs + [(None, k) for k in range(j, len(right))]


def counted(framework, page, code=False):
    """The renamed lines that alignment counts; code: without marks."""
    lines = []
    for name, inside in sections(framework, page):
        if name == DIFFERS or (code and name == "header"):
            continue
        if code or name == "header":
            lines += inside
        else:
            lines += [f"# region {name}", *inside, "# endregion"]
    return [renamed(line) for line in lines if line.strip()]


def alignment(framework, page, code=False):
    """(lines equal to the PyTorch page, lines) after renaming, in order."""
    twin = counted("pytorch", page, code)
    lines = counted(framework, page, code)
    pairs = align(twin, lines, lambda a, b: a == b)
    return sum(None not in pair for pair in pairs), len(lines)


def reasons(framework, page):
    """What the last region says about the alignment of a page."""
    last = dict(sections(framework, page)).get(DIFFERS, [])
    return [line for line in last if line.startswith(WHY)]

"""The report of layers as a tree of modules, the first wrong one marked."""

import math

from .layers import PREFIX, WRONG, calls_of, first_wrong

MARK = "<- the first that is wrong"
WORST = ("bug", "missing", "no verdict", "undecided", "rounding")


def rows(lines, left=()):
    """[(depth, name, text, word)] of modules, in the order in which their
    parts ran; text and word are empty where nothing was compared.

    left: names "layer.<path>" that the other side does not have
    """
    calls = calls_of(lines)
    judged = {}  # {call: its lines}
    for line in lines:
        if line.name in calls:
            judged.setdefault(calls[line.name], []).append(line)
    lost = [
        name[len(PREFIX) :]
        for name in left
        if name.startswith(PREFIX) and "@" not in name
    ]
    first = first_wrong(lines)
    marked = [
        call for call in judged if call.partition("#")[0] == first
    ]
    wrong = [c for c in marked if summary(judged[c])[1] in WRONG]
    marked = (wrong or marked)[:1]
    found = []
    if first == "":
        found.append((0, "the module itself", MARK, "bug"))
    nested = {}
    for path in [*judged, *(p for p in lost if p not in judged)]:
        below = nested
        for part in path.split("."):
            below = below.setdefault(part, {})

    def walk(below, depth, path):
        for part, parts in below.items():
            name = f"{path}{part}"
            text, word = "", ""
            if name in judged:
                text, word = summary(judged[name])
            elif name in lost:
                text = "not compared"
            if name in marked:
                buffer = "" if wrong else ", but its buffers are not"
                text, word = f"{text}{buffer} {MARK}", "bug"
            found.append((depth, part, text, word))
            walk(parts, depth + 1, f"{name}.")

    walk(nested, 0, "")
    return found


def summary(lines):
    """(text, word) of one call, by the worst of its outputs."""
    word = min((line.word for line in lines), key=WORST.index)
    ratio = max(line.ratio for line in lines)
    rms = max(
        (x.rms for x in lines if not math.isnan(x.rms)), default=0
    )
    return (
        f"{ratio:.3g} of the budget, rms/sigma {rms:.2g}: {word}",
        word,
    )


def plain(lines, left=()):
    """The tree as text, two spaces a level."""
    return "\n".join(
        f"{'  ' * depth}{name}  {text}".rstrip()
        for depth, name, text, _ in rows(lines, left)
    )


def tree(lines, left=()):
    """What prints as the tree: of rich where it is installed, else text."""
    try:
        from rich.text import Text
        from rich.tree import Tree
    except ImportError:
        return plain(lines, left)
    root = Tree("layers")
    path = [root]
    for depth, name, text, word in rows(lines, left):
        style = "bold red" if word in WRONG else ""
        style = "bold yellow" if word == "undecided" else style
        label = Text(f"{name}  {text}".rstrip(), style=style)
        del path[depth + 1 :]
        path.append(path[depth].add(label))
    return root

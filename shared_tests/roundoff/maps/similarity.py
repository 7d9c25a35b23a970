"""Which names of two sides are most alike.

A name is its words and numbers, and a kind: the weight of Flax's
`layers_0/Dense_1/kernel`. A number counts as equal only where both sides
number in the same way: a `conv1` beside a `conv2` tells nothing about
`conv_1` beside a `conv_0`.

NumPy only, and Python 3.8 on.
"""

import difflib
import re

KINDS = {
    **dict.fromkeys(
        "kernel scale gamma embedding embeddings weights".split(),
        "weight",
    ),
    "beta": "bias",
    **dict.fromkeys(("moving_mean", "mean"), "running_mean"),
    **dict.fromkeys(
        ("moving_variance", "moving_var", "var"), "running_var"
    ),
}


def kind(name):
    """What an array is, by the last part of its name."""
    leaf = re.split(r"[./]", name)[-1]
    return KINDS.get(leaf, leaf)


def words(name):
    """['layers', '0', 'q'] of 'layers.0.q.weight'."""
    path = "_".join(re.split(r"[./]", name)[:-1])
    found = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", path)
    return [word.lower() for word in found]


def labelled(names):
    """{name: words}, each number with all that stand in its place."""
    split = {name: words(name) for name in names}
    places = {}  # {words before it: numbers, "" for none}
    for path in split.values():
        for i, word in enumerate(path):
            if word.isdigit():
                places.setdefault(tuple(path[:i]), set()).add(word)
    for path in split.values():
        if tuple(path) in places:
            places[tuple(path)].add("")

    def label(path, i):
        if not path[i].isdigit():
            return path[i]
        return f"{path[i]} of {sorted(places[tuple(path[:i])])}"

    return {
        name: [label(path, i) for i in range(len(path))]
        for name, path in split.items()
    }


def likeness(names, others):
    """A function of a name and another that says from 0 to 1 how much
    of them, without the kind, agrees."""
    ours, theirs = labelled(names), labelled(others)

    def alike(name, other):
        pair = ours[name], theirs[other]
        return difflib.SequenceMatcher(None, *pair, False).ratio()

    return alike


def only_ones(fits):
    """{other: name} of those that fit nothing else, both ways.

    fits: {other: names that fit}
    """
    counts = {}
    for names in fits.values():
        for name in names:
            counts[name] = counts.get(name, 0) + 1
    return {
        other: names[0]
        for other, names in fits.items()
        if len(names) == 1 and counts[names[0]] == 1
    }


def most_similar(fits, alike):
    """{other: name}, each the other's best, and better than the next."""
    of_other, of_name = {}, {}
    for other, names in fits.items():
        for name in names:
            score = alike(name, other)
            of_other.setdefault(other, []).append((score, name))
            of_name.setdefault(name, []).append((score, other))
    pairs = {}
    for other, answers in of_other.items():
        name = best(answers)
        if name is not None and best(of_name[name]) == other:
            pairs[other] = name
    return pairs


def best(answers):
    """Of [(score, name)] the highest, unless 0 or shared; else None."""
    score, name = max(answers)
    shared = [other for other, _ in answers if other == score]
    return name if score > 0 and len(shared) == 1 else None

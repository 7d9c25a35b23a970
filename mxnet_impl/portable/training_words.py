"""Training words: the words of a portable file, and of an optimizer.

parse(texts)  the words of a file, from the texts in which it has them
training_words(training, tensors)  rule, lr and step as words, and first
    and second as tensors: one like each of some tensors of the layer
split(words, tensors)  the tensors of the layer; training, or None

Raises: ValueError for words that are missing, unknown or of another
        type, and for arrays that are like no array of the layer
"""

# region imports
import json
import math

from mxnet_impl.portable.arrays import to_array, to_tensor
from mxnet_impl.portable.expect import expect
from mxnet_impl.portable.tensor_header import each_once, no_number

RULES = "sgd", "momentum", "adam"
WORDS = dict(config=dict, replaced=dict, modes=dict, tied=dict)
WORDS |= dict(frozen=list, training=(dict, type(None)))
# endregion


# region function
def parse(texts):
    want = {"layer", "version", *WORDS}
    expect(texts.keys() == want, "words", sorted(want), sorted(texts))
    hooks = dict(parse_constant=no_number, object_pairs_hook=each_once)
    words = {n: json.loads(texts[n], **hooks) for n in WORDS}
    for word, kind in WORDS.items():
        right = isinstance(words[word], kind)
        expect(right, word, f"a JSON {kind}", words[word])
    for name in words["frozen"]:
        expect(isinstance(name, str), "frozen", "names", name)
    return words | dict(layer=texts["layer"])


def check_training(words):
    keys = {"rule", "lr", "step"}
    expect(words.keys() == keys, "training", sorted(keys), words)
    rule, lr, step = (words[n] for n in ("rule", "lr", "step"))
    known = isinstance(rule, str) and rule in RULES
    expect(known, "rule", " or ".join(RULES), rule)
    real = type(lr) in (int, float) and math.isfinite(lr)
    expect(real, "lr", "a finite number", lr)
    whole = type(step) is int and step >= 0
    expect(whole, "step", "an integer of at least 0", step)


def training_words(training, tensors):
    if training is None:
        return None, {}
    words, more = dict(training), {}
    for state in ("first", "second"):
        for name, array in words.pop(state).items():
            more[f"training.{state}.{name}"] = to_tensor(array)
    split(words, tensors | more)  # what cannot be read is not written
    return words, more


def split(words, tensors):
    own = {n: t for n, t in tensors.items() if n[:9] != "training."}
    if words is None:
        more = sorted(tensors.keys() - own.keys())
        expect(not more, "training", "its words for", more)
        return own, None
    check_training(words)
    found = dict(first={}, second={})
    for name in sorted(tensors.keys() - own.keys()):
        _, state, rest = name.split(".", 2)
        like = own.get(rest, (None, None))[:2]
        expect(state in found, name, "first or second", state)
        got = tensors[name][:2]
        expect(got == like, name, f"dtype, shape of {rest}", got)
        found[state][rest] = to_array(tensors[name])
    return own, words | found


# endregion


# region try
if __name__ == "__main__":
    words = dict(rule="sgd", lr=0.1, step=3)
    print(training_words(words | dict(first={}, second={}), {}))
# endregion

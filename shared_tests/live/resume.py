"""Stop in one framework, go on in another: 10 steps here, 10 there.

    for found in resumed(folder, CASES):    a Resumed for each case, pair
    python -m shared_tests.live.resume           prints the table of them

Each framework makes the first half of every trajectory of cases.py that
CASES names, and saves it (portable/checkpoint.py); then each goes on from
the file of each of the others. Both halves together are judged by the
budget of the run that was never stopped. Two phases of one process a
framework:
    .venv/<fw>/bin/python -m shared_tests.live.resume <fw> FOLDER CASE ...
says a line when its files are there, reads one, and says one at its end.
"""

import importlib
import pathlib
import sys
import tempfile
from typing import NamedTuple

import numpy as np

from shared_tests.cases import CASES as ROWS
from shared_tests.environments import FRAMEWORKS, TITLES
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.processes import Child, answers, module
from shared_tests.run import group
from shared_tests.verdict import judge

LAYERS = ("MLP", "TransformerClassifier")
CASES = [c for c in ROWS if c.training and c.layer in LAYERS]
# one that has all of it to remember, where every page has a part
LIGHT = [c for c in CASES if c.layer == "MLP" or "adam" in c.flags]
HALF = 10  # of 20 steps
SECONDS = 600  # for half of them all, on a busy machine
PRECISION = "float64"  # where the least fault shows


class Resumed(NamedTuple):
    case: object
    one: str
    other: str
    verdicts: dict


def checkpoint(folder, case, framework):
    return folder / f"{case.id}.{framework}.safetensors"


def numbers_of(folder, case, one, other=""):
    """The losses, and the parameters after each step, of one half."""
    return folder / f"{case.id}.{one}.{other}.npz"


class Half:
    """What makes half a trajectory, in the process of a framework."""

    def __init__(self, framework):
        self.adapter, self.portable, self.training, self.parameters = (
            importlib.import_module(f"{framework}_impl.{page}")
            for page in (
                "adapter",
                "portable.checkpoint",
                "training",
                "parameters",
            )
        )
        self.framework = framework
        self.manifest = read_manifest()

    def first(self, case, path):
        """From the start of the case; saved at its end."""
        fixture = read_fixture(case, self.manifest)
        params = group(fixture, "param")
        layer = self.adapter.build(
            case.layer, case.config, params, PRECISION
        ).call
        start = importlib.import_module(
            f"{self.framework}_impl.training_state"
        ).start_state
        rule = getattr(self.training, case.training["rule"])
        state = start(layer, rule, case.training["lr"])
        kept = self.steps(case, layer, slice(HALF), state)
        self.portable.save_portable(layer, path, state)
        return kept

    def second(self, case, path):
        """From a file on, of which nothing is known but its case."""
        layer, state = self.portable.load_portable(path)
        return self.steps(case, layer, slice(HALF, None), state)

    def steps(self, case, layer, which, state):
        fixture = read_fixture(case, self.manifest)
        batches = (
            self.adapter.to_tensor(fixture[f"in.{n}"][which], PRECISION)
            for n in ("x", "target")
        )
        losses = self.training.train(
            layer,
            getattr(self.training, case.training["loss"]),
            getattr(self.training, case.training["rule"]),
            zip(*batches),
            state["lr"],
            state,
        )
        kept = {}
        for loss in losses:
            kept.setdefault("trained.loss", []).append(
                self.adapter.to_numpy(loss)
            )
            for name, array in self.params(layer).items():
                kept.setdefault(f"trained.{name}", []).append(array)
        return kept

    def params(self, layer):
        array = {
            "pytorch": lambda p: p.clone(),
            "jax": lambda p: p[...],
            "tf": lambda p: p.value,
            "mxnet": lambda p: p.data(),
        }[self.framework]
        named = self.parameters.named_parameters(layer)
        return {
            n: self.adapter.to_numpy(array(p)) for n, p in named.items()
        }


def work(framework, folder, cases):
    """In the process of a framework."""
    with answers() as out:

        def say(word):
            out.write(word)
            out.flush()

        half = Half(framework)
        for case in cases:
            kept = half.first(case, checkpoint(folder, case, framework))
            np.savez(numbers_of(folder, case, framework), **kept)
        say(b"saved\n")
        sys.stdin.readline()
        for case in cases:
            for one in set(FRAMEWORKS) - {framework}:
                kept = half.second(case, checkpoint(folder, case, one))
                path = numbers_of(folder, case, one, framework)
                np.savez(path, **kept)
        say(b"done\n")


def resumed(folder, cases):
    """Resumed for each case and each ordered pair of frameworks."""
    page, ids = "shared_tests.live.resume", [c.id for c in cases]
    children = [
        Child(module(name, page, name, str(folder), *ids))
        for name in FRAMEWORKS
    ]
    try:
        for child in children:
            assert child.line(SECONDS) == b"saved\n"
        for child in children:
            child.send(b"\n", SECONDS)
        for child in children:
            assert child.line(SECONDS) == b"done\n"
    finally:
        for child in children:
            child.stop()
    manifest = read_manifest()
    for case in cases:
        fixture = read_fixture(case, manifest)
        for one in FRAMEWORKS:
            for other in FRAMEWORKS:
                if one != other:
                    found = verdicts(folder, case, one, other, fixture)
                    yield Resumed(case, one, other, found)


def verdicts(folder, case, one, other, fixture):
    """{array: Verdict} of both halves together."""
    first = np.load(numbers_of(folder, case, one))
    second = np.load(numbers_of(folder, case, one, other))
    references = group(fixture, "ref")
    assert set(first) == set(second) == set(references)
    return {
        name: judge(
            np.concatenate([first[name], second[name]]),
            reference,
            fixture[f"sigma.{name}"],
            PRECISION,
        )
        for name, reference in references.items()
    }


def table(found):
    """Rows of Markdown: the worst ratio of each pair and rule."""
    worst = {}
    for each in found:
        pair = f"{TITLES[each.one]} to {TITLES[each.other]}"
        ratio = max(v.ratio for v in each.verdicts.values())
        worst.setdefault(pair, {})[each.case.id] = ratio
    ids = [case.id for case in CASES]
    yield f"| 10 steps, then 10 | {' | '.join(ids)} |"
    yield "|---" * (1 + len(ids)) + "|"
    for pair, ratios in worst.items():
        cells = " | ".join(f"{ratios[i]:.2f}" for i in ids)
        yield f"| {pair} | {cells} |"


def main():
    if sys.argv[1:]:
        framework, folder, *ids = sys.argv[1:]
        cases = [case for case in CASES if case.id in ids]
        return work(framework, pathlib.Path(folder), cases)
    with tempfile.TemporaryDirectory() as folder:
        print(*table(resumed(pathlib.Path(folder), CASES)), sep="\n")
    return None


if __name__ == "__main__":
    main()

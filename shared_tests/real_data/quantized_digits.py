"""Handwritten digits in float and with few bits, in every framework.

python -m shared_tests.real_data.quantized_digits [jax | page]
    all four, then the page; one of them; the page of what is there

From one start and the same batches each framework trains a float model,
quantizes it as it is (post-training quantization) and trains it on with
quantizers: straight-through, PACT and LSQ. Every row is one number of
test images that were recognised; rows are written to build/digits/ as
they come, and a run that was interrupted goes on where it was. The page
is docs/quantization.md, its plot docs/quantization.svg.
"""

import importlib
import io
import math
import sys
from collections import Counter
from concurrent import futures
from typing import NamedTuple

import numpy as np

from shared_tests.files import ROOT, append, json_lines, write
from shared_tests.processes import finish, how_it_ended, module
from shared_tests.real_data.tasks import (
    TASKS,
    draw_order,
    read_run,
    samples,
)

SEEDS, BITS = range(5), (8, 4, 3, 2)
METHODS = {
    "ptq": "post-training",
    "ste": "straight-through",
    "pact": "PACT",
    "lsq": "LSQ",
}
PAGE = ROOT / "docs" / "quantization.md"
FOLDER = ROOT / "build" / "digits"
DIGITS = TASKS["digits"]


class Model(NamedTuple):
    layer: str
    config: dict
    shape: tuple  # of one image
    steps: tuple  # with quantizers: at lr, then at lr / 8
    lr: float
    positive: tuple  # the layers whose input is never below 0


MODELS = {
    "MLP": Model(
        "MLP",
        dict(input_size=64, hidden_size=32, output_size=10, scale=1.0),
        (64,),
        steps=(600, 400),
        lr=1 / 32,
        positive=("layer1", "layer2"),
    ),
    "transformer": Model(
        "TransformerClassifier",
        DIGITS.config,
        (8, 8),
        steps=(200, 100),
        lr=1 / 64,
        positive=("embed", "*.mlp.layer2"),
    ),
}


# every kind of quantizer in one model
LEARNED = dict(weight_quantizer="lsq", input_quantizer="lsq")
MIXED = {
    "*": dict(weight_bits=4),
    "*.mlp.*": dict(weight_bits=3, input_bits=4) | LEARNED,
    "*.mlp.layer2": dict(weight_bits=3, input_bits=4)
    | dict(weight_quantizer="lsq", input_quantizer="pact"),
    "*.attention.*": dict(weight_bits=3, input_quantizer="percentile"),
    "head": dict(input_quantizer="min_max"),
}


def options(model, method, bits):
    """What prepare gets; PACT is for inputs that are never below 0."""
    both = dict(weight_bits=bits, input_bits=bits)
    if method == "ptq":
        return {"*": both | dict(input_quantizer="min_max")}
    if method == "ste":
        return {"*": both}
    if method == "pact":
        special = both | dict(input_quantizer="pact")
    else:
        both |= dict(weight_quantizer="lsq", input_quantizer="lsq")
        special = both | dict(input_signed=False)
    return {"*": both} | dict.fromkeys(model.positive, special)


def first(rng, name, shape):
    """The start: glorot weights, biases of 0, norms of 1; float32."""
    if len(shape) < 2:
        value = float(name.endswith("norm.weight") or ".norm" in name)
        return np.full(shape, value, np.float32)
    bound = math.sqrt(6 / sum(shape))
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def to_array(adapter, x):
    """A NumPy copy of a tensor, a parameter or a state."""
    x = x.data() if hasattr(x, "list_data") else x  # MXNet's Parameter
    # MXNet 1.9.1: an array of shape () refuses x[...]
    return np.array(
        adapter.to_numpy(x if hasattr(x, "asnumpy") else x[...])
    )


class Framework:
    """What a run needs of one of them."""

    def __init__(self, name, precision="float32"):
        self.adapter = importlib.import_module(f"{name}_impl.adapter")
        self.training = importlib.import_module(f"{name}_impl.training")
        self.prepare, self.convert, self.int8_linear = (
            importlib.import_module(f"{name}_impl.quantization.{page}")
            for page in ("prepare", "convert", "int8_linear")
        )
        self.precision = precision

    def tensor(self, x):
        return self.adapter.to_tensor(x, self.precision)

    def build(self, model, params):
        return self.adapter.build(
            model.layer, model.config, params, self.precision
        )

    def train(self, model, rule, batches, lr):
        """The losses; batches is (x, target), each (steps, batch, ...)"""
        pairs = zip(*(self.tensor(each) for each in batches))
        loss = self.training.cross_entropy
        rule = getattr(self.training, rule)
        steps = self.training.train(model, loss, rule, pairs, lr)
        to_numpy = self.adapter.to_numpy
        return np.array([to_numpy(value) for value in steps])

    def int8_layers(self, model):
        return self.prepare.find(model, self.int8_linear.Int8Linear)

    def correct(self, model, x, target):
        y = self.adapter.to_numpy(model(self.tensor(x)))
        return int((y.argmax(axis=1) == target).sum())


def draw_batches(rng, x, target, steps):
    order = draw_order(rng, len(x), DIGITS.batch, steps)
    return x[order], target[order]


def images(model, seed):
    """The test set and the training set of this seed."""
    split = np.random.default_rng(seed).permutation(1797)
    return [
        (x.reshape(len(x), *model.shape), target)
        for x, target in samples("digits", split)
    ]


def float_start(framework, name, seed):
    """Parameters of the trained float model."""
    model, rng = MODELS[name], np.random.default_rng([seed, 1])
    shapes = framework.adapter.shapes(model.layer, model.config)
    start = {n: first(rng, n, s) for n, s in shapes.items()}
    batches = draw_batches(rng, *images(model, seed)[1], DIGITS.steps)
    built = framework.build(model, start)
    inputs = dict(zip(("x", "target"), batches))
    results = framework.adapter.train(
        built, inputs, history=False, **DIGITS.training
    )
    return {n: results[f"trained.{n}"] for n in start}


def quantized(framework, name, seed, params, method, bits):
    """The model, converted to whole numbers."""
    model, rng = MODELS[name], np.random.default_rng([seed, 2])
    _, (x, target) = images(model, seed)
    layer = framework.build(model, params).call
    layer = framework.prepare.prepare(
        layer, options(model, method, bits)
    )
    framework.prepare.set_mode(layer, "observe")
    layer(framework.tensor(x))
    if method != "ptq":
        framework.prepare.set_mode(layer, "quantize")
        for steps, lr in zip(model.steps, (model.lr, model.lr / 8)):
            batches = draw_batches(rng, x, target, steps)
            framework.train(layer, "momentum", batches, lr)
    return framework.convert.convert(layer)


def run(name, emit, done):
    """Every row that is not done: (model, seed, method, bits, correct)."""
    framework = Framework(name)
    for seed in SEEDS:
        for task, model in MODELS.items():
            todo = [
                (method, bits) for method in METHODS for bits in BITS
            ]
            todo = [("float", 32), *todo]
            todo = [t for t in todo if (task, seed, *t) not in done]
            if not todo:
                continue
            test, _ = images(model, seed)
            params = float_start(framework, task, seed)
            for method, bits in todo:
                if method == "float":
                    layer = framework.build(model, params).call
                else:
                    layer = quantized(
                        framework, task, seed, params, method, bits
                    )
                correct = framework.correct(layer, *test)
                emit([task, seed, method, bits, correct])


def integers(name):
    """{array: ndarray} after 200 steps in float64, from the weights that
    real_data.py has trained: the whole numbers of the converted model."""
    framework, run = Framework(name, "float64"), read_run("digits")
    head = "ref.trained."
    params = {
        key.removeprefix(head): value
        for key, value in run.items()
        if key.startswith(head) and key != f"{head}loss"
    }
    (_, _), (x, target) = samples("digits", run["split"])
    model = framework.build(MODELS["transformer"], params).call
    framework.prepare.prepare(model, MIXED)
    framework.prepare.set_mode(model, "observe")
    model(framework.tensor(x[:256]))
    framework.prepare.set_mode(model, "quantize")
    order = run["order"][:200]
    batches = x[order], target[order]
    losses = framework.train(model, "momentum", batches, 1 / 64)
    framework.convert.convert(model)
    found = {}
    for name, layer in framework.int8_layers(model).items():
        for part in ("weight", "bias", "zero_point"):
            array = to_array(framework.adapter, getattr(layer, part))
            found[f"{name}.{part}"] = array
    return found, losses


def read(name):
    path = FOLDER / f"{name}.jsonl"
    return {tuple(row[:4]): row[4] for row in json_lines(path)}


def run_one(name):
    done = read(name)
    total = len(SEEDS) * len(MODELS) * (1 + len(METHODS) * len(BITS))

    def emit(row):
        append(FOLDER / f"{name}.jsonl", row)
        done[tuple(row[:4])] = row[4]
        task, seed, method, bits, correct = row
        print(
            f"{name} {len(done)}/{total}: {task}, seed {seed}, "
            f"{method} {bits} bits: {correct} of {DIGITS.test}",
            flush=True,
        )

    run(name, emit, done)


def seeds(rows):
    """Those of which every row is there."""
    each = len(MODELS) * (1 + len(METHODS) * len(BITS))
    count = Counter(seed for _, seed, _, _ in rows)
    return [seed for seed in SEEDS if count[seed] == each]


def share(rows, task, method, bits):
    """Recognised test images of every seed, in percent."""
    found = [rows[task, seed, method, bits] for seed in seeds(rows)]
    return 100 * np.array(found) / DIGITS.test


def recovered(rows, task, method, bits):
    """Of what post-training quantization loses, in percent."""
    best = share(rows, task, "float", 32).mean()
    lost = best - share(rows, task, "ptq", bits).mean()
    left = best - share(rows, task, method, bits).mean()
    return 100 * (1 - left / lost)


def table(rows, task):
    """Markdown: mean and spread of the seeds, and what is recovered."""
    names = list(rows)
    heads = [
        f"{name}, {len(seeds(rows[name]))} seeds" for name in names
    ]
    lines = [
        "| bits | method | " + " | ".join(heads) + " |",
        "|---|---|" + "---|" * len(names),
    ]

    def cell(name, method, bits):
        if len(seeds(rows[name])) < 2:
            return "not measured"
        percent = share(rows[name], task, method, bits)
        text = f"{percent.mean():.1f} ± {percent.std(ddof=1):.1f}"
        if bits < 4 and method not in ("float", "ptq"):
            text += (
                f" ({recovered(rows[name], task, method, bits):.0f} %)"
            )
        return text

    for bits, method in [(32, "float")] + [
        (bits, method) for bits in BITS for method in METHODS
    ]:
        cells = [cell(name, method, bits) for name in names]
        title = METHODS.get(method, method)
        lines.append(
            f"| {bits} | {title} | " + " | ".join(cells) + " |"
        )
    return "\n".join(lines) + "\n"


def plot(rows, path):
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "digits"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        len(MODELS),
        len(rows),
        figsize=(12, 6),
        sharex=True,
        sharey="row",
    )
    for line, task in zip(axes, MODELS):
        for axis, name in zip(line, rows):
            if len(seeds(rows[name])) < 2:
                axis.set_title(f"{name}: not measured")
                continue
            best = share(rows[name], task, "float", 32)
            axis.axhline(best.mean(), color="0.5", label="float")
            for shift, (method, title) in enumerate(METHODS.items()):
                every = [
                    share(rows[name], task, method, b) for b in BITS
                ]
                at = np.arange(len(BITS)) + (shift - 1.5) / 12
                axis.errorbar(
                    at,
                    [percent.mean() for percent in every],
                    [percent.std(ddof=1) for percent in every],
                    marker="osd^"[shift],
                    label=title,
                    capsize=2,
                )
            axis.set_xticks(range(len(BITS)), BITS)
            axis.grid(alpha=0.3)
            if task == next(iter(MODELS)):
                axis.set_title(name)
            else:
                axis.set_xlabel("bits of weights and inputs")
        line[0].set_ylabel(f"{task}: % recognised")
    axes[0][0].legend(loc="lower left", fontsize="small")
    figure.tight_layout()
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    write(path, text.getvalue())


def write_page(rows, page=PAGE):
    """The tables between the marks of the page, and the plot beside it."""
    text = page.read_text()
    for task in MODELS:
        start, end = f"<!-- {task} -->\n", f"<!-- /{task} -->\n"
        before, rest = text.split(start)
        after = rest.split(end)[1]
        text = before + start + table(rows, task) + end + after
    plot(rows, page.with_suffix(".svg"))
    write(page, text)


def run_all():
    """Two at a time; 0, or 1 where a framework did not finish."""
    from shared_tests.environments import FRAMEWORKS

    def one(name):
        command = module(name, "shared_tests.command", "digits", name)
        code, _ = finish(command)
        return f"{name}: {how_it_ended(code)}" if code else ""

    with futures.ThreadPoolExecutor(2) as pool:
        broken = [text for text in pool.map(one, FRAMEWORKS) if text]
    if broken:
        print(f"no page: {', '.join(broken)}")
        return 1
    write_page({name: read(name) for name in FRAMEWORKS})
    return 0


def main():
    if sys.argv[1:] == ["page"]:
        from shared_tests.environments import FRAMEWORKS

        return write_page({name: read(name) for name in FRAMEWORKS})
    if sys.argv[1:]:
        return run_one(sys.argv[1])
    return run_all()


if __name__ == "__main__":
    sys.exit(main())

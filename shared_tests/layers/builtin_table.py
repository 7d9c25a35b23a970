"""The two tables of docs/built-in-layers.md: layers, and parameters.

python -m shared_tests.layers.builtin_table  writes them anew

They are those of the four builtins/layouts.py, which are data alone: they
are read here without any framework. The text around them stays.
"""

import runpy

from shared_tests.environments import FRAMEWORKS
from shared_tests.files import ROOT

PAGE = ROOT / "docs" / "built-in-layers.md"
SHAPES = {
    "Linear": {"weight": "O I", "bias": "O"},
    "StandardizedConv2d": {"weight": "O I k k", "bias": "O"},
    "RMSNorm": {"weight": "C"},
    "TensorReduction": {"weight": "I I K"},
    "MultiHeadAttention": {
        "qkv.weight": "(H+2G)D C",
        "qkv.bias": "(H+2G)D",
        "out.weight": "C C",
        "out.bias": "C",
    },
}
TITLES = {
    "pytorch": "PyTorch `nn`",
    "jax": "JAX `nnx`",
    "tf": "Keras `layers`",
    "mxnet": "Gluon `nn`",
}
ROWS = {
    (0, "HD"): "rows 0 to HD, the queries",
    ("HD", "HD+GD"): "rows HD to HD+GD, the keys",
    ("HD+GD", "HD+2GD"): "rows HD+GD to the end, the values",
}


def layouts():
    """{framework: LAYOUTS}"""
    return {
        name: runpy.run_path(
            str(ROOT / f"{name}_impl/builtins/layouts.py")
        )["LAYOUTS"]
        for name in FRAMEWORKS
    }


def shapes_of(layer):
    if layer != "Block":
        return SHAPES[layer]
    heads = SHAPES["MultiHeadAttention"]
    found = {"norm1.weight": "C", "norm2.weight": "C"}
    found |= {
        f"attention.{name}": shape for name, shape in heads.items()
    }
    found |= {"mlp.layer1.weight": "4C C", "mlp.layer1.bias": "4C"}
    return found | {"mlp.layer2.weight": "C 4C", "mlp.layer2.bias": "C"}


def cell(layer, name, entry):
    """What an entry says: (our parameter, its rows), text."""
    entry = {"from": entry} if isinstance(entry, str) else entry
    shape = shapes_of(layer)[entry["from"]].split()
    steps = [word for word in ("transpose", "reshape") if word in entry]
    if "transpose" in entry:
        shape = [shape[axis] for axis in entry["transpose"]]
        steps[0] = f"transpose {tuple(entry['transpose'])}"
    shape = entry.get("reshape", shape)
    standard = (
        layer == "StandardizedConv2d" and entry["from"] == "weight"
    )
    steps = ["standardise"] * standard + steps or ["the same"]
    text = f"`{name}` ({', '.join(shape)}): {', '.join(steps)}"
    return (entry["from"], tuple(entry.get("slice", ())[1:])), text


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def layer_rows(found):
    for layer in shapes_in_order(found):
        kinds = [
            ", ".join(f"`{k}`" for k in found[name].get(layer, ()))
            for name in FRAMEWORKS
        ]
        yield [f"`{layer}`", *(k or "-" for k in kinds)]


def shapes_in_order(found):
    """Our layers, as PyTorch's table has them: it has them all."""
    for layouts in found.values():
        assert set(layouts) <= set(found["pytorch"])
    return found["pytorch"]


def parameter_rows(found):
    for layer in shapes_in_order(found):
        cells = {}  # {(parameter, rows): {framework: text}}
        for framework in FRAMEWORKS:
            # of several built-in layers the names are the same
            for layout in found[framework].get(layer, {}).values():
                for name, entry in layout.items():
                    part, text = cell(layer, name, entry)
                    row = cells.setdefault(part, {})
                    assert row.setdefault(framework, text) == text
        order = list(shapes_of(layer))
        ends = [(), *ROWS]
        for part in sorted(
            cells, key=lambda p: (order.index(p[0]), ends.index(p[1]))
        ):
            name, rows = part
            shape = ", ".join(shapes_of(layer)[name].split())
            ours = f"`{name}` ({shape})"
            ours += f", {ROWS[rows]}" if rows else ""
            texts = [cells[part].get(f, "") for f in FRAMEWORKS]
            yield [f"`{layer}`", ours, *texts]


def tables():
    found, titles = layouts(), [TITLES[name] for name in FRAMEWORKS]
    head = ["ours", "parameter", *titles]
    return {
        "layers": table(["ours", *titles], layer_rows(found)),
        "parameters": table(head, parameter_rows(found)),
    }


def written(text):
    """The page with its two tables as they are now."""
    for name, rows in tables().items():
        start, end = f"<!-- {name} -->\n", "\n<!-- end -->"
        before, rest = text.split(start)
        _, after = rest.split(end, 1)
        text = f"{before}{start}{rows}{end}{after}"
    return text


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))

"""docs/operations.md: how each core ATen operation is treated.

python -m shared_tests.roundoff.rules.operations > docs/operations.md
"""

import sys

import torch

from . import rules
from .elementwise import ULPS

aten = torch.ops.aten
HEAD = """\
# Which operations have a rounding rule

The budget of a model is sampled operation by operation
([error-budgets.md](error-budgets.md)), so each operation that PyTorch
can run needs a rule. This page lists all that PyTorch {version} calls
*core*: those into which it decomposes all others. It is made by
`python -m shared_tests.roundoff.rules.operations`, and a test holds it to
the code.

| treated | how | operations |
|---|---|---|
| exact | the result is a number given, an integer, or drawn | {exact} |
| rule | noise on the result, by its kind of sum or function | {rule} |
| in parts | decomposed into operations of these two kinds | {parts} |
| refused | an error names the operation and says why | {refused} |

A sum over an index, a window or an axis gets the number of its terms,
and the sum of their squares, from the operation itself, applied to ones
and to squares. An operation in place, or with `out=`, is treated as the
same one without. What is not core is decomposed by a table of ours, by
PyTorch's, or by the operation's own definition; what none of them knows
is refused by name: no rule is ever guessed.

| operation | treated |
|---|---|
"""


def core():
    """Every overload with the tag core that computes something."""
    found = []
    for name in sorted(dir(aten)):
        packet = getattr(aten, name)
        for overload in getattr(packet, "overloads", list)():
            func = getattr(packet, overload)
            sizes = name.startswith("sym_")
            if torch.Tag.core in func.tags and not sizes:
                found.append(func)
    return found


def treated(func):
    """(exact, rule, parts or refused; the same in words)."""
    way = rules.treatment(func)
    if way.kind == "out":
        return "parts", "in parts: without `out=`, then stored"
    if way.kind == "exact":
        part = " (sums in parts)" if way.decompose else ""
        return "exact", f"exact{part}"
    if way.kind == "rule":
        if way.op in rules.RULES:
            return "rule", f"rule `{rules.RULES[way.op].__name__}`"
        return "rule", f"{ULPS[way.op]} ulps"
    if way.decompose:
        ours = way.decompose.__module__.startswith(__package__)
        whose = "ours" if ours else "PyTorch's"
        return "parts", f"in parts: {whose}"
    name = func._schema.name
    if torch._C._dispatch_has_kernel_for_dispatch_key(
        func.name(), "CompositeImplicitAutograd"
    ):
        return "parts", "in parts: by its definition"
    return "refused", f"refused: {rules.reason_against(func) or name}"


def page():
    rows, counts = [], dict(exact=0, rule=0, parts=0, refused=0)
    for func in core():
        kind, words = treated(func)
        counts[kind] += 1
        name = str(func).removeprefix("aten.")
        name = name.removesuffix(".default")
        rows.append(f"| `{name}` | {words} |\n")
    version = torch.__version__.split("+")[0]
    return HEAD.format(version=version, **counts) + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(page())

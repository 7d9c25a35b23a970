"""The systematic faults of the mutation trial: one small change of a page.

mutants(framework, page) -> [Mutant]; source(mutant) is the faulty page.
From the syntax tree of the regions gradient rule, function and layer.
Left out, since the trial is about numbers: `raise`, the branches that
end in one, calls and definitions of check_*, annotations and texts.

kind            what is done
operator        + and -, * and /, // by *, % and ** by *
term            a + b, a - b, a * b, a / b lose one side; -x, ~x its sign
constant        n becomes n + 1, 0 and 1 each other; below 1e-3 ten times
                it; True and False each other
axis            an axis becomes its neighbour, a tuple loses one
comparison      < and <=, > and >=, also turned round; == and !=; is
                and is not; and, or; &, |; a condition is negated
einsum          the last two letters of an operand or the result change
                places; .T and transpositions are left out (call)
dtype           another width
stop            the gradient is let through
call            f(x) becomes x, a statement that is a call is left out
keepdims        the reduced axis goes
extreme         max by min, bounds of a clip change places
reduce          sum by mean, mean by sum
branch          the two results of a condition or of where() change places
order           two neighbours in a returned tuple change places
"""

import ast
import copy
from typing import NamedTuple

from shared_tests.files import sha256
from shared_tests.side_by_side import pages

REGIONS = ("gradient rule", "function", "layer")
NOT_TRIED = {
    *pages.NOT_PAGES,
    "checkpoint.py",
    "checks.py",
    "parameters.py",
    # files: what they hold is compared to the bit, not by a budget
    *(
        f"{name}.py"
        for name in """
        portable/arrays
        portable/checkpoint
        portable/expect
        portable/layer_arguments
        portable/layer_arrays
        portable/layer_config
        portable/layer_parts
        portable/model_arrays
        portable/model_layers
        portable/model_words
        portable/tensor
        portable/tensor_file
        portable/tensor_header
        portable/training_words
        quantization/qat_config
        whole_file
        """.split()
    ),
}


class Mutant(NamedTuple):
    framework: str
    page: str
    line: int
    kind: str
    change: str  # what stood there -> what stands there
    start: int  # in bytes of the page
    end: int
    text: str

    sha: str  # of the page

    @property
    def key(self):
        """Under this name its result is kept."""
        return "|".join([*map(str, self[:6]), self.sha])


def source_bytes(framework, page):
    return pages.source(framework, page).encode()


def source(mutant):
    """The page with that one change."""
    old = source_bytes(mutant.framework, mutant.page)
    new = old[: mutant.start] + mutant.text.encode() + old[mutant.end :]
    return new.decode()


def line_text(mutant):
    """The line where the change begins, as it stands in the page."""
    lines = pages.source(mutant.framework, mutant.page).splitlines()
    return lines[mutant.line - 1].strip()


def column(mutant):
    """Where in line_text the change begins."""
    before = source_bytes(mutant.framework, mutant.page)[: mutant.start]
    return len(before.rpartition(b"\n")[2].lstrip())


def tried(framework):
    """The pages of the trial, in order."""
    return sorted(pages.files(framework) - NOT_TRIED)


def region_lines(framework, page):
    """The numbers of all lines inside the regions of the trial."""
    inside, found = None, set()
    lines = pages.source(framework, page).splitlines()
    for number, line in enumerate(lines, start=1):
        if line.startswith("# region "):
            inside = line.removeprefix("# region ")
        elif line == "# endregion":
            inside = None
        elif inside in REGIONS:
            found.add(number)
    return found


def mutants(framework, page):
    text = source_bytes(framework, page)
    tree = ast.parse(text)
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    inside = region_lines(framework, page)
    found, sha = {}, sha256(text)[:12]
    for node, kind, new in changes(tree):
        if node.lineno not in inside:
            continue
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        one = ast.unparse(new) if isinstance(new, ast.AST) else new
        fresh = f"({one})" if isinstance(new, ast.expr) else one
        fresh = f'"{new}"' if kind == "einsum" else fresh
        old = ast.unparse(node)
        change = f"{old} -> {one}"
        if one != old and (start, one) not in found:
            found[start, one] = Mutant(
                *(framework, page, node.lineno, kind, change),
                *(start, end, fresh, sha),
            )
    return sorted(found.values(), key=lambda m: (m.line, m.start))


def changes(tree):
    """(node, kind, what replaces it) of everything numerical in a tree."""
    for node in numerical(tree):
        for rule in RULES:
            for kind, new in rule(node) or ():
                yield node, kind, new


def is_check(node):
    """Bad input is another matter: the tests of bad input see to it."""
    if isinstance(node, ast.Raise):
        return True
    if isinstance(node, ast.If):
        return isinstance(node.body[-1], ast.Raise)
    if isinstance(node, ast.FunctionDef):
        return node.name.startswith("check_")
    if isinstance(node, ast.Expr):
        call = node.value
        if isinstance(call, ast.Constant):
            return True  # a docstring
        return isinstance(call, ast.Call) and (
            name_of(call.func).startswith(("check_", "code_range"))
            or "super()" in ast.unparse(call.func)
        )
    if isinstance(node, ast.Call):
        return name_of(node.func) == "whole"  # checks, and returns
    return isinstance(node, ast.JoinedStr)


AXES, KEPT = ("axis", "dim"), ("keepdims", "keepdim")
APART = (*AXES, *KEPT)  # their numbers are changed by axis()


def numerical(node):
    if is_check(node):
        return
    yield node
    if isinstance(node, ast.FunctionDef):
        given = node.args.defaults + node.args.kw_defaults
        inner = [*given, *node.decorator_list, *node.body]
    elif isinstance(node, ast.Call):
        named = (k.value for k in node.keywords if k.arg not in APART)
        inner = [node.func, *node.args, *named]
    elif isinstance(node, ast.AnnAssign):
        inner = [node.value]
    else:
        inner = ast.iter_child_nodes(node)
    for child in inner:
        if child is not None:
            yield from numerical(child)


def name_of(node):
    """The last name of f, a.f or a.b.f."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def altered(node, **fields):
    new = copy.deepcopy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
}
BITS = {ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd}
SIDED = (ast.Add, ast.Sub, ast.Mult, ast.Div)


def operator(node):
    if isinstance(node, ast.BinOp):
        kind = type(node.op)
        if kind in OPERATORS:
            yield "operator", altered(node, op=OPERATORS[kind]())
        if kind in BITS:
            yield "comparison", altered(node, op=BITS[kind]())
            yield "term", node.left
            yield "term", node.right
        if kind in SIDED:
            yield "term", node.left
            if kind in (ast.Add, ast.Mult):
                yield "term", node.right
    if isinstance(node, ast.UnaryOp) and not isinstance(
        node.operand, ast.Constant
    ):
        kind = "comparison" if isinstance(node.op, ast.Not) else "term"
        yield kind, node.operand


COMPARISONS = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}


def comparison(node):
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for other in COMPARISONS[type(node.ops[0])]:
            yield "comparison", altered(node, ops=[other()])
    if isinstance(node, ast.BoolOp):
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield "comparison", altered(node, op=other())
    if isinstance(node, ast.IfExp):
        swapped = altered(node, body=node.orelse, orelse=node.body)
        if not isinstance(node.test, ast.Compare):
            yield "branch", swapped
    if isinstance(node, (ast.If, ast.While)):
        test = node.test
        if not isinstance(test, (ast.Compare, ast.UnaryOp)):
            negated = ast.UnaryOp(ast.Not(), test)
            body = altered(node, test=negated)
            yield "comparison", indented(body, node)


def indented(new, node):
    lines = ast.unparse(new).splitlines()
    return f"\n{' ' * node.col_offset}".join(lines)


def constant(node):
    if not isinstance(node, ast.Constant):
        return
    value = node.value
    if isinstance(value, bool):
        yield "constant", ast.Constant(not value)
    elif isinstance(value, int):
        yield "constant", ast.Constant(0 if value == 1 else value + 1)
    elif isinstance(value, float):
        small = 0 < abs(value) < 1e-3
        yield (
            "constant",
            ast.Constant(value * 10 if small else value + 1),
        )
    elif value in WIDTHS:
        yield "dtype", ast.Constant(WIDTHS[value])


def axis(node):
    """keepdims and axes given by name; by place they are constants."""
    if not isinstance(node, ast.Call):
        return
    for i, keyword in enumerate(node.keywords):
        if keyword.arg in KEPT:
            yield "keepdims", with_value(node, i, ast.Constant(False))
        if keyword.arg in AXES:
            for other in neighbours(keyword.value):
                yield "axis", with_value(node, i, other)


def with_value(node, i, value):
    new = copy.deepcopy(node)
    new.keywords[i].value = value
    return new


def neighbours(value):
    if isinstance(value, ast.Constant) and value.value is not None:
        k = value.value
        yield ast.Constant(k - 1 if k > 0 else k + 1)
    if isinstance(value, ast.UnaryOp):
        yield ast.Constant(-1 - value.operand.value)
    if isinstance(value, ast.Tuple):
        yield altered(value, elts=value.elts[1:])
        yield altered(value, elts=value.elts[:-1])


def einsum(node):
    if not isinstance(node, ast.Constant):
        return
    if not isinstance(node.value, str) or "->" not in node.value:
        return
    left, result = node.value.split("->")
    every = [*left.split(","), result]
    for i, letters in enumerate(every):
        if len(letters.replace(".", "")) > 1:
            swapped = letters[:-2] + letters[-1] + letters[-2]
            new = [*every[:i], swapped, *every[i + 1 :]]
            yield "einsum", f"{','.join(new[:-1])}->{new[-1]}"


WIDTHS = {
    "float64": "float32",
    "float32": "float64",
    "int64": "int32",
    "int32": "int64",
    "int8": "int16",
}


def dtype(node):
    if isinstance(node, ast.Attribute):
        if node.attr in WIDTHS:
            yield "dtype", altered(node, attr=WIDTHS[node.attr])
        if node.attr == "T":
            yield "call", node.value


STOPS = ("detach", "stop_gradient")
SHAPED = """abs along amax amin around astype broadcast_to cast cast_like
    ceil clip clip_by_value cos cumsum double exp floor gather isfinite
    isnan log log1p max maximum mean min minimum moveaxis negative pad
    real repeat repeat_interleave reshape round rows rsqrt sign sin sort
    sqrt square squeeze stack sum swapaxes tile to transpose tril
    band_part unsqueeze widen reduce_max reduce_min reduce_sum
    reduce_mean zeros_like ones_like contiguous clone copy copy_
    lowest_like usable isneginf glorot_bound expand_dims
    convert_to_tensor asarray ceil set_value assign standardize
    """.split()


def call(node):
    """f(x, ...) -> x and x.f(...) -> x of functions that keep arrays."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "call", "pass"
    if not isinstance(node, ast.Call):
        return
    name = name_of(node.func)
    kind = "stop" if name in STOPS else "call"
    if name not in (*STOPS, *SHAPED):
        return
    free = isinstance(node.func, ast.Name) or is_namespace(node.func)
    if not free:
        yield kind, node.func.value
    elif node.args and not isinstance(node.args[0], ast.Starred):
        yield kind, node.args[0]


NAMESPACES = "torch jnp jax tf np npx mx nn F lax math numpy".split()


def is_namespace(node):
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name) and node.id in NAMESPACES


OPPOSITE = {
    "max": "min",
    "amax": "amin",
    "maximum": "minimum",
    "reduce_max": "reduce_min",
}
OPPOSITE |= {b: a for a, b in OPPOSITE.items()}
REDUCED = {
    "sum": "mean",
    "mean": "sum",
    "reduce_sum": "reduce_mean",
    "reduce_mean": "reduce_sum",
}
WHERE = ("where",)
CLIP = ("clip", "clip_by_value")


def renamed(node, table):
    func = copy.deepcopy(node.func)
    if isinstance(func, ast.Name):
        func.id = table[func.id]
    else:
        func.attr = table[func.attr]
    return altered(node, func=func)


def function(node):
    if not isinstance(node, ast.Call):
        return
    name = name_of(node.func)
    if name in OPPOSITE:
        yield "extreme", renamed(node, OPPOSITE)
    plain = isinstance(node.func, ast.Name)  # sum(...) of Python
    if name in REDUCED and not plain:
        yield "reduce", renamed(node, REDUCED)
    if name in CLIP:
        *first, low, high = node.args
        yield "extreme", altered(node, args=[*first, high, low])
    if name in WHERE and len(node.args) == 3:
        test, a, b = node.args
        yield "branch", altered(node, args=[test, b, a])
        yield "branch", a
        yield "branch", b


def order(node):
    if isinstance(node, ast.Return) and isinstance(
        node.value, ast.Tuple
    ):
        elements = node.value.elts
        for i in range(len(elements) - 1):
            new = list(elements)
            new[i], new[i + 1] = new[i + 1], new[i]
            if not any(isinstance(e, ast.Starred) for e in new[i:]):
                tuple_ = ast.Tuple(new, ast.Load())
                yield "order", f"return {ast.unparse(tuple_)}"


RULES = (
    operator,
    comparison,
    constant,
    axis,
    einsum,
    dtype,
    call,
    function,
    order,
)

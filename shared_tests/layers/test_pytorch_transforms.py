"""PyTorch: every hand-written gradient under torch.func, torch.compile
and activation checkpointing."""

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import pytorch_impl
from pytorch_impl import adapter
from shared_tests import budget
from shared_tests.layers.rules import RULES, given
from shared_tests.verdict import judge

ENVIRONMENTS = ("pytorch",)

EVERY = pytest.mark.parametrize("name", RULES)


def made(name, copies=0):
    """The page's function, and its inputs; copies of them, each other."""
    rule = RULES[name]
    inputs, fixed = given(rule, adapter)

    def function(*inputs):
        named = dict(zip(rule.inputs, inputs))
        return getattr(pytorch_impl, name)(**named, **fixed)

    if copies:
        growth = torch.linspace(1, 1.5, copies, dtype=torch.float64)
        inputs = [torch.stack([a * g for g in growth]) for a in inputs]
    return function, inputs


def squares(y):
    return (y * y).sum()


def loss(function):
    return lambda *inputs: squares(function(*inputs))


def gradients(function, inputs):
    inputs = [a.detach().clone().requires_grad_() for a in inputs]
    y = function(*inputs)
    return y, torch.autograd.grad(squares(y), inputs)


def within(got, compute):
    """Inside the budget of what compute() gives, since sums may run in
    another order: every array of got."""

    def arrays():
        return {str(i): to_numpy(a) for i, a in enumerate(compute())}

    wanted, sigma = budget.estimate(arrays, seed=0, runs=12)
    found = {str(i): to_numpy(a) for i, a in enumerate(got)}
    assert found.keys() == wanted.keys()
    return all(
        judge(a, wanted[n], sigma[n], "float64").passed
        for n, a in found.items()
    )


def to_numpy(a):
    return a.detach().numpy()


def stacked(gradients_of_rows):
    return [torch.stack(each) for each in zip(*gradients_of_rows)]


@EVERY
def test_grad(name):
    function, inputs = made(name)
    numbers = tuple(range(len(inputs)))
    got = torch.func.grad(loss(function), numbers)(*inputs)
    assert within(got, lambda: gradients(function, inputs)[1])
    _, pull = torch.func.vjp(function, *inputs)
    assert len(pull(function(*inputs))) == len(inputs)


@EVERY
@pytest.mark.parametrize("which", ["all", "first", "last"])
def test_vmap(name, which):
    """Of the function, and of its gradient; mapped over one input, or
    over all."""
    function, inputs = made(name, copies=3)
    mapped = {
        "all": range(len(inputs)),
        "first": [0],
        "last": [len(inputs) - 1],
    }[which]
    axes = [0 if i in mapped else None for i in range(len(inputs))]
    given = [a if i in mapped else a[0] for i, a in enumerate(inputs)]
    rows = [
        [a[row] if i in mapped else a for i, a in enumerate(given)]
        for row in range(3)
    ]
    got = torch.func.vmap(function, tuple(axes))(*given)
    assert within([*got], lambda: [function(*row) for row in rows])
    numbers = tuple(range(len(inputs)))
    slope = torch.func.grad(loss(function), numbers)
    got = torch.func.vmap(slope, tuple(axes))(*given)
    assert within(
        got,
        lambda: stacked(gradients(function, row)[1] for row in rows),
    )


@EVERY
def test_grad_of_vmap(name):
    function, inputs = made(name, copies=3)
    numbers = tuple(range(len(inputs)))
    many = torch.func.vmap(function)
    got = torch.func.grad(loss(many), numbers)(*inputs)
    assert within(
        got,
        lambda: stacked(
            gradients(function, row)[1] for row in zip(*inputs)
        ),
    )


@pytest.mark.parametrize("step", [0.0, -1.0])
def test_a_step_that_is_not_positive(step):
    """Nobody can look at it there, so it shows: all is NaN."""
    x, step = torch.ones(2, 3), torch.tensor(step)
    y = torch.func.vmap(lambda x: pytorch_impl.lsq(x, step))(x)
    assert torch.isnan(y).all()


@EVERY
def test_no_forward_mode(name):
    """An error: torch.compile would refuse a Function with a jvp."""
    function, inputs = made(name)
    with pytest.raises(NotImplementedError, match="implement the jvp"):
        torch.func.jvp(function, tuple(inputs), tuple(inputs))


@EVERY
def test_compiled_transform_is_never_wrong(name):
    """torch 2.13.0 would leave the rule out; with graph breaks allowed
    it runs as it is, otherwise it raises."""
    function, inputs = made(name)
    slope = torch.func.grad(loss(function))
    torch.compiler.reset()
    fast = torch.compile(slope, backend="aot_eager")
    assert within([fast(*inputs)], lambda: [slope(*inputs)])
    torch.compiler.reset()
    fast = torch.compile(slope, backend="aot_eager", fullgraph=True)
    with pytest.raises(Exception, match="would be left out"):
        fast(*inputs)


@EVERY
def test_compiled_whole(name):
    function, inputs = made(name)
    torch.compiler.reset()
    fast = torch.compile(function, backend="aot_eager", fullgraph=True)

    def both(f):
        y, grads = gradients(f, inputs)
        return [y, *grads]

    assert within(both(fast), lambda: both(function))


@EVERY
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoint(name, reentrant):
    """Bit for bit."""
    function, inputs = made(name)

    def kept(*inputs):
        return checkpoint(function, *inputs, use_reentrant=reentrant)

    inputs = [a.requires_grad_() for a in inputs]
    grads = []
    for f in (function, kept):
        for a in inputs:
            a.grad = None
        y = f(*inputs)
        y.square().sum().backward()
        grads.append([y, *[a.grad for a in inputs]])
    assert all(map(torch.equal, *grads))


def test_what_torch_compile_itself_loses():
    """torch 2.13.0, any function: of a compiled product with a constant
    incoming gradient, the second derivative is none, without a word."""
    x, w = (torch.randn(3, 3, requires_grad=True) for _ in range(2))

    def product(x, w):
        return (x @ w).sum()

    second = []
    torch.compiler.reset()
    for f in (product, torch.compile(product, backend="aot_eager")):
        (dx,) = torch.autograd.grad(f(x, w), x, create_graph=True)
        slope = dx.square().sum()
        second += torch.autograd.grad(slope, w, allow_unused=True)
    assert second[0] is not None and second[1] is None


LAYERS = {
    "ManualLinear": (dict(in_features=3, out_features=2), 0),
    "WeightedSum": (dict(in_features=3), 0),
    "ScaledReLU": (dict(scale=0.5), 0),
    "PACT": ({}, 0),
    "LSQ": ({}, "start"),
    "LSQPlus": ({}, "start"),
    "QATLinear": (dict(in_features=3, out_features=2), "frozen"),
    "QATLinear-lsq": (
        dict(
            in_features=3,
            out_features=2,
            weight_quantizer="lsq",
            input_quantizer="lsq",
        ),
        "frozen",
    ),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_gradients_of_single_samples(layer):
    """vmap of grad of functional_call: what per-sample clipping does."""
    config, ready = LAYERS[layer]
    torch.manual_seed(0)
    built = getattr(pytorch_impl, layer.split("-")[0])(**config)
    built, x = built.double(), torch.randn(5, 3).double()
    if ready == "start":
        built.start(x)
    if ready == "frozen":
        built.mode = "observe"
        built(x)
        built.mode = "frozen"
    params = {n: p.detach() for n, p in built.named_parameters()}

    def loss(params, x):
        y = torch.func.functional_call(built, params, (x[None],))
        return squares(y)

    if not params:
        got = torch.func.vmap(torch.func.grad(loss, 1), (None, 0))(
            {}, x
        )
        assert torch.equal(got, gradients(built, [x])[1][0])
        return
    got = torch.func.vmap(torch.func.grad(loss), (None, 0))(params, x)
    for row, sample in enumerate(x):

        def alone(sample=sample):
            y = squares(built(sample[None]))
            return torch.autograd.grad(y, built.parameters())

        assert within([got[n][row] for n in params], alone)


def test_a_compiled_layer_is_not_checkpointed_from_outside():
    """torch 2.13.0: its graph cannot ask whether it runs again, so the
    range moves twice; once where the checkpoint is compiled too."""
    x, moved = torch.linspace(-1, 1, 12).reshape(4, 3), []
    for inside in (True, False):
        torch.compiler.reset()
        torch.manual_seed(0)
        layer = pytorch_impl.QATLinear(3, 2)
        pytorch_impl.set_mode(layer, "observe")(x)
        pytorch_impl.set_mode(layer, "quantize")

        def kept(x, run=layer):
            return checkpoint(run, x, use_reentrant=False)

        fast = torch.compile(kept if inside else layer)
        run = fast if inside else lambda x, f=fast: kept(x, f)
        run(17 * x).sum().backward()
        moved.append(layer.input_quantizer.observer.bounds[1].item())
    assert moved == [2.0, 2.9375]  # 1 + (17 - 1) / 16, and once more

"""PyTorch: every hand-written gradient under torch.func, torch.compile
and activation checkpointing."""

import numpy as np
import pytest
import torch
from torch.utils.checkpoint import checkpoint

import pytorch_impl
from pytorch_impl import adapter
from shared_tests.layers.rules import RULES

ENVIRONMENTS = ("pytorch",)

EVERY = pytest.mark.parametrize("name", RULES)


def made(name, copies=0):
    """The page's function, and its inputs; copies of them, each other."""
    rule = RULES[name]
    fixed = {
        n: adapter.to_tensor(a, "float64")
        if isinstance(a, np.ndarray)
        else a
        for n, a in rule.others.items()
    }

    def function(*inputs):
        given = dict(zip(rule.inputs, inputs))
        return getattr(pytorch_impl, name)(**given, **fixed)

    inputs = [
        adapter.to_tensor(a, "float64") for a in rule.inputs.values()
    ]
    if copies:
        growth = torch.linspace(1, 1.5, copies, dtype=torch.float64)
        inputs = [torch.stack([a * g for g in growth]) for a in inputs]
    return function, inputs


def loss(function):
    return lambda *inputs: function(*inputs).square().sum()


def gradients(function, inputs):
    inputs = [a.detach().clone().requires_grad_() for a in inputs]
    y = function(*inputs)
    return y, torch.autograd.grad(y.square().sum(), inputs)


def same(one, two):
    """To the last digits: sums may run in another order."""
    pairs = list(zip(one, two, strict=True))
    return all(torch.allclose(a, b, 1e-12, 1e-12) for a, b in pairs)


@EVERY
def test_grad(name):
    function, inputs = made(name)
    numbers = tuple(range(len(inputs)))
    got = torch.func.grad(loss(function), numbers)(*inputs)
    assert same(got, gradients(function, inputs)[1])
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
    assert same(got, [function(*row) for row in rows])
    numbers = tuple(range(len(inputs)))
    slope = torch.func.grad(loss(function), numbers)
    got = torch.func.vmap(slope, tuple(axes))(*given)
    want = zip(*[gradients(function, row)[1] for row in rows])
    assert same(got, [torch.stack(each) for each in want])


@EVERY
def test_grad_of_vmap(name):
    function, inputs = made(name, copies=3)
    numbers = tuple(range(len(inputs)))
    many = torch.func.vmap(function)
    got = torch.func.grad(loss(many), numbers)(*inputs)
    want = zip(*[gradients(function, row)[1] for row in zip(*inputs)])
    assert same(got, [torch.stack(each) for each in want])


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
    assert same([fast(*inputs)], [slope(*inputs)])
    torch.compiler.reset()
    fast = torch.compile(slope, backend="aot_eager", fullgraph=True)
    with pytest.raises(Exception, match="would be left out"):
        fast(*inputs)


@EVERY
def test_compiled_whole(name):
    function, inputs = made(name)
    torch.compiler.reset()
    fast = torch.compile(function, backend="aot_eager", fullgraph=True)
    (y, one), (z, two) = (
        gradients(f, inputs) for f in (fast, function)
    )
    assert same([y, *one], [z, *two])


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
    x = torch.randn(5, 3)
    if ready == "start":
        built.start(x)
    if ready == "frozen":
        built.mode = "observe"
        built(x)
        built.mode = "frozen"
    params = {n: p.detach() for n, p in built.named_parameters()}

    def loss(params, x):
        y = torch.func.functional_call(built, params, (x[None],))
        return y.square().sum()

    if not params:
        got = torch.func.vmap(torch.func.grad(loss, 1), (None, 0))(
            {}, x
        )
        assert torch.equal(got, gradients(built, [x])[1][0])
        return
    got = torch.func.vmap(torch.func.grad(loss), (None, 0))(params, x)
    for row, sample in enumerate(x):
        built.zero_grad()
        built(sample[None]).square().sum().backward()
        for name, p in built.named_parameters():
            assert torch.allclose(got[name][row], p.grad), name

"""The second derivative of every hand-written gradient: right, or an
error that says so; however it is asked for.

The reference is the derivative of the backward formula in NumPy:
rules.py. `square` is the loss sum f^2, whose gradient that comes in
depends on f; in `plain`, sum f, it needs no gradient itself. What was
compiled before it is differentiated twice is for PyTorch to refuse:
test_pytorch_transforms.py.
"""

import functools
import re

import numpy as np
import pytest

from shared_tests.layers.rules import (
    RULES,
    draw,
    first,
    flat,
    given,
    parts,
    second,
)

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")


def dot(grads, along):
    return sum((g * c).sum() for g, c in zip(grads, along))


def reverse_over_reverse(every, loss, arrays, along):
    """every(function, arrays): its gradients in all of them."""

    def slope(*arrays):
        return dot(every(loss, arrays)(*arrays), along)

    return every(slope, arrays)(*arrays)


def pytorch_ways():
    import torch

    def gradient(loss, arrays):
        return torch.autograd.grad(
            loss(*arrays),
            arrays,
            create_graph=True,
            materialize_grads=True,
        )

    def tape(loss, arrays, along):
        arrays = [a.requires_grad_() for a in arrays]
        slope = dot(gradient(loss, arrays), along)
        if not slope.requires_grad:
            return [torch.zeros_like(a) for a in arrays]
        return torch.autograd.grad(
            slope, arrays, materialize_grads=True
        )

    def penalty(loss, arrays, along):
        """Added to the loss, as one trains with it."""
        arrays = [a.requires_grad_() for a in arrays]
        value = loss(*arrays)
        slopes = torch.autograd.grad(
            value, arrays, create_graph=True, materialize_grads=True
        )
        (value + dot(slopes, along)).backward()
        return [a.grad - s.detach() for a, s in zip(arrays, slopes)]

    def every(loss, arrays):
        return torch.func.grad(loss, tuple(range(len(arrays))))

    reverse = functools.partial(reverse_over_reverse, every)

    def forward(loss, arrays, along):
        slopes = every(loss, arrays)
        return torch.func.jvp(slopes, tuple(arrays), tuple(along))[1]

    def hessian(loss, arrays, along):
        numbers = tuple(range(len(arrays)))
        rows = torch.func.hessian(loss, numbers)(*arrays)
        return [
            sum(
                torch.tensordot(h, c, c.dim())
                for h, c in zip(row, along)
            )
            for row in rows
        ]

    def whole(way):
        """The derivatives are inside of what is compiled."""

        def run(loss, arrays, along):
            torch.compiler.reset()
            fast = torch.compile(
                lambda *a: way(
                    loss, a[: len(a) // 2], a[len(a) // 2 :]
                ),
                backend="aot_eager",
            )
            return fast(*arrays, *along)

        return run

    return {
        "tape": (tape, True),
        "penalty": (penalty, True),
        "reverse": (reverse, True),
        "forward": (forward, False),
        "hessian": (hessian, False),
        "compiled reverse": (whole(reverse), True),
    }


def jax_ways():
    import jax
    import jax.numpy as jnp

    def every(loss, arrays):
        return jax.grad(loss, tuple(range(len(arrays))))

    reverse = functools.partial(reverse_over_reverse, every)

    def forward(loss, arrays, along):
        slopes = every(loss, arrays)
        return jax.jvp(slopes, tuple(arrays), tuple(along))[1]

    def hessian(which):
        def run(loss, arrays, along):
            numbers = tuple(range(len(arrays)))
            rows = which(jax.grad(loss, numbers), numbers)(*arrays)
            return [
                sum(
                    jnp.tensordot(h, c, c.ndim)
                    for h, c in zip(row, along)
                )
                for row in rows
            ]

        return run

    def compiled(way):
        def run(loss, arrays, along):
            return jax.jit(functools.partial(way, loss))(arrays, along)

        return run

    def inner(way):
        return lambda loss, *rest: way(jax.jit(loss), *rest)

    ways = {
        "reverse": (reverse, True),
        "jacrev": (hessian(jax.jacrev), False),
        "forward": (forward, False),
        "hessian": (hessian(jax.jacfwd), False),
    }
    for name, (way, transposed) in list(ways.items()):
        ways[f"compiled {name}"] = compiled(way), transposed
        ways[f"inner {name}"] = inner(way), transposed
    return ways


def tf_ways():
    import tensorflow as tf

    def slopes(loss, arrays):
        with tf.GradientTape() as tape:
            tape.watch(arrays)
            value = loss(*arrays)
        return tape.gradient(
            value, arrays, unconnected_gradients="zero"
        )

    def tape(loss, arrays, along):
        with tf.GradientTape() as outer:
            outer.watch(arrays)
            made = slopes(loss, arrays)
            slope = sum(
                tf.reduce_sum(g * c) for g, c in zip(made, along)
            )
        return outer.gradient(
            slope, arrays, unconnected_gradients="zero"
        )

    def penalty(loss, arrays, along):
        with tf.GradientTape() as outer:
            outer.watch(arrays)
            with tf.GradientTape() as inner:
                inner.watch(arrays)
                value = loss(*arrays)
            made = inner.gradient(
                value, arrays, unconnected_gradients="zero"
            )
            slope = value + sum(
                tf.reduce_sum(g * c) for g, c in zip(made, along)
            )
        total = outer.gradient(
            slope, arrays, unconnected_gradients="zero"
        )
        return [t - m for t, m in zip(total, made)]

    def forward(loss, arrays, along):
        with tf.autodiff.ForwardAccumulator(arrays, along) as moving:
            made = slopes(loss, arrays)
        return moving.jvp(made, unconnected_gradients="zero")

    def jacobian(loss, arrays, along):
        with tf.GradientTape(persistent=True) as outer:
            outer.watch(arrays)
            made = slopes(loss, arrays)
        rows = [
            outer.jacobian(m, arrays, unconnected_gradients="zero")
            for m in made
        ]
        return [
            sum(
                tf.tensordot(h, c, c.shape.rank)
                for h, c in zip(row, along)
            )
            for row in rows
        ]

    def compiled(way, **options):
        def run(loss, arrays, along):
            fast = tf.function(functools.partial(way, loss), **options)
            return fast(arrays, along)

        return run

    def inner(way):
        return lambda loss, *rest: way(tf.function(loss), *rest)

    ways = {
        "tape": (tape, True),
        "penalty": (penalty, True),
        "forward": (forward, False),
        "jacobian": (jacobian, False),
    }
    for name in list(ways):
        way, transposed = ways[name]
        ways[f"graph {name}"] = compiled(way), transposed
        ways[f"inner {name}"] = inner(way), transposed
    ways["XLA tape"] = compiled(tape, jit_compile=True), True
    return ways


def mxnet_ways():
    from mxnet import autograd, np

    def gradient(loss, arrays):
        for a in arrays:
            a.attach_grad()
        made = autograd.grad(
            loss(*arrays), arrays, create_graph=True, retain_graph=True
        )
        return [m.as_np_ndarray() for m in made]

    def tape(loss, arrays, along):
        with autograd.record():
            made = gradient(loss, arrays)
            slope = sum((g * c).sum() for g, c in zip(made, along))
        slope.backward()
        return [np.array(a.grad) for a in arrays]

    def penalty(loss, arrays, along):
        with autograd.record():
            made = gradient(loss, arrays)
            slope = sum((g * c).sum() for g, c in zip(made, along))
            slope = slope + loss(*arrays)
        slope.backward()
        return [a.grad - m for a, m in zip(arrays, made)]

    return {"tape": (tape, True), "penalty": (penalty, True)}


WAYS = dict(
    pytorch=pytorch_ways, jax=jax_ways, tf=tf_ways, mxnet=mxnet_ways
)


# forward mode: the frameworks have it for a gradient that is written by
# hand only where that is written a second time, as a jvp
FORWARD = dict(
    pytorch=(NotImplementedError, "implement the jvp"),
    jax=(TypeError, "forward-mode autodiff"),
    tf=(NotImplementedError, "ForwardAccumulator"),
)
FIRST = "attention_tiled: first order only"
MXNET = "FGradient|no inputs in computation graph that require"


def refusal(framework, name, way):
    """The error that is as good as the right numbers, and its words."""
    if framework == "mxnet":
        import mxnet

        return mxnet.MXNetError, MXNET
    if framework != "jax" and name == "attention_tiled":
        return NotImplementedError, f"{FIRST}|{FORWARD[framework][1]}"
    if way.split()[-1] in ("forward", "hessian"):
        return FORWARD[framework]
    return (), ""


def attempt(package, adapter, framework, name, way, square):
    """What that way gives, and the reference."""
    rule = RULES[name]
    function = getattr(package, name)
    tensors, fixed = given(rule, adapter)

    def loss(*arrays):
        y = function(**dict(zip(rule.inputs, arrays)), **fixed)
        y = y * y if square else y
        if framework == "tf":
            import tensorflow as tf

            return tf.reduce_sum(y)
        return y.sum()

    inputs = list(rule.inputs.values())
    matrix = second(rule, square)
    along = np.random.default_rng(7).normal(size=len(matrix))
    run, transposed = WAYS[framework]()[way]
    want = (matrix.T if transposed else matrix) @ along
    along = parts(along, inputs)
    along = [adapter.to_tensor(a, "float64") for a in along]
    got = [adapter.to_numpy(a) for a in run(loss, tensors, along)]
    return flat(got), want


@pytest.mark.parametrize(
    "square", [True, False], ids=["square", "plain"]
)
@pytest.mark.parametrize("name", RULES)
def test_right_or_refused(package, adapter, framework, name, square):
    for way in WAYS[framework]():
        refused, words = refusal(framework, name, way)
        try:
            got, want = attempt(
                package, adapter, framework, name, way, square
            )
        except refused as error:
            assert re.search(words, str(error)), way
        else:
            assert want.any() == got.any(), way
            # another formula, in float64: a rule that is wrong is off by
            # its own size, so this bound decides nothing
            assert np.allclose(got, want), way


@pytest.mark.parametrize("name", RULES)
def test_the_reference_itself(name):
    """Its first order: where nothing rounds, a complex step of forward."""
    rule = RULES[name]
    inputs = list(rule.inputs.values())
    if name not in ("weighted_sum", "manual_linear", "attention_tiled"):
        assert second(rule, True).any()
        return
    dy = draw(*np.shape(rule.forward(*inputs)), seed=3)
    along = draw(len(flat(inputs)), seed=4)
    moved = parts(flat(inputs) + 1e-30j * along, inputs)
    want = np.sum(rule.forward(*moved).imag * dy) / 1e-30
    assert np.isclose(flat(first(rule, dy)) @ along, want)


@pytest.mark.parametrize(
    "name, right",
    [
        ("fake_quantize", [2, 2, 2]),
        ("lsq", [2, 2, 2]),
        ("pact", [2, 2, 0]),
        ("code_linear", [2, 2, 2]),
    ],
)
def test_by_hand(name, right):
    """d2/dx2 of sum f(x)^2, as the issue has it; a square of weight 1."""
    x = np.array([0.3, 1.2, -0.7])
    one, zero = np.array([1.0]), np.array([0.0])
    inputs = {
        "fake_quantize": dict(x=x, scale=np.array(0.5)),
        "lsq": dict(x=x, step=np.array(0.5)),
        "pact": dict(x=x, alpha=np.array(6.0)),
        "code_linear": dict(
            x=x[:, None],
            weight=one[None],
            bias=zero,
            x_scale=one[0],
            w_scale=one,
        ),
    }[name]
    matrix = second(RULES[name]._replace(inputs=inputs), True)
    assert np.array_equal(np.diag(matrix)[:3], right)

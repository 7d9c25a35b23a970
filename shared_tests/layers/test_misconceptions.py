"""docs/misconceptions.md, shown: five beliefs, each with its numbers.

Every test runs in every framework. What the users of one framework would
write stands in small functions, and in tables with a row for each.
Numbers and budgets are those of the committed fixtures.
"""

import contextlib
import functools
import io
import re
import warnings

import numpy as np
import pytest

from shared_tests.cases import CASES
from shared_tests.files import ROOT
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.run import group, judge_run
from shared_tests.verdict import judge

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

missing = contextlib.suppress(ImportError)  # one of the four is there
with missing:
    import torch
with missing:
    import jax
    import jax.numpy as jnp
    import optax
    from flax import nnx
    from jax.test_util import check_grads
with missing:
    import tensorflow as tf
with missing:
    import mxnet as mx

PAGE = ROOT / "docs" / "misconceptions.md"
BY_ID = {case.id: case for case in CASES}


def fixture_of(name):
    return read_fixture(BY_ID[name], read_manifest())


def run(adapter, call, inputs, upstream=None):
    """out.y and the gradients of a function of arrays, in float32."""
    built = adapter.Built("function", call, {}, "float32")
    cotangents = None if upstream is None else {"y": upstream}
    return adapter.run(built, inputs, cotangents)


def within_budget(fixture, name, value):
    reference, sigma = fixture[f"ref.{name}"], fixture[f"sigma.{name}"]
    return judge(value, reference, sigma, "float32").passed


def pytest_generate_tests(metafunc):
    """The rows of the framework that is there."""
    here = metafunc.config.getoption("--framework")
    if "sever" in metafunc.fixturenames:
        rows = SEVERED[here]
        metafunc.parametrize("sever", rows.values(), ids=list(rows))
    if "kept" in metafunc.fixturenames:
        metafunc.parametrize("kept", KEPT[here])
    if "check" in metafunc.fixturenames:
        rows = [
            pytest.param(*row, id="-".join([row[0].__name__, *names]))
            for row in CHECKED[here]
            for names in [map(str, row[1:])]
        ]
        metafunc.parametrize("check, subject, factor, accepted", rows)


@pytest.fixture
def layer(adapter):
    """A Linear with the parameters of Linear-basic."""
    params = group(fixture_of("Linear-basic"), "param")
    config = BY_ID["Linear-basic"].config
    return adapter.build("Linear", config, params).call


@pytest.fixture
def batch(adapter):
    """The input of Linear-basic, and its cotangent as the target."""
    fixture = fixture_of("Linear-basic")
    keys = ("in.x", "cotangent.y")
    return [adapter.to_tensor(fixture[key], "float32") for key in keys]


# A step of training as each framework's users write it, in two parts: the
# loss with {name: gradient}, then the update.


def torch_backward(layer, forward, x, target):
    layer.zero_grad()
    loss = ((forward(layer, x) - target) ** 2).mean()
    loss.backward()
    return loss.item(), {n: p.grad for n, p in layer.named_parameters()}


def torch_update(layer, grads):
    torch.optim.SGD(layer.parameters(), lr=1 / 16).step()


def jax_backward(layer, forward, x, target):
    def loss(layer):
        return ((forward(layer, x) - target) ** 2).mean()

    loss, grads = nnx.value_and_grad(loss)(layer)
    return float(loss), grads


def jax_update(layer, grads):
    optimizer = nnx.Optimizer(layer, optax.sgd(1 / 16), wrt=nnx.Param)
    optimizer.update(layer, grads)


def tf_backward(layer, forward, x, target):
    moving = layer.trainable_variables
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((forward(layer, x) - target) ** 2)
    grads = tape.gradient(loss, moving)
    return float(loss), {p.name: g for p, g in zip(moving, grads)}


def tf_update(layer, grads):
    pairs = zip(grads.values(), layer.trainable_variables)
    tf.keras.optimizers.SGD(1 / 16).apply_gradients(pairs)


def mxnet_backward(layer, forward, x, target):
    params = {"weight": layer.weight, "bias": layer.bias}
    for p in params.values():
        p.grad()[:] = 7  # stays where nothing is written
    with mx.autograd.record():
        loss = ((forward(layer, x) - target) ** 2).mean()
    loss.backward()
    return float(loss), {n: p.grad() for n, p in params.items()}


def mxnet_update(layer, grads):
    rate = {"learning_rate": 1 / 16}
    mx.gluon.Trainer(layer.collect_params(), "sgd", rate).step(1)


STEP = {
    "pytorch": (torch_backward, torch_update),
    "jax": (jax_backward, jax_update),
    "tf": (tf_backward, tf_update),
    "mxnet": (mxnet_backward, mxnet_update),
}


def as_it_is(layer, x):
    return layer(x)


# 1: a layer needs a backward of its own


def counting(base):
    """The layer, with a backward that counts its calls."""

    class Counting(base):
        calls = 0

        def backward(self, upstream):
            type(self).calls += 1

    return Counting


def test_backward_of_a_layer_is_never_called(
    framework, package, adapter, numbers, batch, monkeypatch
):
    assert not hasattr(package.Linear, "backward")
    Counting = counting(package.Linear)
    monkeypatch.setattr(package, "Linear", Counting)
    case, fixture = BY_ID["Linear-basic"], fixture_of("Linear-basic")
    verdicts = judge_run(adapter, case, "float32", "eager", fixture)
    assert all(verdict.passed for verdict in verdicts.values())
    params = group(fixture, "param")
    layer = adapter.build("Linear", case.config, params).call
    backward, update = STEP[framework]
    losses, before = [], numbers(layer)
    for _ in range(4):
        loss, grads = backward(layer, as_it_is, *batch)
        update(layer, grads)
        losses.append(loss)
    assert losses[0] > losses[1] > losses[2] > losses[3]
    for name, value in numbers(layer).items():
        assert (value != before[name]).all(), name
    assert Counting.calls == 0
    layer.backward(None)
    assert Counting.calls == 1  # the counter counts


# 2: the output is right, so the layer learns


def severed(cut, read=lambda p: p):
    """linear, with the parameters in `names` read through cut()."""

    def sever(package, layer, names):
        def forward(layer, x):
            ways = {n: cut if n in names else read for n in BOTH}
            own = {n: way(getattr(layer, n)) for n, way in ways.items()}
            return package.linear(x, **own)

        return forward

    return sever


def closure(package, layer, names):
    outer = {n: getattr(layer, n)[...] for n in names}

    def forward(layer, x):
        own = {n: outer.get(n, getattr(layer, n)) for n in BOTH}
        return package.linear(x, **own)

    return forward


def variable(package, layer, names):
    for name in names:
        setattr(layer, name, nnx.Variable(getattr(layer, name)[...]))
    return as_it_is


def data(p):
    """MXNet's accessor, which keeps the gradient."""
    return p.data()


BOTH = ["weight", "bias"]
SEVERED = {
    "pytorch": {
        "data": severed(lambda p: p.data),
        "detach": severed(lambda p: p.detach()),
    },
    "jax": {
        "stop_gradient": severed(lambda p: jax.lax.stop_gradient(p[:])),
        "closure": closure,
        "variable": variable,
    },
    "tf": {
        "stop_gradient": severed(lambda p: tf.stop_gradient(p)),
        "numpy": severed(lambda p: p.numpy()),
        "convert_to_numpy": severed(
            lambda p: tf.keras.ops.convert_to_numpy(p)
        ),
    },
    "mxnet": {
        "detach": severed(lambda p: p.data().detach(), data),
        "asnumpy": severed(
            lambda p: mx.np.array(p.data().asnumpy()), data
        ),
    },
}
# the gradient that is left: none, or this number throughout
LEFT = {"pytorch": None, "jax": 0.0, "tf": None, "mxnet": 7.0}
# what is heard when the weight alone is cut, and when both are
HEARD = {
    "pytorch": ("nothing", "RuntimeError: .*does not require grad"),
    "jax": ("nothing", "nothing"),
    "tf": (
        "warning: Gradients do not exist for variables .*weight",
        "ValueError: No gradients provided",
    ),
    "mxnet": (
        "UserWarning: Gradient of Parameter .*weight.* has not been",
        "MXNetError: .*not in a computational graph",
    ),
}


def test_the_output_is_right_and_the_gradient_is_cut(
    framework, package, adapter, layer, batch, sever
):
    fixture = fixture_of("Linear-basic")
    backward, _ = STEP[framework]
    _, grads = backward(layer, as_it_is, *batch)
    whole = {n: adapter.to_numpy(grads[n][...]) for n in BOTH}
    assert all(((g != 0) & (g != 7)).all() for g in whole.values())
    forward = sever(package, layer, ["weight"])
    call = functools.partial(forward, layer)
    inputs, upstream = group(fixture, "in"), fixture["cotangent.y"]
    found = run(adapter, call, inputs, upstream)
    assert found.keys() == {"out.y", "grad.x"}
    for name, value in found.items():
        assert within_budget(fixture, name, value), name
    _, grads = backward(layer, forward, *batch)
    bias = adapter.to_numpy(grads["bias"][...])
    assert np.array_equal(bias, whole["bias"])
    left = None if sever is variable else LEFT[framework]
    if left is None:
        assert grads.get("weight") is None
    else:
        assert (adapter.to_numpy(grads["weight"][...]) == left).all()


@pytest.mark.parametrize("names", [["weight"], BOTH], ids=len)
def test_what_is_heard_of_it(
    framework, package, adapter, numbers, layer, batch, sever, names
):
    backward, update = STEP[framework]
    before = numbers(layer)
    forward = sever(package, layer, names)

    def step():
        _, grads = backward(layer, forward, *batch)
        update(layer, grads)

    words = HEARD[framework][len(names) - 1]
    said = heard(step)
    assert re.match(words, said, re.DOTALL), said
    moved = {
        name
        for name, value in numbers(layer).items()
        if (value != before[name]).any()
    }
    if names == BOTH or framework == "mxnet":
        assert moved == set()
    else:
        assert moved == {"bias"}  # a loss that falls hides the weight


def heard(act):
    """nothing, the warning, or the error of act()."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            act()
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    said = [w for w in said if w.category is UserWarning]
    return f"warning: {said[0].message}" if said else "nothing"


# 3: to assign a gradient is to accumulate it


def assigning(x, weight):
    """x W^T; its backward writes weight.grad itself."""

    class Assigning(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight):
            ctx.x, ctx.weight = x, weight
            return x @ weight.T

        @staticmethod
        def backward(ctx, dy):
            ctx.weight.grad = dy.T @ ctx.x
            return dy @ ctx.weight, None

    return Assigning.apply(x, weight)


def tied(fixture):
    """The weight, the two biases, x and the upstream gradient."""
    names = "layer1.weight", "layer1.bias", "layer2.bias"
    params = [fixture[f"param.{name}"] for name in names]
    return *params, fixture["in.x"], fixture["cotangent.y"]


def torch_twice(package, adapter, fixture, way):
    """One weight in two layers: autograd calls backward for each."""
    linear = assigning if way == "assigned" else package.linear
    weight, one, two, x, dy = (
        adapter.to_tensor(array, "float32") for array in tied(fixture)
    )
    weight.requires_grad_()
    h = torch.relu(linear(x, weight) + one)
    (linear(h, weight) + two).backward(dy)
    return adapter.to_numpy(weight.grad)


def loop_twice(package, adapter, fixture, way):
    """A loop over the layers, last one first, that keeps gradients."""
    weight, one, two, x, dy = tied(fixture)
    first = {"x": x, "weight": weight, "bias": one}
    h = run(adapter, package.linear, first)["out.y"]
    second = {"x": np.maximum(h, 0), "weight": weight, "bias": two}
    grads = {"weight": np.float32(0)}
    for inputs, mask in ((second, h > 0), (first, np.float32(1))):
        found = run(adapter, package.linear, inputs, dy)
        if way == "assigned":
            grads["weight"] = found["grad.weight"]
        else:
            grads["weight"] = grads["weight"] + found["grad.weight"]
        dy = found["grad.x"] * mask
    return grads["weight"]


@pytest.mark.parametrize("way", ["assigned", "added"])
def test_a_weight_used_twice(framework, package, adapter, way):
    twice = torch_twice if framework == "pytorch" else loop_twice
    fixture = fixture_of("TiedMLP-basic")
    weight = twice(package, adapter, fixture, way)
    passed = within_budget(fixture, "grad.layer1.weight", weight)
    assert passed == (way == "added")


def torch_parts(package, kept, weight, parts):
    weight.requires_grad_()
    linear = assigning if kept == "assigned" else package.linear
    for x, dy in parts:
        linear(x, weight).backward(dy)
    return weight.grad


def jax_parts(package, kept, weight, parts):
    total = 0
    for x, dy in parts:
        _, pull = jax.vjp(functools.partial(package.linear, x), weight)
        (grad,) = pull(dy)
        total = grad if kept == "the last one" else total + grad
    return total


def tf_parts(package, kept, weight, parts):
    total = 0
    for x, dy in parts:
        with tf.GradientTape() as tape:
            tape.watch(weight)
            y = package.linear(x, weight)
        grad = tape.gradient(y, weight, output_gradients=dy)
        total = grad if kept == "the last one" else total + grad
    return total


def mxnet_parts(package, kept, weight, parts):
    weight.attach_grad(grad_req=kept)
    for x, dy in parts:
        with mx.autograd.record():
            y = package.linear(x, weight)
        y.backward(dy)
    return weight.grad


PARTS = {
    "pytorch": torch_parts,
    "jax": jax_parts,
    "tf": tf_parts,
    "mxnet": mxnet_parts,
}
KEPT = {
    "pytorch": ["assigned", "added"],
    "jax": ["the last one", "added"],
    "tf": ["the last one", "added"],
    "mxnet": ["write", "add"],
}


def test_two_backward_calls(framework, package, adapter, kept):
    """The batch of Linear-basic in two parts: 2 rows, then 3."""
    fixture = fixture_of("Linear-basic")
    x, dy = fixture["in.x"], fixture["cotangent.y"]
    weight = adapter.to_tensor(fixture["param.weight"], "float32")
    parts = [
        [adapter.to_tensor(array[rows], "float32") for array in (x, dy)]
        for rows in (slice(0, 2), slice(2, 5))
    ]
    grad = PARTS[framework](package, kept, weight, parts)
    grad = adapter.to_numpy(grad)
    added = kept in ("added", "add")
    assert within_budget(fixture, "grad.weight", grad) == added
    last = dy[2:].astype("f8").T @ x[2:]
    sigma = fixture["sigma.grad.weight"]
    assert judge(grad, last, sigma, "float32").passed != added


# 4: the sum of the output is a good test loss


def torch_magnified(x, factor):
    class Magnified(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.view_as(x)

        @staticmethod
        def backward(ctx, dy):
            return factor * dy

    return Magnified.apply(x)


def jax_magnified(x, factor):
    magnified = jax.custom_jvp(lambda x: x)
    magnified.defjvp(lambda x, dx: (x[0], factor * dx[0]))
    return magnified(x)


def tf_magnified(x, factor):
    @tf.custom_gradient
    def magnified(x):
        return tf.identity(x), lambda dy: factor * dy

    return magnified(x)


def mxnet_magnified(x, factor):
    from mxnet_impl.custom_function import Function

    class Magnified(Function):
        def forward(self, x):
            return x

        def backward(self, dy):
            return factor * dy

    return Magnified()(x)


# x, with a gradient rule, written by hand, that is wrong by a factor
MAGNIFIED = {
    "pytorch": torch_magnified,
    "jax": jax_magnified,
    "tf": tf_magnified,
    "mxnet": mxnet_magnified,
}


@pytest.mark.parametrize("factor", [1.0, 1.5, -1.0, 0.0])
def test_a_wrong_layer_passes_with_sum(
    framework, package, adapter, factor
):
    def wrong(x):
        return package.centered(MAGNIFIED[framework](x, factor))

    fixture = fixture_of("CenteredLayer-basic")
    inputs, upstream = group(fixture, "in"), fixture["cotangent.y"]
    ones = np.ones_like(upstream)
    right = run(adapter, package.centered, inputs, ones)
    by_sum = run(adapter, wrong, inputs, ones)
    assert np.array_equal(by_sum["grad.x"], right["grad.x"])
    random = run(adapter, wrong, inputs, upstream)
    assert within_budget(fixture, "out.y", random["out.y"])
    passed = within_budget(fixture, "grad.x", random["grad.x"])
    assert passed == (factor == 1.0)


def test_the_gradient_of_sum_is_zero(framework, package, adapter):
    """Exactly, behind the centred layer, in every case there is."""
    for case in CASES:
        if case.layer == "CenteredLayer":
            inputs = group(fixture_of(case.id), "in")
            ones = np.ones_like(inputs["x"])
            found = run(adapter, package.centered, inputs, ones)
            assert (found["grad.x"] == 0).all(), case.id


SOFTMAX = {
    "pytorch": lambda x: torch.softmax(x, dim=-1),
    "jax": lambda x: jax.nn.softmax(x),
    "tf": lambda x: tf.nn.softmax(x),
    "mxnet": lambda x: mx.npx.softmax(x),
}


def test_the_gradient_of_sum_through_softmax(framework, adapter):
    """It is y (1 - sum y), where 1 - sum y is some u: sigma is y."""
    fixture = fixture_of("CenteredLayer-basic")
    inputs, upstream = group(fixture, "in"), fixture["cotangent.y"]
    for dy in (np.ones_like(upstream), upstream):
        found = run(adapter, SOFTMAX[framework], inputs, dy)
        y = found["out.y"].astype("f8")
        zero = np.zeros_like(y)
        verdict = judge(found["grad.x"], zero, y, "float32")
        assert verdict.passed == (dy is not upstream)


# 5: the gradient checker agrees, so the gradient is right


def agrees(check, *args, **options):
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return check(*args, **options) is not False
    except AssertionError:
        return False


def gradcheck(wrong, *arrays, **options):
    inputs = [torch.tensor(a.astype("f8")) for a in arrays]
    inputs = [x.requires_grad_() for x in inputs]
    options["raise_exception"] = False
    return agrees(torch.autograd.gradcheck, wrong, inputs, **options)


def gradcheck_fast(wrong, *arrays):
    return gradcheck(wrong, *arrays, fast_mode=True)


def check_grads_fwd(wrong, *arrays, mode="fwd", dtype="f4"):
    inputs = [jnp.array(a, dtype) for a in arrays]
    return agrees(check_grads, wrong, inputs, order=1, modes=(mode,))


def check_grads_fwd_float64(wrong, *arrays):
    return check_grads_fwd(wrong, *arrays, dtype="f8")


def check_grads_rev(wrong, *arrays):
    return check_grads_fwd(wrong, *arrays, mode="rev")


def compute_gradient(wrong, *arrays):
    """It returns both Jacobians; assertAllClose compares them."""
    inputs = [a.astype("f8") for a in arrays]
    both = tf.test.compute_gradient(wrong, inputs)
    return agrees(tf.test.TestCase().assertAllClose, *both)


def check_numeric_gradient(wrong, *arrays):
    """For symbols only, of the kind before mx.np."""
    np.random.seed(0)  # what it draws the upstream gradient from
    check = mx.test_utils.check_numeric_gradient
    inputs = [a.astype("f4") for a in arrays]
    with mx.util.np_array(False), mx.util.np_shape(False):
        symbols = [mx.sym.Variable(f"x{i}") for i in range(len(inputs))]
        return agrees(check, wrong(*symbols), inputs)


def symbol_magnified(x, factor):
    return factor * x - mx.sym.BlockGrad((factor - 1) * x)


def symbol_centered(x):
    return mx.sym.broadcast_sub(x, mx.sym.mean(x))


def symbol_linear(x, weight):
    return mx.sym.FullyConnected(x, weight, no_bias=True, num_hidden=3)


# checker; what it checks: a fixture, or a centred vector of so many
# elements; the factor by which the gradient is wrong; whether it agrees
BASIC, TINY = "Linear-basic", "Linear-tiny_inputs"
LARGE = "CenteredLayer-large"
CHECKED = {
    "pytorch": [
        (gradcheck, 256, 1.5, False),
        (gradcheck, BASIC, 1.5, False),
        (gradcheck, TINY, 1.5, True),
        (gradcheck_fast, 53, 1.5, True),
        (gradcheck_fast, 54, 1.5, False),
        (gradcheck_fast, 512, 1.5, True),
        (gradcheck_fast, LARGE, 1.5, True),
        (gradcheck_fast, LARGE, 0.0, True),
    ],
    "jax": [
        (check_grads_fwd, 160, 1.5, False),
        (check_grads_fwd, 200, 1.5, True),
        (check_grads_fwd, 256, 1.5, True),
        (check_grads_fwd, 256, 0.0, False),
        (check_grads_fwd, 512, 0.0, True),
        (check_grads_fwd, 1024, -1.0, True),
        (check_grads_fwd, LARGE, 1.5, True),
        (check_grads_fwd_float64, LARGE, 1.5, False),
        (check_grads_fwd_float64, 50_000, 1.5, True),
        (check_grads_rev, 256, 1.5, False),
        (check_grads_rev, LARGE, 1.5, False),
        (check_grads_rev, BASIC, 1.5, False),
        (check_grads_rev, TINY, 1.5, True),
    ],
    "tf": [
        (compute_gradient, 64, 1.5, False),
        (compute_gradient, BASIC, 1.5, False),
        (compute_gradient, TINY, 1.5, True),
    ],
    "mxnet": [
        (check_numeric_gradient, 64, 1.5, False),
        (check_numeric_gradient, BASIC, 1.5, False),
        (check_numeric_gradient, TINY, 1.5, True),
    ],
}


def test_what_a_gradient_checker_says(
    framework, package, check, subject, factor, accepted
):
    magnified = MAGNIFIED[framework]
    centered, linear = package.centered, package.linear
    if check is check_numeric_gradient:
        magnified = symbol_magnified
        centered, linear = symbol_centered, symbol_linear
    if isinstance(subject, int):
        arrays = [np.random.default_rng(0).standard_normal(subject)]
    else:
        fixture = fixture_of(subject)
        keys = ("in.x", "param.weight")
        arrays = [fixture[key] for key in keys if key in fixture]

    def layer(factor, x, weight=None):
        if weight is None:
            return centered(magnified(x, factor))
        return linear(x, magnified(weight, factor))

    assert check(functools.partial(layer, 1.0), *arrays)
    assert check(functools.partial(layer, factor), *arrays) == accepted


@pytest.mark.parametrize("factor", [1.0, 1.5, 0.0])
@pytest.mark.parametrize("subject", [BASIC, TINY, LARGE])
def test_what_the_budget_says(
    framework, package, adapter, subject, factor
):
    """The same wrong gradients, against the committed references."""
    magnified = MAGNIFIED[framework]

    def layer(x, weight=None, bias=None):
        if weight is None:
            return package.centered(magnified(x, factor))
        return package.linear(x, magnified(weight, factor), bias)

    fixture = fixture_of(subject)
    inputs = group(fixture, "in") | group(fixture, "param")
    found = run(adapter, layer, inputs, fixture["cotangent.y"])
    wrong = {
        n for n in found if not within_budget(fixture, n, found[n])
    }
    aim = "grad.x" if subject == LARGE else "grad.weight"
    assert wrong == (set() if factor == 1.0 else {aim})


# the page


def test_the_page_cites_each_test_once():
    cited = re.findall(r"`(test_\w+)`", PAGE.read_text())
    tests = {n for n in globals() if n.startswith("test_")}
    tests -= {"test_the_page_cites_each_test_once"}
    tests -= {"test_the_demonstrations_print_what_they_say"}
    assert sorted(cited) == sorted(tests)


if "torch" in globals():  # the page shows PyTorch

    def test_the_demonstrations_print_what_they_say(capsys):
        text = PAGE.read_text()
        code = "".join(re.findall(r"```python\n(.*?)```", text, re.S))
        exec(code, {})
        said = capsys.readouterr().out.splitlines()
        shown = re.findall(r"(?:^|\)  )# (.*)$", code, re.M)
        assert said == shown != []

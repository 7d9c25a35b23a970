"""Each precision against real results of it, a fault, and a better one."""

import copy
import functools

import numpy as np
import pytest
import torch
from torch import nn

from shared_tests.roundoff import sampling
from shared_tests.roundoff.mixed import precisions
from shared_tests.roundoff.mixed.claims import Claimed
from shared_tests.roundoff.mixed.precisions import PRECISIONS
from shared_tests.roundoff.verdict import judge

ENVIRONMENTS = ("pytorch",)

RUNS = 16  # a ratio of these runs is off by less than a third


def draws(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator)


X, UP = draws(1, 13, 37), draws(2, 13, 11)


class Attention(nn.Module):
    """Normalised, gelu, attention of rows to rows, a residual."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(37)
        self.inner = nn.Linear(37, 29)
        self.last = nn.Linear(29, 11)

    def forward(self, x):
        y = nn.functional.gelu(self.inner(self.norm(x)))
        scores = torch.softmax(y @ y.T / 29**0.5, dim=-1)
        return self.last(y + scores @ y)


def module(name):
    """Its weights as the port is given them."""
    torch.manual_seed(0)
    made = Attention()
    for tensor in made.parameters():
        given = precisions.rounded(name, tensor.detach())
        tensor.data = torch.tensor(given, dtype=torch.float32)
    return made


def results(model, x, up, forward=None):
    x = x.clone().requires_grad_()
    y = (forward or model)(x)
    wanted = {"x": x} | dict(model.named_parameters())
    grads = torch.autograd.grad(
        y, list(wanted.values()), up.to(y.dtype)
    )
    found = {"out.y": y} | {
        f"grad.{name}": grad for name, grad in zip(wanted, grads)
    }
    return {
        name: array(tensor.detach()) for name, tensor in found.items()
    }


def array(tensor):
    if type(tensor) is torch.Tensor and tensor.dtype != torch.float64:
        tensor = tensor.float()  # NumPy has no bfloat16
    return tensor.numpy().astype(np.float64)


def given(name, tensor):
    return torch.tensor(precisions.rounded(name, tensor))


@functools.cache
def expected(name):
    """Reference, and sigma in units of the arrays' u."""
    model = module(name).double()
    x, up = given(name, X), given(name, UP)

    def compute():
        return results(model, x, up)

    found = sampling.estimate(
        compute,
        seed=0,
        runs=RUNS,
        noise=precisions.noise(name, model),
        finest=PRECISIONS[name].finest,
    )
    return found.reference, precisions.in_units(name, found.sigma)


class TF32Product(torch.autograd.Function):
    """x @ weight.T with operands of 11 bits, as a tensor core has them."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return tf32(x) @ tf32(weight).T

    @staticmethod
    def backward(ctx, dy):
        x, weight = ctx.saved_tensors
        return tf32(dy) @ tf32(weight), tf32(dy).T @ tf32(x)


def tf32(x):
    """To nearest, by the bits of float32."""
    bits = x.detach().contiguous().view(torch.int32)
    return ((bits + 2**12) >> 13 << 13).view(torch.float32)


def in_tf32(model):
    """A forward pass of `model` whose products are TF32Product."""

    def linear(layer, x):
        return TF32Product.apply(x, layer.weight) + layer.bias

    def forward(x):
        y = nn.functional.gelu(linear(model.inner, model.norm(x)))
        scores = TF32Product.apply(y, y) / 29**0.5
        scores = torch.softmax(scores, dim=-1)
        mixed = TF32Product.apply(scores, y.T)
        return linear(model.last, y + mixed)

    return forward


@functools.cache
def real(name):
    """What PyTorch computes on this CPU."""
    model, x, up = module(name), X, UP
    if name.startswith("autocast"):
        dtype = getattr(torch, name.removeprefix("autocast-"))

        def forward(x):
            with torch.autocast("cpu", dtype):
                return model(x)

        return results(model, x, up, forward)
    if name == "tf32":
        return results(model, x, up, in_tf32(model))
    dtype = getattr(torch, name)
    x, up = given(name, x).to(dtype), given(name, up).to(dtype)
    return results(model.to(dtype), x, up)


def verdicts(name, port):
    reference, sigma = expected(name)
    dtype = PRECISIONS[name].dtype
    as_dtype = np.float64 if "16" in dtype else dtype
    found = {}
    for k, value in port.items():
        if "16" in dtype:  # NumPy has no bfloat16: the same numbers
            factor = 2.0**53 * precisions.precision(name).unit
            found[k] = judge(
                value, reference[k], factor * sigma[k], "float64"
            )
        else:
            value = value.astype(as_dtype)
            found[k] = judge(value, reference[k], sigma[k], dtype)
    return found


@pytest.mark.parametrize("name", PRECISIONS)
def test_real_results_keep_the_budget_and_use_it(name):
    found = verdicts(name, real(name))
    for k, verdict in found.items():
        assert verdict.passed, (k, verdict)
        # in float64 the reference is the same computation
        assert verdict.ratio > 1 / 100 or name == "float64", k


@pytest.mark.parametrize("name", [*PRECISIONS][1:])
def test_the_expected_error_is_the_real_one(name):
    """As a root mean square over each array; 1 is what sigma says, and
    the mean of n squares strays from it by sqrt(2 / n): four times that
    are for chance."""
    reference, sigma = expected(name)
    unit = 2.0**-24 if PRECISIONS[name].dtype == "float32" else None
    unit = unit or PRECISIONS[name].unit
    for k, value in real(name).items():
        error = (value - reference[k]) / (unit * sigma[k])
        most = np.sqrt(1 + 4 * np.sqrt(2 / error.size))
        assert 0.2 < np.sqrt(np.mean(error**2)) < most, k


@pytest.mark.parametrize("name", PRECISIONS)
def test_a_planted_fault_is_a_bug(name):
    """One gradient is off by half."""
    port = dict(real(name))
    port["grad.inner.weight"] = 1.5 * port["grad.inner.weight"]
    found = verdicts(name, port)
    wrong = {k for k, verdict in found.items() if not verdict.passed}
    assert wrong == {"grad.inner.weight"}


@pytest.mark.parametrize(
    "worse, better",
    [
        ("float32", "float64"),
        ("tf32", "float32"),
        ("autocast-float16", "float32"),
        ("autocast-bfloat16", "float32"),
        ("autocast-bfloat16", "tf32"),
        ("autocast-bfloat16", "autocast-float16"),
    ],
)
def test_a_better_precision_does_not_pass(worse, better):
    """The weights are the same in all of these."""
    found = verdicts(better, real(worse))
    wrong = {k for k, verdict in found.items() if not verdict.passed}
    if better == "autocast-float16":  # 8 times better, of 16
        assert wrong
    else:  # all but the sum of what comes from outside
        assert wrong >= set(found) - {"grad.last.bias"}


OPERATIONS = {
    "linear": lambda x, w: nn.functional.linear(x, w),
    "matmul": lambda x, w: x @ w.T,
    "einsum": lambda x, w: torch.einsum("bi,oi->bo", x, w),
    "bmm": lambda x, w: torch.bmm(x[None], w.T[None]),
    "softmax": lambda x, w: torch.softmax(x @ w.T, -1),
    "layer norm": lambda x, w: nn.functional.layer_norm(x @ w.T, (11,)),
    "exp": lambda x, w: torch.exp(x @ w.T),
    "a float32 function": lambda x, w: torch.exp(x),
    "bfloat16 plus float32": lambda x, w: (x @ w.T) + x[:, :11],
    "bfloat16 plus bfloat16": lambda x, w: (x @ w.T) + (x @ w.T),
    "cat": lambda x, w: torch.cat([x @ w.T, x], -1),
    "mse loss": lambda x, w: nn.functional.mse_loss(x @ w.T, x[:, :11]),
    "cumsum": lambda x, w: torch.cumsum(x @ w.T, -1),
    "a cast": lambda x, w: (x @ w.T).float() * 3,
    "a new tensor": lambda x, w: (x @ w.T) + torch.ones(11),
    "a scalar": lambda x, w: (x @ w.T) * 3.5,
    "nothing": lambda x, w: x * w[0],
}


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(draws(5, 11, 37))

    def forward(self, x):
        return self.function(x, self.weight)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_what_is_cast_is_read_from_the_framework(name, dtype):
    """The claimed result has the dtype of the real one."""
    model = Function(OPERATIONS[name])
    with torch.autocast("cpu", dtype):
        real = model(X)
    label = f"autocast-{dtype}".replace("torch.", "")
    wide = copy.deepcopy(model).double()
    generator = torch.Generator().manual_seed(0)
    with precisions.noise(label, wide)(generator):
        claimed = wide(X.double())
    assert claimed.dtype == real.dtype
    assert claimed.payload.dtype == torch.float64


PRODUCTS = {
    "linear": lambda x: nn.functional.linear(x, x, x[:, 0]),
    "without a bias": lambda x: nn.functional.linear(x, x),
    "matmul": lambda x: x @ x.T,
    "bmm": lambda x: torch.bmm(x[None], x.T[None]),
    "baddbmm": lambda x: torch.baddbmm(x[:, :13], x[None], x.T[None]),
    "einsum": lambda x: torch.einsum("bi,ci->bc", x, x),
    "convolution": lambda x: nn.functional.conv1d(
        x[None], x[:, :, None].expand(13, 37, 1)[:, :13], x[:, 0]
    ),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_operands_of_every_product_are_rounded_to_tf32(name):
    """By 2^-11 each, which is 2^13 times float32's rounding."""
    x = X.double()
    plain = PRODUCTS[name](x)
    generator = torch.Generator().manual_seed(0)
    with precisions.noise("tf32")(generator):
        noisy = PRODUCTS[name](x)
    error = (noisy - plain).pow(2).mean().sqrt() / precisions.STEP
    # a float32 result alone would be at 2^-13 of its size
    assert error > 0.3


def test_numbers_that_fit_are_not_rounded():
    ones = torch.ones(5, 7).double()
    model = Function(lambda x, w: x @ w.T)
    model.weight.data = torch.full((3, 7), 1.5)
    wide = model.double()
    for name in ("tf32", "autocast-bfloat16"):
        generator = torch.Generator().manual_seed(0)
        with precisions.noise(name, wide)(generator):
            y = wide(ones)
        y = getattr(y, "payload", y).detach()
        # operands are exact in 8 bits: what is left is the sum's error,
        # and in bfloat16 that of storing 10.5, which does fit
        assert (y - 10.5).abs().max() < 10.5 * 2**-24


def test_layers_with_kernels_of_their_own_run():
    """A convolution with its bias, batch norm, an LSTM, attention."""

    class Many(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(5, 8, 3, padding=1)
            self.norm = nn.BatchNorm1d(8)
            self.lstm = nn.LSTM(8, 8, batch_first=True)
            self.attention = nn.MultiheadAttention(
                8, 2, batch_first=True
            )

        def forward(self, x):
            y = self.norm(self.conv(x)).transpose(1, 2)
            y = self.lstm(y)[0]
            return self.attention(y, y, y)[0]

    torch.manual_seed(0)
    x, up = draws(1, 2, 5, 7), draws(2, 2, 7, 8)
    model = Many()
    wide = copy.deepcopy(model).double()
    for name in ("tf32", "autocast-bfloat16"):
        found = sampling.estimate(
            lambda: results(wide, x.double(), up.double()),
            seed=0,
            runs=8,
            noise=precisions.noise(name, wide),
            finest=PRECISIONS[name].finest,
        )
        sigma = precisions.in_units(name, found.sigma)
        assert all(np.isfinite(s).all() for s in sigma.values())

    def forward(x):
        with torch.autocast("cpu", torch.bfloat16):
            return model(x)

    port = results(model, x, up, forward)
    for k, value in port.items():
        verdict = judge(
            value.astype("f4"), found.reference[k], sigma[k], "float32"
        )
        assert verdict.passed, (k, verdict)


def test_a_module_is_as_it_was_afterwards():
    model = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7)).double()
    before = {n: id(p) for n, p in model.named_parameters()}
    mean = model[1].running_mean
    make = precisions.noise("autocast-bfloat16", model)
    with make(torch.Generator().manual_seed(0)):
        model(draws(1, 4, 5).double())
    assert before == {n: id(p) for n, p in model.named_parameters()}
    assert model[1].running_mean is mean and mean.any()
    assert not model._forward_pre_hooks and not model._forward_hooks
    assert not torch.is_autocast_enabled("cpu")


def test_a_module_that_raises_leaves_nothing_behind():
    def crash(x, w):
        raise RuntimeError("no kernel")

    model = Function(crash).double()
    make = precisions.noise("autocast-bfloat16", model)
    with (
        pytest.raises(RuntimeError, match="no kernel"),
        make(torch.Generator()),
    ):
        model(X.double())
    assert isinstance(model.weight, nn.Parameter)
    assert not torch.is_autocast_enabled("cpu")


def test_a_buffer_that_is_replaced_is_seen():
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("total", torch.zeros(3))

        def forward(self, x):
            self.total = self.total + x
            return x

    model = Counter().double()
    make = precisions.noise("autocast-bfloat16", model)
    with make(torch.Generator().manual_seed(0)):
        model(torch.ones(3).double())
    assert type(model.total) is torch.Tensor
    assert model.total.tolist() == [1, 1, 1]


def test_buffers_that_claim_already_are_left():
    """Whoever puts a buffer back under the mode puts a claimed one."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7)).double()
    make = precisions.noise("autocast-bfloat16", model)
    x = draws(1, 4, 5).double()
    outputs = []
    for _ in range(2):
        with make(torch.Generator().manual_seed(0)):
            saved = model[1].running_mean.clone()
            outputs.append(model(x).payload)
            model[1]._buffers["running_mean"] = saved
    assert isinstance(saved, Claimed)
    assert type(saved.payload) is torch.Tensor
    assert torch.equal(*outputs)


def test_a_claim_of_a_claim_is_refused():
    claimed = Claimed(torch.ones(3).double(), torch.float32)
    with pytest.raises(TypeError, match="plain tensor, got Claimed"):
        Claimed(claimed, torch.bfloat16)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"tf32.*got 'int8'"):
        precisions.noise("int8")
    with pytest.raises(ValueError, match=r"expected an nn.Module, got"):
        precisions.noise("autocast-bfloat16", None)


def test_what_a_port_is_given_is_rounded():
    third = np.array([1 / 3])
    for name, bits in (("bfloat16", 8), ("float16", 11), ("tf32", 24)):
        (got,) = precisions.rounded(name, third)
        assert got != 1 / 3 and abs(got * 3 - 1) < 2.0**-bits

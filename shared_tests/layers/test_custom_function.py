"""The repaired Function of mxnet_impl, and what it repairs.

Where the original mx.autograd.Function fails, a test shows that too: the
day a fixed MXNet makes it fail, that repair may go.
"""

import gc
import os
import subprocess
import sys
import time

import mxnet as mx
import numpy
import pytest
from mxnet import autograd, np
from mxnet.autograd import Function as Original

from mxnet_impl.custom_function import Function, empty_result, live
from shared_tests.files import ROOT

ENVIRONMENTS = ("mxnet",)

JUNK = 7.0  # what a gradient buffer holds before backward
BOTH = pytest.mark.parametrize("base", [Function, Original])
EVERY_DTYPE = pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16"]
)


@pytest.fixture(autouse=True)
def nothing_stays_alive():
    assert settled(live, 0)
    yield
    assert settled(live, 0)


def settled(held, expected):
    """MXNet's threads let go of a graph shortly after they ran it."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        mx.nd.waitall()
        gc.collect()
        if len(held) == expected:
            return True
        time.sleep(0.01)
    return False


def product(base):
    """x w^2, with its gradients written for that base class."""

    class Product(base):
        def forward(self, x, w):
            self.save_for_backward(x, w)
            return x * w * w

        def backward(self, dy):
            x, w = self.saved_tensors
            dy = dy.as_np_ndarray()
            return legacy(base, dy * w * w, 2 * dy * x * w)

    return Product()


def legacy(base, *arrays):
    """The original wants legacy arrays back."""
    if base is Original:
        return tuple(a.as_nd_ndarray() for a in arrays)
    return arrays


def twice(base, gradient):
    """2 x, whose backward returns gradient(dy) as it is."""

    class Twice(base):
        def forward(self, x):
            return 2 * x

        def backward(self, dy):
            return gradient(dy)

    return Twice()


def array(*numbers, dtype="float32", grad_req="write", buffer=JUNK):
    x = np.array(numbers, dtype=dtype)
    if grad_req:
        x.attach_grad(grad_req)
        x.grad[()] = buffer
    return x


def differentiate(function, *inputs, dy=None, **how):
    with autograd.record():
        y = function(*inputs)
    if dy is None:
        dy = np.ones_like(y)
    y.backward(dy, **how)
    mx.nd.waitall()
    return y


def numbers(x):
    return x.asnumpy().tolist()


# region every input gets its gradient
@EVERY_DTYPE
def test_values_and_gradients(dtype):
    x = array(1.0, -2.0, 3.0, dtype=dtype)
    w = array(0.5, 4.0, -1.0, dtype=dtype)
    dy = array(1.0, 10.0, 100.0, dtype=dtype, grad_req=None)
    y = differentiate(product(Function), x, w, dy=dy)
    assert numbers(y) == [0.25, -32.0, 3.0]
    assert numbers(x.grad) == [0.25, 160.0, 100.0]
    assert numbers(w.grad) == [1.0, -160.0, -600.0]
    for a in (y, x.grad, w.grad):
        assert a.asnumpy().dtype == dtype


def test_float64_is_not_rounded_on_the_way():
    third = 1 / 3  # not a float32
    x, w = array(third, dtype="float64"), array(3.0, dtype="float64")
    differentiate(product(Function), x, w)
    assert numbers(w.grad) == [2 * third * 3.0]


@BOTH
def test_an_input_after_one_without_a_gradient(base):
    x, w = array(2.0, grad_req=None), array(3.0)
    differentiate(product(base), x, w)
    assert numbers(w.grad) == [12.0 if base is Function else JUNK]


@BOTH
@pytest.mark.parametrize("position, other", [(0, 12.0), (1, 9.0)])
def test_grad_req_null(base, position, other):
    inputs = [array(2.0), array(3.0)]
    inputs[position].attach_grad("null")
    differentiate(product(base), *inputs)
    if base is Original and position == 0:
        other = JUNK
    assert numbers(inputs[1 - position].grad) == [other]


def test_a_gradient_that_nobody_asked_for_is_not_looked_at():
    codes = array(2, 3, dtype="int32", grad_req=None)
    w = array(5.0, 7.0)

    class Scale(Function):
        def forward(self, codes, w):
            self.save_for_backward(codes, w)
            return codes.astype("float32") * w

        def backward(self, dy):
            codes, w = self.saved_tensors
            return dy * w, dy * codes.astype("float32")

    differentiate(Scale(), codes, w)
    assert numbers(w.grad) == [2.0, 3.0]


@BOTH
def test_grad_req_add(base):
    x = array(2.0, grad_req="add")
    w = array(3.0, grad_req="add")
    for _ in range(2):
        differentiate(product(base), x, w)
    added = base is Function
    assert numbers(x.grad) == [JUNK + 2 * 9.0 if added else JUNK]
    assert numbers(w.grad) == [JUNK + 2 * 12.0 if added else JUNK]


def test_one_input_used_twice_in_a_graph():
    x, w = array(2.0), array(3.0)

    def graph(x, w):
        y = product(Function)(x, w)
        return product(Function)(y, w) + 5 * w + y

    differentiate(graph, x, w)  # x w^4 + 5 w + x w^2
    assert numbers(x.grad) == [90.0]
    assert numbers(w.grad) == [4 * 2 * 27.0 + 5 + 12.0]


def test_one_array_as_both_inputs():
    x = array(2.0)
    differentiate(lambda x: product(Function)(x, x), x)
    assert numbers(x.grad) == [12.0]  # x^3


def test_backward_twice_through_a_kept_graph():
    x, w = array(2.0), array(3.0)
    y = differentiate(product(Function), x, w, retain_graph=True)
    x.grad[()] = JUNK
    y.backward()
    assert numbers(x.grad) == [9.0]


def test_several_outputs_one_of_them_unused():
    class Split(Function):
        def forward(self, x):
            return 2 * x, 3 * x, 5 * x

        def backward(self, da, db, dc):
            return 2 * da + 3 * db + 5 * dc

    x = array(1.0, 2.0)

    def graph(x):
        a, _, c = Split()(x)
        return a + 10 * c

    differentiate(graph, x)
    assert numbers(x.grad) == [52.0, 52.0]


@pytest.mark.parametrize(
    "grad_req, expected", [("write", 0.0), ("add", JUNK)]
)
def test_none_stands_for_zeros(grad_req, expected):
    x = array(1.0, 2.0, grad_req=grad_req)
    differentiate(twice(Function, lambda dy: None), x)
    assert numbers(x.grad) == [expected, expected]


# endregion


# region odd shapes
@BOTH
def test_a_scalar(base):
    x, w = np.array(2.0), np.array(3.0)
    for a in (x, w):
        a.attach_grad()
        a.grad[()] = JUNK
    if base is Original:
        with pytest.raises(mx.MXNetError):
            differentiate(product(base), x, w)
        return
    differentiate(product(base), x, w)
    assert (x.grad.shape, w.grad.shape) == ((), ())
    assert (numbers(x.grad), numbers(w.grad)) == (9.0, 12.0)


@BOTH
def test_an_empty_input(base):
    x, w = np.ones((0, 3)), np.ones((0, 3))
    x.attach_grad()
    w.attach_grad()
    if base is Original:
        with pytest.raises(mx.MXNetError):
            differentiate(product(base), x, w)
        return
    y = differentiate(product(base), x, w)
    assert y.shape == x.grad.shape == w.grad.shape == (0, 3)


@EVERY_DTYPE
@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 3), (0, 5, 3)])
def test_empty_result(dtype, shape):
    x = np.ones((*shape[:-1], 4), dtype)
    x.attach_grad()
    weight = array(*[1.0] * 12, dtype=dtype)
    bias = array(1.0, 2.0, 3.0, dtype=dtype)
    fixed = array(1.0, dtype=dtype, grad_req=None)

    def graph(*inputs):
        middle = empty_result((*shape[:-1], 4), fixed, *inputs)
        return empty_result(shape, middle * 2, None, *inputs)

    y = differentiate(graph, x, weight, None, bias)
    assert (y.shape, y.asnumpy().dtype) == (shape, dtype)
    assert numbers(weight.grad) == [0.0] * 12
    assert numbers(bias.grad) == [0.0] * 3


def test_empty_result_adds_nothing():
    w = array(1.0, 2.0, grad_req="add")
    differentiate(lambda w: empty_result((0, 2), w), w)
    assert numbers(w.grad) == [JUNK, JUNK]


def test_empty_result_is_for_empty_shapes():
    with pytest.raises(ValueError, match=r"empty shape, got \(1, 2\)"):
        empty_result((1, 2), array(1.0))


# endregion


# region what backward may see and return
@BOTH
def test_the_world_inside_backward(base):
    seen = {}

    def gradient(dy):
        seen["arrays"] = type(dy)
        seen["np_array"] = mx.util.is_np_array()
        seen["np_shape"] = mx.util.is_np_shape()
        seen["recording"] = autograd.is_recording()
        return dy * 2

    differentiate(twice(base, gradient), array(1.0))
    new = base is Function
    assert seen == {
        "arrays": np.ndarray if new else mx.nd.NDArray,
        "np_array": new,
        "np_shape": new,
        "recording": False,
    }


def test_the_upstream_gradient_is_read_only(capsys):
    def gradient(dy):
        dy += 1
        return dy

    with pytest.raises(mx.MXNetError):
        differentiate(twice(Function, gradient), array(1.0, 2.0))
    assert "readonly" in capsys.readouterr().err


@BOTH
def test_a_gradient_of_another_shape(base, capsys):
    def gradient(dy):
        return legacy(base, np.ones((1,)))

    x = array(1.0, 2.0)
    if base is Original:
        differentiate(twice(base, gradient), x)
        assert numbers(x.grad) == [1.0, 1.0]  # broadcast in silence
        return
    with pytest.raises(mx.MXNetError):
        differentiate(twice(base, gradient), x)
    words = "Twice.backward, input 0: expected shape (2,), got (1,)"
    assert f"ValueError: {words}" in capsys.readouterr().err


@BOTH
def test_a_gradient_of_another_dtype(base, capsys):
    def gradient(dy):
        return legacy(base, np.array([1 / 3, 0.0], dtype="float64"))

    x = array(1.0, 2.0)
    if base is Original:
        differentiate(twice(base, gradient), x)
        assert numbers(x.grad) == [float(numpy.float32(1 / 3)), 0.0]
        return
    with pytest.raises(mx.MXNetError):
        differentiate(twice(base, gradient), x)
    words = "Twice.backward, input 0: expected float32, got float64"
    assert f"TypeError: {words}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "gradient, words",
    [
        (lambda dy: (dy, dy), "expected 1 gradients, got 2"),
        (lambda dy: (), "expected 1 gradients, got 0"),
        (lambda dy: [1.0], "expected an array, got float"),
        (lambda dy: [dy.as_nd_ndarray()], "array, got NDArray"),
        (lambda dy: dy.missing, "has no attribute 'missing'"),
    ],
)
def test_an_error_in_backward_is_raised(gradient, words, capsys):
    x = array(1.0, 2.0)
    with pytest.raises(mx.MXNetError):
        differentiate(twice(Function, gradient), x)
    told = capsys.readouterr().err
    assert "Error in Twice.backward" in told
    assert words in told
    differentiate(twice(Function, lambda dy: 2 * dy), x)
    assert numbers(x.grad) == [2.0, 2.0]  # MXNet goes on


def test_an_error_of_an_operation_in_backward_is_raised(capsys):
    def gradient(dy):
        half = np.ones((2, 2), dtype="float16")
        return np.dot(half, half)[0].astype("float32")

    with pytest.raises(mx.MXNetError):
        differentiate(twice(Function, gradient), array(1.0, 2.0))
    assert "Error in Twice.backward" in capsys.readouterr().err


# endregion


# region calls
@BOTH
def test_an_error_in_forward_leaves_recording_on(base):
    class Broken(base):
        def forward(self, x):
            raise ZeroDivisionError

    with autograd.record():
        with pytest.raises(ZeroDivisionError):
            Broken()(array(1.0))
        assert autograd.is_recording() == (base is Function)


@BOTH
def test_forward_may_return_its_input(base):
    class Thrice(base):
        def forward(self, x):
            return x

        def backward(self, dy):
            return 3 * dy

    x = array(1.0, 2.0)
    if base is Original:
        with pytest.raises(mx.MXNetError, match="already in a comput"):
            differentiate(Thrice(), x)
        return
    y = differentiate(lambda x: Thrice()(2 * Thrice()(x)), x)
    assert (numbers(y), numbers(x.grad)) == ([2.0, 4.0], [18.0, 18.0])


def test_forward_is_not_recorded_and_saves_parameters_as_copies():
    seen = {}

    class Look(Function):
        def forward(self, x, w):
            self.save_for_backward(x, w)
            seen.update(saved=self.saved_tensors)
            seen.update(recording=autograd.is_recording())
            return x * w

    x, w = np.ones(3), np.full(3, 2.0)
    w.attach_grad()
    with autograd.record():
        Look()(x, w)
    assert seen["recording"] is False
    assert seen["saved"][0] is x
    copy = seen["saved"][1]
    w[()] = 7.0
    assert copy.tolist() == [2.0] * 3


def test_without_recording_only_forward_runs():
    y = product(Function)(array(2.0), array(3.0))
    assert numbers(y) == [18.0]
    assert not live


def test_without_gradients_nothing_is_kept():
    with autograd.record():
        x = array(2.0, grad_req=None)
        y = product(Function)(x, x)
    assert numbers(y) == [8.0]
    assert not live


def test_an_instance_serves_one_call():
    once = product(Function)
    once(array(2.0), array(3.0))
    with pytest.raises(RuntimeError, match="Product: an instance"):
        once(array(2.0), array(3.0))


def test_inputs_are_arrays():
    with pytest.raises(TypeError, match="Product expected arrays, got"):
        product(Function)(array(2.0), 3.0)


# endregion


# region nothing is kept alive
@BOTH
@pytest.mark.parametrize("backward", [False, True])
def test_a_saved_output_goes_with_its_graph(base, backward):
    class Exponential(base):
        def forward(self, x):
            y = np.exp(x)
            self.save_for_backward(y)
            return y

        def backward(self, dy):
            (y,) = self.saved_tensors
            return legacy(base, dy.as_np_ndarray() * y)

    held = live if base is Function else Original._registry.ref_holder
    before = len(held)
    x = array(0.0, 0.0)
    for _ in range(3):
        with autograd.record():
            y = Exponential()(x)
        if backward:
            y.backward(np.array([1.0, 2.0]))
            assert numbers(x.grad) == [1.0, 2.0]
    del y
    if base is Original:
        time.sleep(0.2)
    assert settled(held, before + (3 if base is Original else 0))


def test_what_is_alive_is_known():
    x, w = array(2.0), array(3.0)
    with autograd.record():
        y = product(Function)(x, w)
        z = product(Function)(y, w)
    assert settled(live, 2)
    del z
    assert settled(live, 1)
    y.backward()
    del y
    assert settled(live, 0)


SCRIPT = """
import sys
import mxnet as mx
import mxnet_impl
from mxnet import autograd, np
from mxnet_impl.custom_function import empty_result

x = np.ones(3)
x.attach_grad()
x.grad[()] = 7
with autograd.record():
    y = empty_result((0, 3), x)
    sys.outlives_every_module = empty_result((0, 3), x)
y.backward()
mx.nd.waitall()
print(x.grad.tolist(), flush=True)
"""


@pytest.mark.parametrize("engine", ["NaiveEngine", "ThreadedEngine"])
def test_engines_and_the_end_of_the_process(engine):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env=os.environ | {"MXNET_ENGINE_TYPE": engine},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr
    assert done.stdout == "[0.0, 0.0, 0.0]\n"


UPDATE = """
import sys
import time
import mxnet_impl
from mxnet import autograd, np
from mxnet_impl.custom_function import Function


class Times(Function):
    def forward(self, x, w):
        self.save_for_backward(x, w)
        return x * w

    def backward(self, dy):
        x, w = self.saved_tensors
        time.sleep(0.05)
        return dy * w, dy * x


x, w = np.ones(3), np.full(3, 2.0)
x.attach_grad()
w.attach_grad()
with autograd.record():
    y = Times()(x, w)
y.backward()
w[()] = {update}
print(x.grad.tolist(), w.tolist(), flush=True)
"""


@pytest.mark.parametrize(
    "update, w", [("100.0", 100.0), ("w - 0.125 * w.grad", 1.875)]
)
def test_an_update_pushed_before_backward_has_run(update, w):
    """It neither reaches what was saved nor waits for it for ever."""
    done = subprocess.run(
        [sys.executable, "-c", UPDATE.format(update=update)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{[2.0] * 3} {[w] * 3}\n"


# endregion

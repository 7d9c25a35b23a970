"""The repaired mx.autograd.Function, beside what the original does."""

import gc

import mxnet as mx
import numpy
import pytest
from mxnet import np

from mxnet_impl import custom_function
from mxnet_impl.custom_function import Function, empty_result

BASE = mx.autograd.Function


def two_inputs(base):
    """y = 2 x + 3 w, in operations that np and legacy arrays share."""

    class TwoInputs(base):
        def forward(self, x, w):
            return x * 2 + w * 3

        def backward(self, dy):
            return dy * 2, dy * 3

    return TwoInputs()


def scaled(base, factor=3, wrong=None):
    class Scaled(base):
        def forward(self, x):
            return x * factor

        def backward(self, dy):
            return wrong(dy) if wrong else dy * factor

    return Scaled()


def pair(shape=(2, 3), dtype="float32"):
    x = np.array(numpy.ones(shape), dtype=dtype)
    w = np.array(numpy.ones(shape), dtype=dtype)
    return x, w


def backward(function, *inputs):
    with mx.autograd.record():
        y = function(*inputs)
    y.backward()
    mx.nd.waitall()
    return y


def test_an_input_after_one_without_a_gradient():
    for base, expected in ((BASE, 0), (Function, 3)):
        x, w = pair()
        w.attach_grad()
        backward(two_inputs(base), x, w)
        assert (w.grad.asnumpy() == expected).all()


def test_gradients_that_add_up():
    for base, expected in ((BASE, 0), (Function, 6)):
        x, w = pair()
        w.attach_grad("add")
        x.attach_grad()
        backward(two_inputs(base), x, w)
        backward(two_inputs(base), x, w)
        assert (w.grad.asnumpy() == expected).all()


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (2, 3)])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_every_shape_and_dtype(shape, dtype):
    x, w = pair(shape, dtype)
    x.attach_grad()
    w.attach_grad()
    y = backward(two_inputs(Function), x, w)
    assert y.dtype == w.grad.dtype == numpy.dtype(dtype)
    assert (x.grad.asnumpy() == 2).all() and x.grad.shape == shape
    assert (w.grad.asnumpy() == 3).all() and w.grad.shape == shape


def test_backward_sees_np_arrays_in_np_mode():
    seen = {}
    for base in (BASE, Function):

        def look(dy, base=base):
            mode = mx.util.is_np_array() and mx.util.is_np_shape()
            seen[base] = isinstance(dy, np.ndarray), bool(mode)
            return dy

        x, _ = pair()
        x.attach_grad()
        backward(scaled(base, wrong=look), x)
    assert seen == {BASE: (False, False), Function: (True, True)}


def test_two_uses_in_one_graph_and_a_chain():
    x, _ = pair()
    x.attach_grad()
    with mx.autograd.record():
        y = scaled(Function)(x) + scaled(Function, 5)(
            scaled(Function)(x)
        )
    y.backward()
    assert (x.grad.asnumpy() == 3 + 15).all()


def test_saved_tensors_and_a_cotangent():
    class Product(Function):
        def forward(self, x, w):
            self.save_for_backward(x, w)
            return x * w

        def backward(self, dy):
            x, w = self.saved_tensors
            return dy * w, dy * x

    x = np.array([1.0, 2.0, 4.0])
    w = np.array([8.0, 16.0, 32.0])
    x.attach_grad()
    w.attach_grad()
    with mx.autograd.record():
        y = Product()(x, w)
    y.backward(np.array([1.0, 0.5, 0.25]))
    assert x.grad.asnumpy().tolist() == [8.0, 8.0, 8.0]
    assert w.grad.asnumpy().tolist() == [1.0, 1.0, 1.0]


def test_forward_may_return_its_input():
    class Same(Function):
        def forward(self, x):
            return x

        def backward(self, dy):
            return dy * 7

    x, _ = pair()
    x.attach_grad()
    backward(Same(), x)
    assert (x.grad.asnumpy() == 7).all()


def test_none_means_zeros():
    x, _ = pair()
    x.attach_grad()
    x.grad[()] = numpy.nan
    backward(scaled(Function, wrong=lambda dy: (None,)), x)
    assert (x.grad.asnumpy() == 0).all()


def crash(dy):
    raise RuntimeError("boom")


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda dy: dy[:1], "expected shape (2, 3), got (1, 3)"),
        (lambda dy: dy.astype("float64"), "expected dtype"),
        (lambda dy: (dy, dy), "expected 1 gradients, got 2"),
        (lambda dy: (1.0,), "expected an array, got float"),
        (crash, "boom"),
    ],
)
def test_a_wrong_backward_is_an_error(wrong, words, capfd):
    x, _ = pair()
    x.attach_grad()
    with pytest.raises(mx.MXNetError), mx.autograd.record():
        y = scaled(Function, wrong=wrong)(x)
        y.backward()
        x.grad.asnumpy()
    text = capfd.readouterr().err
    assert "Scaled.backward" in text
    assert words in text


def test_the_original_broadcasts_a_wrong_shape():
    x, _ = pair()
    x.attach_grad()
    backward(scaled(BASE, wrong=lambda dy: dy[:1]), x)
    assert (x.grad.asnumpy() == 1).all()


def test_an_error_in_forward_restores_recording():
    def broken(base):
        class Broken(base):
            def forward(self, x):
                raise RuntimeError("boom")

        return Broken()

    x, _ = pair()
    for base, expected in ((BASE, False), (Function, True)):
        with mx.autograd.record():
            with pytest.raises(RuntimeError, match="boom"):
                broken(base)(x)
            assert mx.autograd.is_recording() == expected


def test_an_instance_serves_once():
    x, _ = pair()
    function = scaled(Function)
    function(x)
    with pytest.raises(RuntimeError, match="serves one call"):
        function(x)


def test_only_arrays():
    with pytest.raises(TypeError, match="expected arrays, got list"):
        scaled(Function)([1.0])


def test_without_recording_it_is_just_forward():
    x, _ = pair()
    before = len(custom_function.live)
    assert (scaled(Function)(x).asnumpy() == 3).all()
    assert len(custom_function.live) == before


def test_nothing_is_kept_alive():
    class Keeps(Function):
        def forward(self, x):
            y = x * 2
            self.save_for_backward(x, y)
            return y

        def backward(self, dy):
            return dy * 2

    x, _ = pair()
    x.attach_grad()
    mx.nd.waitall()
    gc.collect()
    before = len(custom_function.live)
    for with_backward in (True, False):
        for _ in range(5):
            with mx.autograd.record():
                y = Keeps()(x)
            if with_backward:
                y.backward()
            del y
        mx.nd.waitall()
        gc.collect()
        assert len(custom_function.live) == before


def test_empty_result_gives_zeros_where_a_product_leaves_memory():
    def gradient(multiply):
        x = np.array(numpy.zeros((0, 3)), dtype="float32")
        w = np.array(numpy.ones((3, 2)), dtype="float32")
        x.attach_grad()
        w.attach_grad()
        w.grad[()] = 7
        with mx.autograd.record():
            y = multiply(x, w)
        y.backward()
        mx.nd.waitall()
        assert y.shape == (0, 2)
        return w.grad.asnumpy()

    assert (gradient(np.dot) == 7).all()
    right = gradient(lambda x, w: empty_result((0, 2), x, w))
    assert (right == 0).all()


def test_empty_result_is_for_empty_shapes():
    x, _ = pair()
    with pytest.raises(ValueError, match="expected an empty shape"):
        empty_result((2, 3), x)

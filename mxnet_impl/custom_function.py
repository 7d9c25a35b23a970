"""Function: mx.autograd.Function of MXNet 1.9.1, repaired.

The same use: subclass it, write forward and backward, keep tensors with
self.save_for_backward, call an instance once. What the original does
(each seen in shared_tests/layers/test_custom_function.py) and what this does:

inputs after one without a gradient get none    each gets its own
grad_req "add" writes nothing                   adds
0-d and empty gradients raise                   are written
np mode is off in backward, arrays are legacy   np mode on, mx.np arrays
a gradient of another shape or dtype is         ValueError, TypeError
    broadcast or cast in silence
an error in forward leaves recording off        recording is restored
forward may not return an input                 it may
an output that forward saved is never freed     it is, with its graph
an update of a parameter before backward has    the parameter is copied
    run reaches it there, or waits for ever

What an instance is made with is its self.options. An input may be None,
as in PyTorch. backward returns one gradient for each input of forward;
None means zeros. An error in backward is printed where it happens and
raised by MXNet, as for any operation, where something next waits for
the result. Not for legacy arrays, second derivatives or hybridize().

empty_result is such a Function, for pages whose batch may be empty.
Filled is init.Constant, repaired for a parameter of shape ().
"""

# region imports
import ctypes
import itertools
import sys
import traceback

import mxnet as mx
import numpy
from mxnet import np
from mxnet.base import (
    _LIB,
    MXCallbackList,
    NDArrayHandle,
    c_array,
    c_handle_array,
    check_call,
)

# endregion


# region function
class Function(mx.autograd.Function):
    def __init__(self, *options):
        super().__init__()
        self.options = options

    def __call__(self, *inputs):
        name = type(self).__name__
        if self._used:
            raise RuntimeError(f"{name}: an instance serves one call")
        given = [x for x in inputs if x is not None]
        for x in given:
            if not isinstance(x, np.ndarray):
                got = type(x).__name__
                raise TypeError(f"{name} expected arrays, got {got}")
        self._used = True
        self.given = [x is not None for x in inputs]
        recording = mx.autograd.set_recording(False)
        self.recording = recording
        try:
            results = self.forward(*inputs)
        finally:
            mx.autograd.set_recording(recording)
        if not recording:
            return results
        single = isinstance(results, np.ndarray)
        results = (results,) if single else results
        # new handles: what forward saved must not hold the graph
        outputs = tuple(y.detach() for y in results)
        record(self, given, outputs)
        return outputs[0] if single else outputs

    def save_for_backward(self, *tensors):
        """What has a gradient buffer, a parameter, is copied.

        backward runs later, in another thread. To an update that was
        pushed meanwhile, w[()] = w - lr * w.grad, it would come second:
        each waits for the other; or it would read the new numbers.
        """
        self.saved_tensors = tuple(
            x.copy() if self.recording and has_buffer(x) else x
            for x in tensors
        )


def has_buffer(x):
    return x is not None and x.grad is not None


class EmptyResult(Function):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape

    def forward(self, *inputs):
        self.save_for_backward(*inputs)
        x = inputs[0]
        return np.zeros(self.shape, dtype=x.dtype, ctx=x.ctx)

    def backward(self, dy):
        return [np.zeros_like(x) for x in self.saved_tensors]


def empty_result(shape, *inputs):
    """An empty array whose backward gives every input explicit zeros.

    On an empty batch MXNet 1.9.1 leaves the gradient of a broadcast
    operand as it was. The dtype is that of the first input; inputs that
    are None (no bias) are passed over.
    """
    if 0 not in shape:
        raise ValueError(f"expected an empty shape, got {shape}")
    return EmptyResult(shape)(*[x for x in inputs if x is not None])


class Filled(mx.init.Initializer):
    """One number everywhere, NaN for what has to be started first.

    The original writes arr[:], and so does Parameter.set_data: without
    an axis both raise. p.data()[()] = value writes any shape.
    """

    def __init__(self, value=float("nan")):
        super().__init__(value=value)
        self.value = value

    def _init_weight(self, _, arr):
        arr[()] = self.value


# endregion


# region registration
NULL, WRITE, INPLACE, ADD = range(4)  # OpReqType of MXNet
live = {}  # key -> Function, callbacks; until MXNet drops the graph
keys = itertools.count(1)


def record(function, inputs, outputs):
    """Enter the function into the graph that is being recorded."""
    key = next(keys)
    both = c_array(ctypes.c_void_p, [key, key])
    callbacks = MXCallbackList(2, ENTRIES, both)
    live[key] = function, callbacks
    check_call(
        _LIB.MXCustomFunctionRecord(
            ctypes.c_int(len(inputs)),
            c_handle_array(inputs),
            ctypes.c_int(len(outputs)),
            c_handle_array(outputs),
            ctypes.byref(callbacks),
        )
    )


def backward_entry(num_dys, num_dxs, handles, requests, train, key):
    """MXNet calls this from a thread of its own."""
    function, _ = live[key]
    try:
        arrays = [  # owned by these wrappers; only gradients writable
            np.ndarray(
                ctypes.cast(handles[i], NDArrayHandle), i >= num_dys
            )
            for i in range(num_dys + num_dxs)
        ]
        with (
            mx.util.np_shape(True),
            mx.util.np_array(True),
            mx.autograd.pause(train_mode=bool(train)),
        ):
            write_gradients(
                function,
                arrays[:num_dys],
                arrays[num_dys:],
                requests[:num_dxs],
            )
    except Exception:
        name, trace = type(function).__name__, traceback.format_exc()
        print(f"Error in {name}.backward: {trace}", file=sys.stderr)
        return False  # MXNet raises an MXNetError at the next wait
    return True


def write_gradients(function, dys, dxs, requests):
    name = f"{type(function).__name__}.backward"
    grads = function.backward(*dys)
    if grads is None or isinstance(grads, np.ndarray):
        grads = (grads,)
    if len(grads) != len(function.given):
        want, got = len(function.given), len(grads)
        raise ValueError(f"{name} expected {want} gradients, got {got}")
    for i, grad in enumerate(grads):
        if grad is not None:
            if not isinstance(grad, np.ndarray):
                got = type(grad).__name__
                raise TypeError(
                    f"{name}, input {i}: expected an array, got {got}"
                )
            grad.wait_to_read()  # its errors belong here
    places = [i for i, given in enumerate(function.given) if given]
    for i, dx, request in zip(places, dxs, requests):
        grad = grads[i]
        if request == NULL or dx.size == 0:
            continue
        if grad is None:
            grad = np.zeros_like(dx)
        what = f"{name}, input {i}"
        if grad.shape != dx.shape:
            want, got = dx.shape, grad.shape
            raise ValueError(
                f"{what}: expected shape {want}, got {got}"
            )
        want, got = numpy.dtype(dx.dtype), numpy.dtype(grad.dtype)
        if want != got:
            raise TypeError(f"{what}: expected {want}, got {got}")
        dx[()] = dx + grad if request == ADD else grad


def delete_entry(key, live=live):
    """MXNet calls this when the graph is gone; at exit, even later."""
    live.pop(key, None)
    return True


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int)
BACKWARD = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.POINTER(ctypes.c_void_p),
    ctypes.POINTER(ctypes.c_int),
    ctypes.c_int,
    ctypes.c_void_p,
)(backward_entry)
DELETE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(delete_entry)
ENTRIES = c_array(
    CALLBACK,
    [ctypes.cast(entry, CALLBACK) for entry in (BACKWARD, DELETE)],
)
for kept in (ENTRIES, live):  # a graph may outlive this module, at exit
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))
# endregion
